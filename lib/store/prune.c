/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is too old goes. Where the file is too large as well, raw rows and minutes (with them
 * decisions and events) are shortened in the same proportion of their times, so that on a host with
 * a thousand guests there is still some of each; hours, which take least and are missed most, only
 * when there is hardly anything else. Each call deletes one stretch of time, so that none takes
 * long.
 */
#include "store/database.h"

#include <inttypes.h>
#include <stdio.h>

#define HOUR_MS INT64_C(3600000)

/* Pages that one call gives back to the file system. */
#define PAGES "2048"

/* How much of its time goes in one call, what stays while others have more, and its tables. */
static const struct {
    int64_t stretch_ms, least_ms;
    const char *tables[5];
} tiers[MC_TIER_COUNT] = {
    [MC_TIER_RAW] = {HOUR_MS / 4, HOUR_MS, {"host_raw", "guest_raw"}},
    [MC_TIER_MINUTE] = {6 * HOUR_MS,
                        24 * HOUR_MS,
                        {"host_minute", "guest_minute", "decision", "event"}},
    [MC_TIER_HOUR] = {30 * 24 * HOUR_MS, INT64_MAX / 2, {"host_hour", "guest_hour"}},
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

/* How much of what it may keep the tier has, in thousandths; -1 if it cannot lose a stretch. */
static int64_t fullness(const struct mc_store *store, enum mc_tier tier, int64_t oldest_ms,
                        int64_t now_ms, bool to_the_last)
{
    int64_t has_ms = oldest_ms == INT64_MAX ? 0 : now_ms - oldest_ms;
    int64_t least_ms = to_the_last ? 0 : tiers[tier].least_ms;

    if (has_ms <= tiers[tier].stretch_ms || has_ms - tiers[tier].stretch_ms < least_ms)
        return -1;
    return has_ms * 1000 / (int64_t)mc_max_u64(store->config.keep_ms[tier], 1);
}

/* Which tier has to give up a stretch before its time; MC_TIER_COUNT: none has one. */
static enum mc_tier tier_to_shorten(const struct mc_store *store, const int64_t *oldest_ms,
                                    int64_t now_ms)
{
    for (unsigned to_the_last = 0; to_the_last < 2; to_the_last++) {
        int64_t raw = fullness(store, MC_TIER_RAW, oldest_ms[MC_TIER_RAW], now_ms, to_the_last);
        int64_t minute =
            fullness(store, MC_TIER_MINUTE, oldest_ms[MC_TIER_MINUTE], now_ms, to_the_last);

        if (raw >= 0 || minute >= 0)
            return raw >= minute ? MC_TIER_RAW : MC_TIER_MINUTE;
        if (fullness(store, MC_TIER_HOUR, oldest_ms[MC_TIER_HOUR], now_ms, true) >= 0)
            return MC_TIER_HOUR;
    }
    return MC_TIER_COUNT;
}

/* Up to when the tier loses its rows now; 0 for nothing. */
static int64_t end_of_time(const struct mc_store *store, enum mc_tier tier, int64_t oldest_ms,
                           int64_t now_ms, bool shorten)
{
    int64_t first_kept_ms = now_ms - (int64_t)store->config.keep_ms[tier];
    int64_t stretch_end_ms = oldest_ms == INT64_MAX ? 0 : oldest_ms + tiers[tier].stretch_ms;

    if (shorten)
        return stretch_end_ms;
    if (oldest_ms >= first_kept_ms)
        return 0;
    return stretch_end_ms < first_kept_ms ? stretch_end_ms : first_kept_ms;
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
    enum mc_tier shortened = MC_TIER_COUNT;
    int64_t oldest_ms[MC_TIER_COUNT];
    bool too_large, deleted = false;
    int rc = is_too_large(store, &too_large, err);

    for (enum mc_tier tier = 0; rc == 0 && tier < MC_TIER_COUNT; tier++)
        rc = oldest_of(store, tier, &oldest_ms[tier], err);
    if (rc == 0 && too_large)
        shortened = tier_to_shorten(store, oldest_ms, now_ms);
    for (enum mc_tier tier = 0; rc == 0 && tier < MC_TIER_COUNT; tier++) {
        int64_t before_ms = end_of_time(store, tier, oldest_ms[tier], now_ms, tier == shortened);

        if (!before_ms)
            continue;
        rc = delete_before(store, tier, before_ms, err);
        deleted = true;
    }
    if (shortened != MC_TIER_COUNT)
        store->shortened_ms = now_ms;
    *more = deleted;
    if (rc == 0 && deleted)
        rc = forget_shapes(store, now_ms, err);
    return rc < 0 || !deleted ? rc : mc_db_exec(store, "PRAGMA incremental_vacuum(" PAGES ")", err);
}
