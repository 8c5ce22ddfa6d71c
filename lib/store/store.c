/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUSY_MS 2000

/* The deadline is looked at after so many steps of SQLite's machine: some milliseconds. */
#define STEPS_PER_LOOK 20000

/* The write-ahead log shrinks back to this. */
#define LOG_BYTES "4194304"

/* SQLite would keep 2 MiB of each open file's pages, half of all that memctld takes; in KiB. */
#define CACHE "PRAGMA cache_size = -512"

struct mc_store_config mc_store_config_default(void)
{
    const uint64_t day_ms = 86400000;

    return (struct mc_store_config){
        .keep_ms = {day_ms, 31 * day_ms, 731 * day_ms},
        .size_max = MC_GIB,
    };
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int is_too_late(void *opaque)
{
    const struct mc_store *store = opaque;

    return store->deadline_ms && now_ms() > store->deadline_ms;
}

void mc_store_set_deadline(struct mc_store *store, uint64_t within_ms)
{
    store->deadline_ms = within_ms ? now_ms() + within_ms : 0;
}

/* The file with its mode, which those beside it take over; and its folder, if only that is missing.
 */
static int make_file(const char *file, struct mc_error *err)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s", file);
    mkdir(dirname(path), 0750);
    fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return mc_error_set(err,
                            errno == EROFS    ? -EROFS
                            : errno == ENOSPC ? -ENOSPC
                                              : -EACCES,
                            "store %s cannot be written: %s; choose another 'store', or off", file,
                            strerror(errno));
    close(fd);
    return 0;
}

/*
 * Two daemons that write the same history would mix it, and each take back what the other has
 * learned. The lock is on a file of its own: closing any descriptor of a database drops the locks
 * that SQLite has on it.
 */
static int lock(struct mc_store *store, struct mc_error *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s.lock", store->file);
    store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (store->lock < 0)
        return mc_error_set(err, errno == ENOSPC ? -ENOSPC : -EACCES,
                            "store %s cannot be locked: %s", store->file, strerror(errno));
    if (flock(store->lock, LOCK_EX | LOCK_NB) < 0)
        return mc_error_set(err, -EBUSY,
                            "store %s: another memctld writes it; choose another 'store' for one "
                            "of them",
                            store->file);
    return 0;
}

static int open_database(struct mc_store *store, int flags, struct mc_error *err)
{
    int rc = sqlite3_open_v2(store->file, &store->db,
                             flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);

    if (!store->db)
        return mc_error_set(err, -ENOMEM, "out of memory");
    if (rc != SQLITE_OK)
        return mc_db_fail(store, err);
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, BUSY_MS);
    sqlite3_progress_handler(store->db, STEPS_PER_LOOK, is_too_late, store);
    return mc_db_exec(store, "PRAGMA trusted_schema = 0; PRAGMA cell_size_check = 1; " CACHE, err);
}

/*
 * Without a sync for every batch the last ones may be missing after a power failure, but the file
 * is whole. The limit in pages is a wall behind mc_store_prune(), for a file that grows faster.
 */
static int set_up(struct mc_store *store, struct mc_error *err)
{
    char wall[64];
    int rc = mc_db_exec(store,
                        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
                        "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = " LOG_BYTES,
                        err);

    snprintf(wall, sizeof(wall), "PRAGMA max_page_count = %" PRIu64,
             store->config.size_max / 4096 * 5 / 4);
    if (rc == 0)
        rc = mc_db_exec(store, wall, err);
    return rc < 0 ? rc : mc_schema_migrate(store, MC_SCHEMA_VERSION, err);
}

static struct mc_store *store_new(const char *file)
{
    struct mc_store *store = calloc(1, sizeof(*store));

    if (!store)
        return NULL;
    store->lock = -1;
    store->file = strdup(file);
    if (store->file)
        return store;
    free(store);
    return NULL;
}

int mc_store_open(const char *file, const struct mc_store_config *config, struct mc_store **store,
                  struct mc_error *err)
{
    struct mc_store *opened = store_new(file);
    int rc;

    if (!opened)
        return mc_error_set(err, -ENOMEM, "out of memory");
    opened->to_write = true;
    opened->config = *config;
    rc = make_file(file, err);
    if (rc == 0)
        rc = lock(opened, err);
    if (rc == 0)
        rc = open_database(opened, SQLITE_OPEN_READWRITE, err);
    if (rc == 0)
        rc = set_up(opened, err);
    if (rc < 0)
        mc_store_close(opened);
    else
        *store = opened;
    return rc;
}

int mc_store_open_to_read(const char *file, struct mc_store **store, struct mc_error *err)
{
    struct mc_store *opened;
    int rc;

    if (access(file, R_OK) < 0)
        return mc_error_set(err, -errno, "store %s cannot be read: %s", file, strerror(errno));
    opened = store_new(file);
    if (!opened)
        return mc_error_set(err, -ENOMEM, "out of memory");
    rc = open_database(opened, SQLITE_OPEN_READONLY, err);
    if (rc == 0)
        rc = mc_schema_check(opened, err);
    if (rc < 0)
        mc_store_close(opened);
    else
        *store = opened;
    return rc;
}

void mc_store_close(struct mc_store *store)
{
    if (!store)
        return;
    for (size_t tier = 0; tier < MC_TIER_COUNT; tier++)
        for (size_t i = 0; i < 2; i++)
            sqlite3_finalize(store->inserts[tier][i]);
    sqlite3_close(store->db);
    if (store->lock >= 0)
        close(store->lock);
    free(store->known);
    free(store->file);
    free(store);
}

int mc_store_set_aside(const char *file, struct mc_error *err)
{
    static const char *const beside[] = {"-wal", "-shm"};
    char from[PATH_MAX], to[PATH_MAX];

    snprintf(to, sizeof(to), "%s.damaged", file);
    if (rename(file, to) < 0)
        return mc_error_set(err, -errno, "store %s cannot be set aside: %s", file, strerror(errno));
    /* What belongs to the old file would be taken for the new one's. */
    for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++) {
        snprintf(from, sizeof(from), "%s%s", file, beside[i]);
        snprintf(to, sizeof(to), "%s.damaged%s", file, beside[i]);
        unlink(to);
        rename(from, to);
    }
    return 0;
}

static uint64_t size_of(const char *file, const char *suffix)
{
    char path[PATH_MAX];
    struct stat status;

    snprintf(path, sizeof(path), "%s%s", file, suffix);
    return stat(path, &status) < 0 ? 0 : (uint64_t)status.st_size;
}

int mc_store_facts(struct mc_store *store, struct mc_store_facts *facts, struct mc_error *err)
{
    int rc = 0;

    *facts = (struct mc_store_facts){
        .size = size_of(store->file, "") + size_of(store->file, "-wal"),
        .size_max = store->to_write ? store->config.size_max : 0,
        .shortened_ms = store->shortened_ms,
    };
    for (enum mc_tier tier = 0; rc == 0 && tier < MC_TIER_COUNT; tier++) {
        char sql[64];

        snprintf(sql, sizeof(sql), "SELECT min(at) FROM %s", mc_table_name(tier, true));
        rc = mc_db_number(store, sql, 0, &facts->oldest_ms[tier], err);
    }
    return rc;
}
