/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/database.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void copy_text(char *to, size_t size, sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    snprintf(to, size, "%s", text ? (const char *)text : "");
}

/* The end of a statement's rows, or of our patience with them. */
static int end_of(const struct mc_store *store, int step, struct mc_error *err)
{
    return step == SQLITE_DONE || step == SQLITE_ROW ? 0 : mc_db_fail(store, err);
}

/*
 * The number of a guest by UUID, or by name: of several that had it, the one that had it last. The
 * host is 0, all guests are -1.
 */
static int find_guest(struct mc_store *store, const char *guest, int64_t *id, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int rc;

    *id = guest ? 0 : -1;
    if (!guest || !*guest)
        return 0;
    rc = mc_db_prepare(store,
                       "SELECT id FROM guest WHERE uuid = ?1 OR name = ?1 ORDER BY uuid = ?1 DESC, "
                       "(SELECT max(at) FROM shape WHERE shape.guest = id) DESC LIMIT 1",
                       &statement, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_text(statement, 1, guest, -1, SQLITE_STATIC);
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        *id = sqlite3_column_int64(statement, 0);
        return 0;
    }
    if (rc != SQLITE_DONE)
        return mc_db_fail(store, err);
    return mc_error_set(err, -ENOENT, "the history knows no guest named '%.64s'", guest);
}

/* ---- the series ---- */

static void print_values(FILE *out, enum mc_tier tier, size_t values)
{
    for (size_t i = 0; i < values; i++) {
        const char *name = mc_value_name(i);

        if (tier == MC_TIER_RAW)
            fprintf(out, ", t.%s", name);
        else
            fprintf(out, ", coalesce(%s_low, t.%s), t.%s, coalesce(%s_high, t.%s)", name, name,
                    name, name, name);
    }
}

/*
 * Rows are found by their moment first. One guest's rows among those of a thousand are found by
 * going from each moment to the next one and looking there for the guest's: two looks into the tree
 * for each moment, instead of a thousand rows. A recursion hands over its rows in their order.
 */
static char *points_sql(const struct mc_store_query *query, int64_t id)
{
    bool of_host = id == 0, of_one = id > 0;
    const char *table = mc_table_name(query->tier, of_host);
    char *sql = NULL;
    size_t size;
    FILE *out = open_memstream(&sql, &size);

    if (!out)
        return NULL;
    if (of_one)
        fprintf(out,
                "WITH RECURSIVE moment (at) AS (SELECT min(at) FROM %s WHERE at >= max(?1, ?3) "
                "UNION ALL SELECT (SELECT min(at) FROM %s WHERE at > moment.at) FROM moment WHERE "
                "moment.at < ?2) ",
                table, table);
    fprintf(out, "SELECT t.at, t.guest, %s, %s", query->tier == MC_TIER_RAW ? "0" : "t.span",
            of_host ? "''" : "guest.uuid");
    print_values(out, query->tier, mc_table_values(of_host));
    if (of_one)
        fprintf(out, " FROM moment CROSS JOIN %s AS t ON t.at = moment.at AND t.guest = ?5", table);
    else
        fprintf(out, " FROM %s AS t", table);
    fprintf(out,
            "%s WHERE t.at >= ?1 AND t.at < ?2 AND (t.at, t.guest) > (?3, ?4) AND (?5 < 0 OR "
            "t.guest = ?5)%s",
            of_host ? "" : " CROSS JOIN guest ON guest.id = t.guest",
            of_one ? "" : " ORDER BY t.at, t.guest");
    if (query->limit)
        fprintf(out, " LIMIT %zu", query->limit);
    fclose(out);
    return sql;
}

static uint64_t value_at(sqlite3_stmt *statement, int column, size_t value)
{
    if (sqlite3_column_type(statement, column) != SQLITE_INTEGER)
        return MC_UNKNOWN;
    return mc_from_column(value, sqlite3_column_int64(statement, column));
}

static void read_point(sqlite3_stmt *statement, enum mc_tier tier, bool of_host,
                       struct mc_point *point)
{
    int column = 4;

    *point = (struct mc_point){.tier = tier,
                               .at_ms = sqlite3_column_int64(statement, 0),
                               .span_ms = (uint64_t)sqlite3_column_int64(statement, 2)};
    copy_text(point->uuid, sizeof(point->uuid), statement, 3);
    for (size_t i = 0; i < MC_HOST_VALUES; i++) {
        struct mc_range *range = &point->values[i];

        if (i >= mc_table_values(of_host)) {
            *range = (struct mc_range){MC_UNKNOWN, MC_UNKNOWN, MC_UNKNOWN};
        } else if (tier == MC_TIER_RAW) {
            range->avg = range->low = range->high = value_at(statement, column++, i);
        } else {
            range->low = value_at(statement, column++, i);
            range->avg = value_at(statement, column++, i);
            range->high = value_at(statement, column++, i);
        }
    }
}

