/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables, as steps from one version to the next. What was released is never changed: a new
 * version is one more step at the end, and every file of an older one goes through those that it
 * lacks, in one transaction.
 */
#include "store/database.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Says whose file it is: "mcdb". */
#define APPLICATION_ID 0x6d636462

/*
 * Rows are found by time first: they arrive in that order, so that all guests' rows of a moment go
 * to the same few pages of the file, and the oldest are deleted in one stretch.
 */
#define KEY "PRIMARY KEY (at, guest)) WITHOUT ROWID;"

#define ONE(name) ", " name " INTEGER"
#define THREE(name) ", " name "_low INTEGER, " name " INTEGER, " name "_high INTEGER"

#define OF_GUESTS(X)                                                                               \
    X("used") X("active") X("held") X("actual") X("target") X("overhead") X("stall")
#define OF_HOST(X)                                                                                 \
    OF_GUESTS(X)                                                                                   \
    X("total") X("available") X("budget") X("strict") X("divided") X("promised") X("others")

#define RAW(table, of)                                                                             \
    "CREATE TABLE " table " (at INTEGER NOT NULL, guest INTEGER NOT NULL" of(ONE) ", " KEY
#define ROLLED(table, of)                                                                          \
    "CREATE TABLE " table                                                                          \
    " (at INTEGER NOT NULL, guest INTEGER NOT NULL, span INTEGER NOT NULL" of(THREE) ", " KEY

static const char *const steps[MC_SCHEMA_VERSION] = {
    /* 1: the series, and what guests were */
    "CREATE TABLE guest (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT NOT "
    "NULL);" RAW("guest_raw", OF_GUESTS) ROLLED("guest_minute", OF_GUESTS)
        ROLLED("guest_hour", OF_GUESTS) RAW("host_raw", OF_HOST) ROLLED("host_minute", OF_HOST)
            ROLLED("host_hour", OF_HOST) "CREATE TABLE shape (guest INTEGER NOT NULL, at INTEGER "
                                         "NOT NULL, name TEXT NOT NULL,"
                                         " memory INTEGER NOT NULL, shares INTEGER NOT NULL, min "
                                         "INTEGER NOT NULL, max INTEGER NOT NULL,"
                                         " managed INTEGER NOT NULL, exempt INTEGER NOT NULL, "
                                         "PRIMARY KEY (guest, at)) WITHOUT ROWID;",

    /* 2: what was decided, and what happened */
    "CREATE TABLE decision (at INTEGER NOT NULL, guest INTEGER NOT NULL, actual INTEGER NOT NULL,"
    " wish INTEGER NOT NULL, target INTEGER NOT NULL, reason TEXT NOT NULL, rules TEXT NOT NULL,"
    " PRIMARY KEY (at, guest)) WITHOUT ROWID;"
    "CREATE TABLE event (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, line TEXT NOT NULL);"
    "CREATE INDEX event_at ON event (at);",

    /* 3: what the engine needs to go on, and what a replay needs to know of it */
    "CREATE TABLE lesson (uuid TEXT PRIMARY KEY, at INTEGER NOT NULL, learned INTEGER NOT NULL,"
    " need INTEGER NOT NULL, cooldown INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE engine (at INTEGER PRIMARY KEY, config TEXT NOT NULL);",
};

static int version_of(const struct mc_store *store, int64_t *version, struct mc_error *err)
{
    int64_t application = 0, tables = 0;
    int rc = mc_db_number(store, "PRAGMA user_version", 0, version, err);

    if (rc == 0)
        rc = mc_db_number(store, "PRAGMA application_id", 0, &application, err);
    if (rc == 0)
        rc = mc_db_number(store, "SELECT count(*) FROM sqlite_master", 0, &tables, err);
    if (rc < 0)
        return rc;
    if (application != APPLICATION_ID && tables)
        return mc_error_set(err, -EPROTO,
                            "store %s: is another program's database; choose another 'store'",
                            store->file);
    if (*version > MC_SCHEMA_VERSION)
        return mc_error_set(err, -EPROTO,
                            "store %s: was written by a newer memctl (version %" PRId64
                            " of its tables, this one knows %d); update memctl, or move it away",
                            store->file, *version, MC_SCHEMA_VERSION);
    return 0;
}

static int take_steps(const struct mc_store *store, int64_t from, int to, struct mc_error *err)
{
    char mark[96];
    int rc = 0;

    for (int64_t step = from; rc == 0 && step < to; step++)
        rc = mc_db_exec(store, steps[step], err);
    snprintf(mark, sizeof(mark), "PRAGMA user_version = %d; PRAGMA application_id = %d", to,
             APPLICATION_ID);
    return rc < 0 ? rc : mc_db_exec(store, mark, err);
}

int mc_schema_migrate(const struct mc_store *store, int version, struct mc_error *err)
{
    int64_t present;
    int rc = mc_db_exec(store, "BEGIN IMMEDIATE", err);

    if (rc < 0)
        return rc;
    rc = version_of(store, &present, err);
    if (rc == 0 && present < version)
        rc = take_steps(store, present, version, err);
    if (rc == 0)
        rc = mc_db_exec(store, "COMMIT", err);
    if (rc < 0)
        mc_db_exec(store, "ROLLBACK", NULL);
    return rc;
}

int mc_schema_check(const struct mc_store *store, struct mc_error *err)
{
    int64_t present;
    int rc = version_of(store, &present, err);

    if (rc == 0 && present < MC_SCHEMA_VERSION)
        return mc_error_set(err, -EPROTO,
                            "store %s: is of an older memctl; start this memctld with it once",
                            store->file);
    return rc;
}
