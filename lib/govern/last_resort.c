/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last resort: guests that stand still, by their operator's consent, when the host is about to
 * run out of memory and neither balloons nor the host's own reclaim have helped. The next thing to
 * happen would be the host's OOM killer, which ends a QEMU without asking anybody.
 *
 * One guest at a time, and a pause before the next one, so that it is seen what the last one
 * brought. First whoever frees something; of those whoever has the lowest shares, and of equals
 * whoever frees most. A guest that is saved frees all that is resident of it. One that is suspended
 * keeps its memory: it frees what the host can then swap out, which without swap or cgroup is
 * nothing; it only takes no more.
 *
 * When the host has memory again they go on in the reverse order: whoever was stopped last is the
 * first, and the next one waits until that was seen. That guests exceed their budget keeps nobody
 * stopped: it was no reason to stop anybody either.
 */
#include "estimate/distress.h"
#include "govern/govern.h"

/* From the pass on in which it was seen first. */
static void follow_state(struct mc_host_track *host, const struct mc_plan *plan, uint64_t now_ms)
{
    bool is_low = plan->state == MC_HOST_LOW, is_clear = host->by_need <= MC_HOST_CLEAR;

    if (!is_low || !host->was_low)
        host->low_since_ms = now_ms;
    if (!is_clear || !host->was_clear)
        host->clear_since_ms = now_ms;
    host->was_low = is_low;
    host->was_clear = is_clear;
}

/*
 * A guest that memctl has stopped and that runs was continued by somebody else. He will have his
 * reasons: it is left alone as long as a balloon that another hand has moved.
 */
static void respect_others(const struct mc_engine_config *config,
                           const struct mc_snapshot *snapshot, struct mc_tracks *tracks)
{
    for (size_t i = 0; i < snapshot->count; i++)
        if (snapshot->guests[i].stopped.how != MC_LAST_RESORT_NONE &&
            snapshot->guests[i].state == MC_GUEST_RUNNING)
            tracks->list[i].resort_again_ms = snapshot->now_ms + config->foreign_hold_ms;
}

static bool is_suspended(const struct mc_guest *guest)
{
    return guest->exempt == MC_EXEMPT_LAST_RESORT;
}

static unsigned count_stopped(const struct mc_snapshot *snapshot)
{
    unsigned stopped = snapshot->resort.saved_count;

    for (size_t i = 0; i < snapshot->count; i++)
        stopped += is_suspended(&snapshot->guests[i]);
    return stopped;
}

/* ---- stopping ---- */

static bool may_be_stopped(const struct mc_engine_config *config, const struct mc_guest *guest,
                           const struct mc_track *track, uint64_t now_ms)
{
    bool consents = guest->terms.managed && guest->terms.last_resort != MC_LAST_RESORT_NONE;

    return (consents || !mc_is_guarded(config, MC_GUARD_CONSENT)) &&
           (guest->exempt == MC_EXEMPT_NO || guest->exempt == MC_EXEMPT_NO_BALLOON) &&
           guest->state == MC_GUEST_RUNNING && guest->answers && !guest->resort_hold &&
           now_ms >= track->resort_again_ms;
}

/* What the host gains, and can be sure of. */
static uint64_t frees(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                      const struct mc_guest *guest)
{
    if (guest->terms.last_resort == MC_LAST_RESORT_SAVE)
        return guest->rss == MC_UNKNOWN ? guest->held + guest->overhead : guest->rss;
    if (!config->host_reclaim || guest->reclaim == MC_RECLAIM_IMPOSSIBLE ||
        guest->rss == MC_UNKNOWN)
        return 0;
    return mc_min_u64(mc_less_u64(guest->held, guest->terms.min),
                      mc_reclaim_swap(config, &snapshot->host));
}

struct candidate {
    uint64_t frees, shares;
};

/* Is a to be stopped before b? */
static bool comes_before(const struct candidate *a, const struct candidate *b)
{
    if (!a->frees != !b->frees)
        return a->frees;
    if (a->shares != b->shares)
        return a->shares < b->shares;
    return a->frees > b->frees;
}