int mc_store_points(struct mc_store *store, const struct mc_store_query *query,
                    mc_store_point *each, void *opaque, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    bool of_host = query->guest && !*query->guest;
    int64_t id;
    char *sql;
    int step, rc = find_guest(store, query->guest, &id, err);

    if (rc < 0)
        return rc;
    sql = points_sql(query, id);
    rc = mc_db_prepare(store, sql, &statement, err);
    free(sql);
    if (rc < 0)
        return rc;
    sqlite3_bind_int64(statement, 1, query->since_ms);
    sqlite3_bind_int64(statement, 2, query->until_ms);
    sqlite3_bind_int64(statement, 3, query->after_ms);
    sqlite3_bind_int64(statement, 4, query->after_ms ? query->after_id : -1);
    sqlite3_bind_int64(statement, 5, id);
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        struct mc_point point;

        read_point(statement, query->tier, of_host, &point);
        if (!each(opaque, sqlite3_column_int64(statement, 1), &point))
            break;
    }
    return end_of(store, step, err);
}

/* Does the tier begin before that time, or at least as early as the next coarser one? */
static bool goes_back(const struct mc_store_facts *facts, enum mc_tier tier, int64_t since_ms)
{
    int64_t oldest_ms = facts->oldest_ms[tier], next_ms = facts->oldest_ms[tier + 1];

    if (!oldest_ms)
        return false;
    return oldest_ms <= since_ms + (int64_t)mc_tier_span_ms(tier) || !next_ms ||
           oldest_ms <= next_ms + (int64_t)mc_tier_span_ms(tier + 1);
}

int mc_store_choose_tier(struct mc_store *store, int64_t since_ms, int64_t until_ms, size_t rows,
                         enum mc_tier *tier, struct mc_error *err)
{
    struct mc_store_facts facts;
    int rc = mc_store_facts(store, &facts, err);

    for (*tier = MC_TIER_RAW; rc == 0 && *tier < MC_TIER_HOUR; ++*tier) {
        int64_t count;
        char sql[160];

        if (!goes_back(&facts, *tier, since_ms))
            continue;
        snprintf(sql, sizeof(sql),
                 "SELECT count(*) FROM %s WHERE at >= %" PRId64 " AND at < %" PRId64,
                 mc_table_name(*tier, true), since_ms, until_ms);
        rc = mc_db_number(store, sql, 0, &count, err);
        if (rc < 0 || (size_t)count <= rows)
            break;
    }
    /* Before the first hour is over there are minutes, before the first minute there are raw rows.
     */
    while (rc == 0 && *tier > MC_TIER_RAW && !facts.oldest_ms[*tier])
        --*tier;
    return rc;
}

/* ---- the rest ---- */

static void read_shape(sqlite3_stmt *statement, struct mc_shape *shape)
{
    *shape = (struct mc_shape){
        .at_ms = sqlite3_column_int64(statement, 1),
        .memory = (uint64_t)sqlite3_column_int64(statement, 4),
        .terms = {.shares = (uint64_t)sqlite3_column_int64(statement, 5),
                  .min = (uint64_t)sqlite3_column_int64(statement, 6),
                  .max = (uint64_t)sqlite3_column_int64(statement, 7),
                  .managed = sqlite3_column_int(statement, 8)},
        .exempt = MC_EXEMPT_UNMANAGED,
    };
    if (sqlite3_column_int(statement, 9) >= 0 && sqlite3_column_int(statement, 9) < MC_EXEMPT_COUNT)
        shape->exempt = (enum mc_exempt)sqlite3_column_int(statement, 9);
    copy_text(shape->uuid, sizeof(shape->uuid), statement, 2);
    copy_text(shape->name, sizeof(shape->name), statement, 3);
}

int mc_store_shapes(struct mc_store *store, const char *guest, int64_t since_ms, int64_t until_ms,
                    mc_store_shape *each, void *opaque, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int64_t id;
    int step, rc = find_guest(store, guest, &id, err);

    if (rc == 0)
        rc = mc_db_prepare(
            store,
            "SELECT shape.guest, at, uuid, shape.name, memory, shares, min, max, managed, exempt "
            "FROM shape JOIN guest ON guest.id = shape.guest WHERE (?3 < 0 OR shape.guest = ?3) "
            "AND at < ?2 AND at >= coalesce((SELECT max(at) FROM shape AS before WHERE "
            "before.guest = shape.guest AND before.at <= ?1), ?1) ORDER BY shape.guest, at",
            &statement, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_int64(statement, 1, since_ms);
    sqlite3_bind_int64(statement, 2, until_ms);
    sqlite3_bind_int64(statement, 3, id);
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        struct mc_shape shape;

        read_shape(statement, &shape);
        if (!each(opaque, sqlite3_column_int64(statement, 0), &shape))
            break;
    }
    return end_of(store, step, err);
}

