/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SQLite with our errors. */
#ifndef MEMCTL_DATABASE_H
#define MEMCTL_DATABASE_H

#include <sqlite3.h>

#include <memctl/store.h>

struct mc_store {
    sqlite3 *db;
    char *file;
    bool to_write;
    int lock; /* of FILE.lock: one writer at a time; -1 for a reader */
    struct mc_store_config config;
    uint64_t deadline_ms; /* of the monotonic clock, 0 for none */
    struct mc_guest_number {
        char uuid[MC_UUID_TEXT];
        int64_t id;
    } * known; /* sorted by UUID */
    size_t known_count, known_room;
    int64_t shortened_ms; /* when rows last went before their time, as the file was too large */
    sqlite3_stmt *inserts[MC_TIER_COUNT][2]; /* of guests, of the host */
};

/* What the last call on the database failed with, as a sentence about the file. Never 0. */
int mc_db_fail(const struct mc_store *store, struct mc_error *err);

int mc_db_exec(const struct mc_store *store, const char *sql, struct mc_error *err);
int mc_db_prepare(const struct mc_store *store, const char *sql, sqlite3_stmt **statement,
                  struct mc_error *err);
/* Run a statement that gives no rows, and make it ready for the next time. */
int mc_db_run(const struct mc_store *store, sqlite3_stmt *statement, struct mc_error *err);
/* The one number that a statement gives; `otherwise` if it gives none. */
int mc_db_number(const struct mc_store *store, const char *sql, int64_t otherwise, int64_t *number,
                 struct mc_error *err);

static inline void mc_stmt_cleanup(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}

#define mc_autofinalize __attribute__((cleanup(mc_stmt_cleanup)))

/* The table of a tier: "guest_raw", "host_minute". */
const char *mc_table_name(enum mc_tier tier, bool of_host);

/* How many of the values a table has. */
static inline size_t mc_table_values(bool of_host)
{
    return of_host ? MC_HOST_VALUES : MC_GUEST_VALUES;
}

/* A value is kept in KiB, which is what balloons move by; a stall as it is. */
static inline int64_t mc_to_column(size_t value, uint64_t bytes)
{
    return (int64_t)(value == MC_VALUE_STALL ? bytes : bytes / MC_KIB);
}

static inline uint64_t mc_from_column(size_t value, int64_t column)
{
    return value == MC_VALUE_STALL ? (uint64_t)column : (uint64_t)column * MC_KIB;
}

/* guest_numbers.c: the guest's number, a new one if it has none. The host, "", is 0. */
int mc_store_guest_number(struct mc_store *store, const char *uuid, int64_t *id,
                          struct mc_error *err);

/* write_points.c: within a transaction. */
int mc_store_add_point(struct mc_store *store, const struct mc_point *point, struct mc_error *err);
/* Make all hours that have ended by now and are not there. */
int mc_store_end_hours(struct mc_store *store, int64_t clock_ms, struct mc_error *err);

/* schema.c */
#define MC_SCHEMA_VERSION 3

/* Bring the database from the version that it has to `version`. -EPROTO if it is newer. */
int mc_schema_migrate(const struct mc_store *store, int version, struct mc_error *err);

/* Is it of the version that this memctl reads and writes? -EPROTO. */
int mc_schema_check(const struct mc_store *store, struct mc_error *err);

#endif
