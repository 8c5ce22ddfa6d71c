/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of the series, and hours made of minutes. */
#include "store/database.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)

static void print_columns(FILE *out, enum mc_tier tier, size_t values)
{
    for (size_t i = 0; i < values; i++) {
        const char *name = mc_value_name(i);

        if (tier == MC_TIER_RAW)
            fprintf(out, ", %s", name);
        else
            fprintf(out, ", %s_low, %s, %s_high", name, name, name);
    }
}

/*
 * A minute that is there already, because the daemon was restarted within it or the clock was set
 * back, and the new part of it become one. A low or high that is NULL is the same as the average.
 */
static void print_merge(FILE *out, size_t values)
{
    fputs(" ON CONFLICT (at, guest) DO UPDATE SET span = span + excluded.span", out);
    for (size_t i = 0; i < values; i++) {
        const char *name = mc_value_name(i);
        static const struct {
            const char *suffix, *function;
        } ends[] = {{"low", "min"}, {"high", "max"}};

        for (size_t end = 0; end < 2; end++) {
            const char *suffix = ends[end].suffix;

            fprintf(out,
                    ", %s_%s = coalesce(%s(coalesce(%s_%s, %s), coalesce(excluded.%s_%s, "
                    "excluded.%s)), %s_%s, %s, excluded.%s_%s, excluded.%s)",
                    name, suffix, ends[end].function, name, suffix, name, name, suffix, name, name,
                    suffix, name, name, suffix, name);
        }
        fprintf(out,
                ", %s = CASE WHEN %s IS NULL THEN excluded.%s WHEN excluded.%s IS NULL THEN %s "
                "ELSE (%s * span + excluded.%s * excluded.span) / (span + excluded.span) END",
                name, name, name, name, name, name, name);
    }
}

static char *insert_sql(enum mc_tier tier, bool of_host)
{
    size_t values = mc_table_values(of_host), size, marks;
    char *sql = NULL;
    FILE *out = open_memstream(&sql, &size);

    if (!out)
        return NULL;
    marks = tier == MC_TIER_RAW ? 2 + values : 3 + 3 * values;
    fprintf(out, "INSERT %sINTO %s (at, guest%s", tier == MC_TIER_RAW ? "OR REPLACE " : "",
            mc_table_name(tier, of_host), tier == MC_TIER_RAW ? "" : ", span");
    print_columns(out, tier, values);
    fputs(") VALUES (?", out);
    for (size_t i = 1; i < marks; i++)
        fputs(", ?", out);
    fputc(')', out);
    if (tier != MC_TIER_RAW)
        print_merge(out, values);
    fclose(out);
    return sql;
}

static int insert_statement(struct mc_store *store, enum mc_tier tier, bool of_host,
                            sqlite3_stmt **statement, struct mc_error *err)
{
    sqlite3_stmt **kept = &store->inserts[tier][of_host];
    int rc = 0;

    if (!*kept) {
        char *sql = insert_sql(tier, of_host);

        rc = mc_db_prepare(store, sql, kept, err);
        free(sql);
    }
    *statement = *kept;
    return rc;
}

static void bind_value(sqlite3_stmt *statement, int index, size_t value, uint64_t bytes, bool skip)
{
    if (bytes == MC_UNKNOWN || skip)
        sqlite3_bind_null(statement, index);
    else
        sqlite3_bind_int64(statement, index, mc_to_column(value, bytes));
}

int mc_store_add_point(struct mc_store *store, const struct mc_point *point, struct mc_error *err)
{
    bool of_host = !*point->uuid;
    sqlite3_stmt *statement = NULL;
    int64_t id;
    int index = 3, rc = mc_store_guest_number(store, point->uuid, &id, err);

    if (rc == 0)
        rc = insert_statement(store, point->tier, of_host, &statement, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_int64(statement, 1, point->at_ms);
    sqlite3_bind_int64(statement, 2, id);
    if (point->tier != MC_TIER_RAW)
        sqlite3_bind_int64(statement, index++, (int64_t)point->span_ms);
    for (size_t i = 0; i < mc_table_values(of_host); i++) {
        const struct mc_range *range = &point->values[i];
        int64_t avg = mc_to_column(i, range->avg);

        if (point->tier != MC_TIER_RAW)
            bind_value(statement, index++, i, range->low, mc_to_column(i, range->low) == avg);
        bind_value(statement, index++, i, range->avg, false);
        if (point->tier != MC_TIER_RAW)
            bind_value(statement, index++, i, range->high, mc_to_column(i, range->high) == avg);
    }
    return mc_db_run(store, statement, err);
}

/* ---- hours, from minutes ---- */

static char *hours_sql(bool of_host, int64_t from_ms, int64_t until_ms)
{
    size_t values = mc_table_values(of_host), size;
    char *sql = NULL;
    FILE *out = open_memstream(&sql, &size);

    if (!out)
        return NULL;
    fprintf(out, "INSERT OR REPLACE INTO %s (at, guest, span",
            mc_table_name(MC_TIER_HOUR, of_host));
    print_columns(out, MC_TIER_HOUR, values);
    fputs(") SELECT at - at % 3600000 AS hour, guest, sum(span)", out);
    for (size_t i = 0; i < values; i++) {
        const char *name = mc_value_name(i);

        /* A minute in which a value was unknown has no part in its average. */
        fprintf(out,
                ", min(coalesce(%s_low, %s)), sum(%s * span) / sum(CASE WHEN %s IS NOT NULL THEN "
                "span END), max(coalesce(%s_high, %s))",
                name, name, name, name, name, name);
    }
    fprintf(out, " FROM %s WHERE at >= %" PRId64 " AND at < %" PRId64 " GROUP BY hour, guest",
            mc_table_name(MC_TIER_MINUTE, of_host), from_ms, until_ms);
    fclose(out);
    return sql;
}

/* Host and guests have the same hours. */
int mc_store_end_hours(struct mc_store *store, int64_t clock_ms, struct mc_error *err)
{
    int64_t last_ms = -HOUR_MS, first_ms = INT64_MAX, until_ms = clock_ms - clock_ms % HOUR_MS;
    int rc = mc_db_number(store, "SELECT max(at) FROM host_hour", -HOUR_MS, &last_ms, err);

    if (rc == 0)
        rc = mc_db_number(store, "SELECT min(at) FROM host_minute", INT64_MAX, &first_ms, err);
    if (rc < 0 || last_ms + HOUR_MS >= until_ms || first_ms >= until_ms)
        return rc;
    for (unsigned of_host = 0; rc == 0 && of_host < 2; of_host++) {
        char *sql = hours_sql(of_host, last_ms + HOUR_MS, until_ms);

        rc = sql ? mc_db_exec(store, sql, err) : mc_error_set(err, -ENOMEM, "out of memory");
        free(sql);
    }
    return rc;
}