static enum mc_rule rule_named(const char *name)
{
    for (enum mc_rule rule = 0; rule < MC_RULE_COUNT; rule++)
        if (strcmp(mc_rule_name(rule), name) == 0)
            return rule;
    return MC_RULE_POLICY;
}

int mc_store_decisions(struct mc_store *store, const char *guest, int64_t since_ms,
                       int64_t until_ms, size_t limit, mc_store_decision *each, void *opaque,
                       struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int64_t id;
    int step, rc = find_guest(store, guest, &id, err);

    if (rc == 0)
        rc = mc_db_prepare(store,
                           "SELECT at, uuid, actual, wish, target, reason, rules FROM decision "
                           "JOIN guest ON guest.id = guest WHERE at >= ?1 AND at < ?2 AND (?3 < 0 "
                           "OR guest = ?3) ORDER BY at DESC, guest LIMIT ?4",
                           &statement, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_int64(statement, 1, since_ms);
    sqlite3_bind_int64(statement, 2, until_ms);
    sqlite3_bind_int64(statement, 3, id);
    sqlite3_bind_int64(statement, 4, (int64_t)limit);
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        struct mc_decision decision = {
            .at_ms = sqlite3_column_int64(statement, 0),
            .actual = (uint64_t)sqlite3_column_int64(statement, 2),
            .wish = (uint64_t)sqlite3_column_int64(statement, 3),
            .target = (uint64_t)sqlite3_column_int64(statement, 4),
        };
        char reason[64];

        copy_text(reason, sizeof(reason), statement, 5);
        decision.reason = rule_named(reason);
        copy_text(decision.uuid, sizeof(decision.uuid), statement, 1);
        copy_text(decision.rules, sizeof(decision.rules), statement, 6);
        if (!each(opaque, &decision))
            break;
    }
    return end_of(store, step, err);
}

int mc_store_events(struct mc_store *store, size_t limit, mc_store_event *each, void *opaque,
                    struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int step, rc = mc_db_prepare(store, "SELECT line FROM event ORDER BY id DESC LIMIT ?",
                                 &statement, err);

    if (rc < 0)
        return rc;
    sqlite3_bind_int64(statement, 1, (int64_t)limit);
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        const unsigned char *line = sqlite3_column_text(statement, 0);

        if (line && !each(opaque, (const char *)line))
            break;
    }
    return end_of(store, step, err);
}

static int add_lesson(sqlite3_stmt *statement, int64_t now_ms, struct mc_lesson **lessons,
                      size_t *count)
{
    struct mc_lesson *grown = reallocarray(*lessons, *count + 1, sizeof(*grown));
    int64_t passed_ms = now_ms - sqlite3_column_int64(statement, 1);

    if (!grown)
        return -ENOMEM;
    *lessons = grown;
    grown += (*count)++;
    *grown = (struct mc_lesson){
        .learned = mc_min_u64((uint64_t)sqlite3_column_int64(statement, 2), MC_SIZE_MAX),
        .need = mc_min_u64((uint64_t)sqlite3_column_int64(statement, 3), MC_SIZE_MAX),
        .cooldown_ms = mc_min_u64((uint64_t)sqlite3_column_int64(statement, 4), 3600000),
    };
    copy_text(grown->uuid, sizeof(grown->uuid), statement, 0);
    mc_lesson_age(grown, passed_ms > 0 ? (uint64_t)passed_ms : 0);
    *count -= grown->learned == 0;
    return 0;
}

int mc_store_lessons(struct mc_store *store, int64_t now_ms, struct mc_lesson **lessons,
                     size_t *count, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int step = SQLITE_DONE;
    int rc = mc_db_prepare(store, "SELECT uuid, at, learned, need, cooldown FROM lesson",
                           &statement, err);

    *lessons = NULL;
    *count = 0;
    while (rc == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW)
        if (add_lesson(statement, now_ms, lessons, count) < 0)
            rc = mc_error_set(err, -ENOMEM, "out of memory");
    if (rc == 0)
        rc = end_of(store, step, err);
    if (rc < 0) {
        free(*lessons);
        *lessons = NULL;
        *count = 0;
    }
    return rc;
}

int mc_store_engine(struct mc_store *store, char **config, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int step, rc = mc_db_prepare(store, "SELECT config FROM engine ORDER BY at DESC LIMIT 1",
                                 &statement, err);

    *config = NULL;
    if (rc < 0)
        return rc;
    step = sqlite3_step(statement);
    if (step == SQLITE_ROW && sqlite3_column_text(statement, 0)) {
        *config = strdup((const char *)sqlite3_column_text(statement, 0));
        if (!*config)
            return mc_error_set(err, -ENOMEM, "out of memory");
    }
    return end_of(store, step, err);
}
