/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A batch goes into the file in one transaction: all of it, or nothing. */
#include "store/database.h"

#include <jansson.h>

static int add_shape(struct mc_store *store, const struct mc_shape *shape, struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL, *name = NULL;
    int64_t id;
    int rc = mc_store_guest_number(store, shape->uuid, &id, err);

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

        rc = mc_store_guest_number(store, decision->uuid, &id, err);
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
        rc = mc_store_add_point(store, &batch->points[i], err);
        minutes = minutes || batch->points[i].tier == MC_TIER_MINUTE;
    }
    if (rc == 0 && minutes)
        rc = mc_store_end_hours(store, batch->clock_ms, err);
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