static void stop_one(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                     const struct mc_tracks *tracks, struct mc_host_track *host,
                     struct mc_plan *plan)
{
    struct candidate best = {0};
    size_t chosen = snapshot->count;

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        const struct candidate candidate = {frees(config, snapshot, guest), guest->terms.shares};

        if (!may_be_stopped(config, guest, &tracks->list[i], snapshot->now_ms))
            continue;
        if (chosen < snapshot->count && !comes_before(&candidate, &best))
            continue;
        best = candidate;
        chosen = i;
    }
    if (chosen == snapshot->count)
        return;
    plan->steps[chosen].resort = snapshot->guests[chosen].terms.last_resort == MC_LAST_RESORT_SAVE
                                     ? MC_RESORT_SAVE
                                     : MC_RESORT_SUSPEND;
    host->resort_ms = snapshot->now_ms;
}

/* ---- going on ---- */

static bool fits(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                 const struct mc_plan *plan, uint64_t needed)
{
    return snapshot->host.available >= needed + 2 * plan->min_free ||
           !mc_is_guarded(config, MC_GUARD_FITS);
}

/* The guest that was suspended last; count if there is none, or one was saved after it. */
static size_t find_last_suspended(const struct mc_snapshot *snapshot)
{
    const struct mc_saved *saved = &snapshot->resort.last;
    size_t last = snapshot->count;

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        if (!is_suspended(guest) || guest->resort_hold || !guest->answers)
            continue;
        if (*saved->uuid && saved->stopped.at_s >= guest->stopped.at_s)
            continue;
        if (last == snapshot->count || guest->stopped.at_s > snapshot->guests[last].stopped.at_s)
            last = i;
    }
    return last;
}

static void continue_one(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                         struct mc_tracks *tracks, struct mc_host_track *host, struct mc_plan *plan)
{
    const struct mc_saved *saved = &snapshot->resort.last;
    size_t last = find_last_suspended(snapshot);

    if (last < snapshot->count) {
        const struct mc_guest *guest = &snapshot->guests[last];

        /* What is still resident it need not be given again. */
        if (!fits(config, snapshot, plan, mc_less_u64(guest->stopped.size, guest->held)))
            return;
        plan->steps[last].resort = MC_RESORT_CONTINUE;
        tracks->list[last].resort_again_ms = snapshot->now_ms + mc_cooldown_ms(config, guest);
    } else if (*saved->uuid && fits(config, snapshot, plan, saved->stopped.size)) {
        plan->start_saved = true;
    } else {
        return;
    }
    host->resort_ms = snapshot->now_ms;
}

void mc_last_resort_plan(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                         struct mc_tracks *tracks, struct mc_host_track *host, struct mc_plan *plan)
{
    uint64_t now_ms = snapshot->now_ms;
    bool waits = host->resort_ms && now_ms - host->resort_ms < config->resort_pause_ms;
    uint64_t low_ms, clear_ms;

    follow_state(host, plan, now_ms);
    low_ms = now_ms - host->low_since_ms;
    clear_ms = now_ms - host->clear_since_ms;
    plan->stopped = count_stopped(snapshot);
    if (snapshot->resort.busy)
        host->resort_ms = now_ms; /* the pause begins when it is done */
    else
        respect_others(config, snapshot, tracks);
    if ((snapshot->resort.busy || waits) && mc_is_guarded(config, MC_GUARD_ONE))
        return;
    if (plan->state == MC_HOST_LOW &&
        (low_ms >= config->resort_after_ms || !mc_is_guarded(config, MC_GUARD_LOW)))
        stop_one(config, snapshot, tracks, host, plan);
    else if (plan->stopped && plan->state < MC_HOST_LOW &&
             (clear_ms >= config->resort_undo_ms || !mc_is_guarded(config, MC_GUARD_CLEAR)))
        continue_one(config, snapshot, tracks, host, plan);
}
