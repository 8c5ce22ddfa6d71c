/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is too old goes, and where the file is too large, the oldest of what is finest goes before
 * its time: raw rows first, then decisions, events and minutes, hours last. Each call deletes one
 * stretch of time, so that none takes long.
 */
#include "store/database.h"

#include <inttypes.h>
#include <stdio.h>

#define HOUR_MS INT64_C(3600000)

/* Pages that one call gives back to the file system. */
#define PAGES "2048"

/* How much of its time goes in one call, and which tables go by it. */
static const struct {
    int64_t stretch_ms;
    const char *tables[5];
} tiers[MC_TIER_COUNT] = {
    [MC_TIER_RAW] = {HOUR_MS / 4, {"host_raw", "guest_raw"}},
    [MC_TIER_MINUTE] = {6 * HOUR_MS, {"host_minute", "guest_minute", "decision", "event"}},
    [MC_TIER_HOUR] = {30 * 24 * HOUR_MS, {"host_hour", "guest_hour"}},
};

static int oldest_of(const struct mc_store *store, enum mc_tier tier, int64_t *oldest_ms,
                     struct mc_error *err)
{
    int rc = 0;

    *oldest_ms = INT64_MAX;
    for (size_t i = 0; rc == 0 && tiers[tier].tables[i]; i++) {
        char sql[64];
        int64_t at_ms;

        snprintf(sql, sizeof(sql), "SELECT min(at) FROM %s", tiers[tier].tables[i]);
        rc = mc_db_number(store, sql, INT64_MAX, &at_ms, err);
        *oldest_ms = at_ms < *oldest_ms ? at_ms : *oldest_ms;
    }
    return rc;
}

static int delete_before(const struct mc_store *store, enum mc_tier tier, int64_t at_ms,
                         struct mc_error *err)
{
    int rc = mc_db_exec(store, "BEGIN IMMEDIATE", err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && tiers[tier].tables[i]; i++) {
        char sql[96];

        snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE at < %" PRId64, tiers[tier].tables[i],
                 at_ms);
        rc = mc_db_exec(store, sql, err);
    }
    if (rc == 0)
        rc = mc_db_exec(store, "COMMIT", err);
    if (rc < 0)
        mc_db_exec(store, "ROLLBACK", NULL);
    return rc;
}

static int is_too_large(const struct mc_store *store, bool *is, struct mc_error *err)
{
    int64_t pages, spare, size;
    int rc = mc_db_number(store, "PRAGMA page_count", 0, &pages, err);

    if (rc == 0)
        rc = mc_db_number(store, "PRAGMA freelist_count", 0, &spare, err);
    if (rc == 0)
        rc = mc_db_number(store, "PRAGMA page_size", 4096, &size, err);
    *is = rc == 0 && (uint64_t)((pages - spare) * size) > store->config.size_max;
    return rc;
}

/* Up to when the tier may lose one stretch now; 0 for nothing. */
static int stretch_of(const struct mc_store *store, enum mc_tier tier, int64_t now_ms,
                      bool *too_large, int64_t *before_ms, struct mc_error *err)
{
    int64_t oldest_ms, keep_ms = (int64_t)store->config.keep_ms[tier];
    int rc = oldest_of(store, tier, &oldest_ms, err);

    *before_ms = 0;
    if (rc < 0 || oldest_ms == INT64_MAX)
        return rc;
    if (*too_large && oldest_ms + tiers[tier].stretch_ms < now_ms) {
        *before_ms = oldest_ms + tiers[tier].stretch_ms;
        *too_large = false; /* as far as this call goes */
    } else if (oldest_ms < now_ms - keep_ms) {
        *before_ms = oldest_ms + tiers[tier].stretch_ms;
        if (*before_ms > now_ms - keep_ms)
            *before_ms = now_ms - keep_ms;
    }
    return rc;
}

/* What a guest was is kept for as long as there is anything else of that time. */
static int forget_shapes(const struct mc_store *store, int64_t now_ms, struct mc_error *err)
{
    char sql[256];

    snprintf(sql, sizeof(sql),
             "DELETE FROM shape WHERE at < %" PRId64 " AND at < (SELECT max(at) FROM shape AS later"
             " WHERE later.guest = shape.guest)",
             now_ms - (int64_t)store->config.keep_ms[MC_TIER_HOUR]);
    return mc_db_exec(store, sql, err);
}

int mc_store_prune(struct mc_store *store, int64_t now_ms, bool *more, struct mc_error *err)
{
    bool too_large, deleted = false;
    int rc = is_too_large(store, &too_large, err);

    for (enum mc_tier tier = 0; rc == 0 && tier < MC_TIER_COUNT; tier++) {
        int64_t before_ms;

        rc = stretch_of(store, tier, now_ms, &too_large, &before_ms, err);
        if (rc < 0 || !before_ms)
            continue;
        rc = delete_before(store, tier, before_ms, err);
        deleted = true;
    }
    *more = deleted;
    if (rc == 0 && deleted)
        rc = forget_shapes(store, now_ms, err);
    return rc < 0 || !deleted ? rc : mc_db_exec(store, "PRAGMA incremental_vacuum(" PAGES ")", err);
}
