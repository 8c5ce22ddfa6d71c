/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the balloon driver's statistics to what a guest uses.
 *
 * `usable` (the guest's MemAvailable) is what it could still give without swapping, and the balloon
 * takes exactly that away. So what it cannot give up is actual - usable. The other formula that
 * offers itself, available - usable, is wrong with deflate-on-OOM: then `available` does not shrink
 * with the balloon, and the balloon itself would count as used.
 *
 * The guest took its numbers at some moment between two snapshots, and what libvirt reports of the
 * balloon is up to a second old; so while it moves, nobody knows which of its sizes the numbers
 * belong to. What the guest uses then stays what it was, as far as the possible sizes allow. (An
 * estimate that followed the balloon's own movements would call every shrink back half way, and
 * make a policy that follows the estimate move the balloon again, for ever.) A guest
 * that really began to use more is noticed as soon as no possible size explains its numbers. One in
 * trouble has the benefit of the doubt: the most that explains them counts.
 *
 * A guest is not believed further than its memory goes, and not at all when its numbers are old,
 * run backwards or contradict each other.
 */
#include "estimate/estimate.h"

#include "estimate/active.h"
#include "estimate/distress.h"

/* Statistics that did not change for this many intervals are stale. */
#define STALE_INTERVALS 3

/* The guest's driver reports whole seconds, and not more often than once a second. */
#define STATS_PERIOD_LEAST_MS 1000

static bool possible(const struct mc_guest *guest)
{
    const struct mc_balloon_stats *stats = &guest->stats;

    if (stats->last_update == 0 || stats->usable == MC_UNKNOWN || stats->available == MC_UNKNOWN)
        return false;
    if (stats->available > guest->memory || stats->usable > stats->available)
        return false;
    return stats->unused == MC_UNKNOWN || stats->unused <= stats->available;
}

/*
 * When they were taken is not told, only when they came; and that can be any time since those
 * before. So such as come seldom may be old when they come.
 */
static bool is_fresh(const struct mc_guest *guest, const struct mc_track *track, uint64_t now_ms,
                     uint64_t stale_ms)
{
    return guest->answers && track->updated && track->apart_ms <= stale_ms &&
           now_ms - track->updated_ms <= stale_ms && possible(guest);
}

/*
 * An agent tells of available memory sooner than the driver, when the guest takes some. It can say
 * that more is used than the statistics said, for any of the sizes that the balloon can have had
 * since then; not that it is less.
 */
static void hear_agent(const struct mc_guest *guest, struct mc_track *track)
{
    const struct mc_agent_report *agent = &guest->agent;

    if (agent->present && agent->received_ms > track->updated_ms)
        track->used = mc_max_u64(track->used, mc_less_u64(track->low_since, agent->available));
}

static void estimate_guest(struct mc_guest *guest, struct mc_track *track, uint64_t now_ms,
                           uint64_t stale_ms)
{
    uint64_t least, most;

    guest->held = guest->actual;
    if (guest->rss != MC_UNKNOWN)
        guest->held = mc_min_u64(mc_less_u64(guest->rss, guest->overhead), guest->actual);

    guest->fresh = is_fresh(guest, track, now_ms, stale_ms);
    guest->used = MC_UNKNOWN;
    if (!possible(guest))
        return;
    least = mc_less_u64(track->low, guest->stats.usable);
    most = mc_less_u64(track->high, guest->stats.usable);
    track->used = track->used == MC_UNKNOWN || mc_track_in_trouble(track, now_ms)
                      ? most
                      : mc_clamp_u64(track->used, least, most);
    hear_agent(guest, track);
    guest->used = track->used;
}

void mc_estimate(const struct mc_engine_config *config, struct mc_snapshot *snapshot,
                 struct mc_tracks *tracks)
{
    uint64_t stale_ms = STALE_INTERVALS * mc_max_u64(config->interval_ms, STATS_PERIOD_LEAST_MS);

    for (size_t i = 0; i < snapshot->count; i++) {
        struct mc_guest *guest = &snapshot->guests[i];

        estimate_guest(guest, &tracks->list[i], snapshot->now_ms, stale_ms);
        if (config->rules_off & (1U << MC_RULE_FRESHNESS))
            guest->fresh = true;
        mc_active_estimate(config, guest, &tracks->list[i], snapshot->now_ms);
        mc_distress_estimate(config, guest, &tracks->list[i], snapshot->now_ms);
    }
}
