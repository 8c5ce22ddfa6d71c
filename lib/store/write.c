/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A batch goes into the file in one transaction: all of it, or nothing. */
#include "store/database.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define HOUR_MS INT64_C(3600000)

/* ---- guests and their numbers ---- */

static size_t find_known(const struct mc_store *store, const char *uuid, bool *found)
{
    size_t low = 0, high = store->known_count;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(store->known[middle].uuid, uuid);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int remember(struct mc_store *store, size_t index, const char *uuid, int64_t id)
{
    if (store->known_count == store->known_room) {
        size_t room = store->known_room ? store->known_room * 2 : 64;
        struct mc_known_guest *grown = reallocarray(store->known, room, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        store->known = grown;
        store->known_room = room;
    }
    memmove(&store->known[index + 1], &store->known[index],
            (store->known_count - index) * sizeof(*store->known));
    store->known_count++;
    store->known[index].id = id;
    snprintf(store->known[index].uuid, MC_UUID_TEXT, "%s", uuid);
    return 0;
}

static int add_guest(struct mc_store *store, const char *uuid, int64_t *id, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int rc = mc_db_prepare(store,
                           "INSERT INTO guest (uuid, name) VALUES (?1, '') ON CONFLICT (uuid) DO "
                           "UPDATE SET uuid = uuid RETURNING id",
                           &statement, err);

    if (rc < 0)
        return rc;
    sqlite3_bind_text(statement, 1, uuid, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) != SQLITE_ROW)
        return mc_db_fail(store, err);
    *id = sqlite3_column_int64(statement, 0);
    return sqlite3_step(statement) == SQLITE_DONE ? 0 : mc_db_fail(store, err);
}

/* The host is 0. */
static int id_of(struct mc_store *store, const char *uuid, int64_t *id, struct mc_error *err)
{
    size_t index;
    bool found;
    int rc;

    *id = 0;
    if (!*uuid)
        return 0;
    index = find_known(store, uuid, &found);
    if (found) {
        *id = store->known[index].id;
        return 0;
    }
    rc = add_guest(store, uuid, id, err);
    if (rc == 0 && remember(store, index, uuid, *id) < 0)
        rc = mc_error_set(err, -ENOMEM, "out of memory");
    return rc;
}

/* ---- rows of the series ---- */

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

static int add_point(struct mc_store *store, const struct mc_point *point, struct mc_error *err)
{
    bool of_host = !*point->uuid;
    sqlite3_stmt *statement = NULL;
    int64_t id;
    int index = 3, rc = id_of(store, point->uuid, &id, err);

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

/* All hours that have ended by now and are not there. Host and guests have the same ones. */
static int end_hours(struct mc_store *store, int64_t clock_ms, struct mc_error *err)
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

/* ---- the rest ---- */

static int add_shape(struct mc_store *store, const struct mc_shape *shape, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL, *name = NULL;
    int64_t id;
    int rc = id_of(store, shape->uuid, &id, err);

    if (rc == 0)
        rc = mc_db_prepare(store, "UPDATE guest SET name = ?1 WHERE id = ?2 AND name <> ?1", &name,
                           err);
    if (rc == 0)
        rc = mc_db_prepare(store,
                           "INSERT OR REPLACE INTO shape (guest, at, name, memory, shares, min, "
                           "max, managed, exempt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           &statement, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_text(name, 1, shape->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(name, 2, id);
    rc = mc_db_run(store, name, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, shape->at_ms);
    sqlite3_bind_text(statement, 3, shape->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, (int64_t)shape->memory);
    sqlite3_bind_int64(statement, 5, (int64_t)shape->terms.shares);
    sqlite3_bind_int64(statement, 6, (int64_t)shape->terms.min);
    sqlite3_bind_int64(statement, 7, (int64_t)shape->terms.max);
    sqlite3_bind_int64(statement, 8, shape->terms.managed);
    sqlite3_bind_int64(statement, 9, shape->exempt);
    return mc_db_run(store, statement, err);
}

static int add_decisions(struct mc_store *store, const struct mc_batch *batch, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int rc = mc_db_prepare(store,
                           "INSERT OR REPLACE INTO decision (at, guest, actual, wish, target, "
                           "reason, rules) VALUES (?, ?, ?, ?, ?, ?, ?)",
                           &statement, err);

    for (size_t i = 0; rc == 0 && i < batch->decision_count; i++) {
        const struct mc_decision *decision = &batch->decisions[i];
        int64_t id;

        rc = id_of(store, decision->uuid, &id, err);
        if (rc < 0)
            break;
        sqlite3_bind_int64(statement, 1, decision->at_ms);
        sqlite3_bind_int64(statement, 2, id);
        sqlite3_bind_int64(statement, 3, (int64_t)decision->actual);
        sqlite3_bind_int64(statement, 4, (int64_t)decision->wish);
        sqlite3_bind_int64(statement, 5, (int64_t)decision->target);
        sqlite3_bind_text(statement, 6, mc_rule_name(decision->reason), -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 7, decision->rules, -1, SQLITE_STATIC);
        rc = mc_db_run(store, statement, err);
    }
    return rc;
}

static int add_events(struct mc_store *store, const struct mc_batch *batch, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int rc = mc_db_prepare(store, "INSERT INTO event (at, line) VALUES (?, ?)", &statement, err);

    for (size_t i = 0; rc == 0 && i < batch->event_count; i++) {
        json_t *event = json_loads(batch->events[i], 0, NULL);

        sqlite3_bind_int64(statement, 1, json_integer_value(json_object_get(event, "wall_ms")));
        sqlite3_bind_text(statement, 2, batch->events[i], -1, SQLITE_STATIC);
        json_decref(event);
        rc = mc_db_run(store, statement, err);
    }
    return rc;
}

static int set_lessons(struct mc_store *store, const struct mc_batch *batch, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int rc = mc_db_exec(store, "DELETE FROM lesson", err);

    if (rc == 0)
        rc = mc_db_prepare(store,
                           "INSERT OR REPLACE INTO lesson (uuid, at, learned, need, cooldown) "
                           "VALUES (?, ?, ?, ?, ?)",
                           &statement, err);
    for (size_t i = 0; rc == 0 && i < batch->lesson_count; i++) {
        const struct mc_lesson *lesson = &batch->lessons[i];

        sqlite3_bind_text(statement, 1, lesson->uuid, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, batch->clock_ms);
        sqlite3_bind_int64(statement, 3, (int64_t)lesson->learned);
        sqlite3_bind_int64(statement, 4, (int64_t)lesson->need);
        sqlite3_bind_int64(statement, 5, (int64_t)lesson->cooldown_ms);
        rc = mc_db_run(store, statement, err);
    }
    return rc;
}

static int set_engine(struct mc_store *store, const struct mc_batch *batch, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int rc = mc_db_prepare(store, "INSERT OR REPLACE INTO engine (at, config) VALUES (?, ?)",
                           &statement, err);

    if (rc < 0)
        return rc;
    sqlite3_bind_int64(statement, 1, batch->clock_ms);
    sqlite3_bind_text(statement, 2, batch->config, -1, SQLITE_STATIC);
    return mc_db_run(store, statement, err);
}

static int write_all(struct mc_store *store, const struct mc_batch *batch, struct mc_error *err)
{
    bool minutes = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < batch->shape_count; i++)
        rc = add_shape(store, &batch->shapes[i], err);
    for (size_t i = 0; rc == 0 && i < batch->point_count; i++) {
        rc = add_point(store, &batch->points[i], err);
        minutes = minutes || batch->points[i].tier == MC_TIER_MINUTE;
    }
    if (rc == 0 && minutes)
        rc = end_hours(store, batch->clock_ms, err);
    if (rc == 0 && batch->decision_count)
        rc = add_decisions(store, batch, err);
    if (rc == 0 && batch->event_count)
        rc = add_events(store, batch, err);
    if (rc == 0 && batch->has_lessons)
        rc = set_lessons(store, batch, err);
    if (rc == 0 && batch->config)
        rc = set_engine(store, batch, err);
    return rc;
}

int mc_store_write(struct mc_store *store, const struct mc_batch *batch, struct mc_error *err)
{
    int rc = mc_db_exec(store, "BEGIN IMMEDIATE", err);

    if (rc < 0)
        return rc;
    rc = write_all(store, batch, err);
    if (rc == 0)
        rc = mc_db_exec(store, "COMMIT", err);
    if (rc == 0)
        return 0;
    mc_db_exec(store, "ROLLBACK", NULL);
    store->known_count = 0; /* a new guest's number was taken back */
    return rc;
}
