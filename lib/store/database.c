/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/database.h"

#include <errno.h>

static int errno_of(int code)
{
    static const struct {
        int code, rc;
    } table[] = {
        {SQLITE_FULL, -ENOSPC},     {SQLITE_BUSY, -EBUSY},          {SQLITE_LOCKED, -EBUSY},
        {SQLITE_CORRUPT, -EBADMSG}, {SQLITE_NOTADB, -EBADMSG},      {SQLITE_READONLY, -EROFS},
        {SQLITE_PERM, -EACCES},     {SQLITE_CANTOPEN, -EACCES},     {SQLITE_NOMEM, -ENOMEM},
        {SQLITE_AUTH, -EACCES},     {SQLITE_INTERRUPT, -ETIMEDOUT},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (table[i].code == (code & 0xff))
            return table[i].rc;
    return -EIO;
}

static const char *advice_for(int rc)
{
    switch (rc) {
    case -ENOSPC:
        return "; make room on its disk, or allow it more with 'size' of [history]";
    case -EBUSY:
        return "; another program holds it, such as sqlite3 in a transaction";
    case -EROFS:
    case -EACCES:
        return "; check its folder's owner and mode, or choose another 'store'";
    default:
        return "";
    }
}

int mc_db_fail(const struct mc_store *store, struct mc_error *err)
{
    int rc = errno_of(sqlite3_extended_errcode(store->db));

    return mc_error_set(err, rc, "store %s: %s%s", store->file, sqlite3_errmsg(store->db),
                        advice_for(rc));
}

int mc_db_exec(const struct mc_store *store, const char *sql, struct mc_error *err)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : mc_db_fail(store, err);
}

int mc_db_prepare(const struct mc_store *store, const char *sql, sqlite3_stmt **statement,
                  struct mc_error *err)
{
    if (!sql)
        return mc_error_set(err, -ENOMEM, "out of memory");
    return sqlite3_prepare_v2(store->db, sql, -1, statement, NULL) == SQLITE_OK
               ? 0
               : mc_db_fail(store, err);
}

int mc_db_run(const struct mc_store *store, sqlite3_stmt *statement, struct mc_error *err)
{
    int rc = sqlite3_step(statement) == SQLITE_DONE ? 0 : mc_db_fail(store, err);

    sqlite3_reset(statement);
    return rc;
}

int mc_db_number(const struct mc_store *store, const char *sql, int64_t otherwise, int64_t *number,
                 struct mc_error *err)
{
    mc_autofinalize sqlite3_stmt *statement = NULL;
    int rc = mc_db_prepare(store, sql, &statement, err);

    *number = otherwise;
    if (rc < 0)
        return rc;
    rc = sqlite3_step(statement);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? 0 : mc_db_fail(store, err);
    if (sqlite3_column_type(statement, 0) == SQLITE_INTEGER)
        *number = sqlite3_column_int64(statement, 0);
    return 0;
}

const char *mc_table_name(enum mc_tier tier, bool of_host)
{
    static const char *const names[MC_TIER_COUNT][2] = {
        {"guest_raw", "host_raw"}, {"guest_minute", "host_minute"}, {"guest_hour", "host_hour"}};

    return names[tier][of_host];
}
