/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Host reclaim: what the host's kernel shall take from guests by itself when the host is short. It
 * writes pages that were not touched for long to its swap. The guest does not notice, until it
 * touches one of them again and waits for the disk. So it comes after the balloons, for what they
 * cannot give in time, or cannot give at all: a guest whose balloon is stuck, or that has none.
 *
 * The idlest comes first: whoever has the most idle memory per share. He gives a little, and the
 * next pass looks anew; so the idle memory that guests keep becomes equal per share, from the top
 * down. That is Waldspurger's min-funding revocation (OSDI 2002), as the idle tax is, without the
 * tax: active memory is not taken at all. Taking a part of everybody's at once would end at the
 * same, but each is a call that blocks, and among a few idle guests and many busy ones it would
 * reach for the last idle page of a small guest before the large ones have given theirs.
 */
#include "govern/govern.h"

/* What is taken in a second, and in one call; so a call ends in a moment also on a slow disk. */
#define RATE_PER_S (256 * MC_MIB)
#define CALL_MOST (128 * MC_MIB)
#define CALL_LEAST (4 * MC_MIB)
#define CALLS_MAX 2

/* A pass that comes late does not make up for all the time before it. */
#define PASSED_LEAST_MS 200
#define PASSED_MOST_MS 2000

/* This part of the swap stays free, for what the kernel has to swap out by itself. */
#define SWAP_LEFT_PART 10

/* Of a guest that cannot be looked into, at most this part of its size is taken for idle. */
#define HIDDEN_IDLE_PART 4

/*
 * What a balloon was told to give up counts as found if it comes within this time, at the speed
 * that it was seen to have; one that was told a moment ago, at any.
 */
#define BALLOON_AHEAD_S 2
#define BALLOON_SEEN_MS 2500

uint64_t mc_reclaim_swap(const struct mc_engine_config *config, const struct mc_host *host)
{
    if (!mc_is_guarded(config, MC_GUARD_SWAP))
        return MC_SIZE_MAX;
    if (host->swap_total == MC_UNKNOWN || host->swap_free == MC_UNKNOWN)
        return 0;
    return mc_less_u64(host->swap_free, host->swap_total / SWAP_LEFT_PART);
}

/* A guest with locked memory, huge pages or a passed-through device has nothing that can go. */
static bool may_be_touched(const struct mc_guest *guest)
{
    if (!guest->terms.managed)
        return false;
    return guest->exempt == MC_EXEMPT_NO || guest->exempt == MC_EXEMPT_NO_BALLOON ||
           guest->exempt == MC_EXEMPT_LAST_RESORT;
}

static bool may_give(const struct mc_engine_config *config, const struct mc_guest *guest,
                     const struct mc_track *track, uint64_t now_ms)
{
    bool in_trouble =
        guest->distress != MC_DISTRESS_NO || mc_track_in_trouble(track, now_ms) ||
        (guest->exempt != MC_EXEMPT_LAST_RESORT &&
         mc_less_u64(now_ms, track->boot_ms) < config->boot_grace_ms); /* it touches all anew */

    if (guest->reclaim != MC_RECLAIM_POSSIBLE || guest->rss == MC_UNKNOWN)
        return false;
    if (in_trouble && mc_is_guarded(config, MC_GUARD_TROUBLE))
        return false;
    return may_be_touched(guest) || !mc_is_guarded(config, MC_GUARD_EXEMPT);
}

/* What the guest works with, as far as anybody knows. */
static uint64_t needed(const struct mc_engine_config *config, const struct mc_guest *guest,
                       const struct mc_track *track, const struct mc_plan *plan)
{
    uint64_t known = guest->active_source == MC_SOURCE_NONE ? 0 : guest->active;

    if (guest->exempt == MC_EXEMPT_LAST_RESORT) /* it stands still */
        return 0;
    if (guest->fresh)
        return mc_max_u64(known, mc_floor(config, guest, track, plan));
    return mc_max_u64(known, guest->actual - guest->actual / HIDDEN_IDLE_PART);
}

/*
 * What can be taken of its resident memory. What its balloon still has to take may be other pages:
 * both together leave it what it needs.
 */
static uint64_t spare_of(const struct mc_engine_config *config, const struct mc_guest *guest,
                         const struct mc_track *track, const struct mc_plan *plan,
                         const struct mc_step *step)
{
    bool has_balloon = guest->exempt == MC_EXEMPT_NO;
    uint64_t kept = has_balloon ? mc_less_u64(guest->actual, step->target) : 0;

    if (mc_is_guarded(config, MC_GUARD_ACTIVE))
        kept += needed(config, guest, track, plan);
    if (mc_is_guarded(config, MC_GUARD_MIN))
        kept = mc_max_u64(kept, guest->terms.min);
    return mc_whole_pages(mc_less_u64(guest->held, kept));
}

static uint64_t balloon_gives(const struct mc_guest *guest, const struct mc_track *track,
                              uint64_t target, uint64_t now_ms)
{
    uint64_t gives = mc_less_u64(guest->held, target);
    uint64_t passed_ms = mc_less_u64(now_ms, track->shrinks_ms);

    if (mc_track_is_stuck(track, now_ms))
        return 0;
    if (track->speed)
        gives = mc_min_u64(gives, track->speed * BALLOON_AHEAD_S);
    if (passed_ms >= BALLOON_SEEN_MS)
        gives = mc_min_u64(gives, mc_less_u64(track->shrinks_from, guest->actual) * 1000 /
                                      passed_ms * BALLOON_AHEAD_S);
    return gives;
}

/* What will be free in a moment: balloons that follow, and calls under way. */
static uint64_t expected(const struct mc_snapshot *snapshot, const struct mc_tracks *tracks,
                         const struct mc_plan *plan)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        if (guest->reclaim == MC_RECLAIM_UNDER_WAY)
            sum += CALL_MOST;
        if (mc_is_managed(guest) && guest->answers)
            sum += balloon_gives(guest, &tracks->list[i], plan->steps[i].target, snapshot->now_ms);
    }
    return sum;
}

static unsigned count_calls(const struct mc_snapshot *snapshot)
{
    unsigned calls = 0;

    for (size_t i = 0; i < snapshot->count; i++)
        calls += snapshot->guests[i].reclaim == MC_RECLAIM_UNDER_WAY;
    return calls;
}

/* Whether anything shall be taken, and how much in this pass. */
static enum mc_reclaim_verdict judge(const struct mc_engine_config *config,
                                     const struct mc_snapshot *snapshot,
                                     const struct mc_tracks *tracks, const struct mc_plan *plan,
                                     uint64_t *bytes)
{
    uint64_t passed_ms = mc_clamp_u64(tracks->passed_ms, PASSED_LEAST_MS, PASSED_MOST_MS);
    uint64_t missing = mc_less_u64(plan->min_free, snapshot->host.available);
    uint64_t swap = mc_reclaim_swap(config, &snapshot->host);

    missing = mc_less_u64(missing, expected(snapshot, tracks, plan));
    if ((plan->state < MC_HOST_HARD && mc_is_guarded(config, MC_GUARD_STATE)) || !missing)
        return MC_RECLAIM_NOT_NEEDED;
    if (!config->host_reclaim)
        return MC_RECLAIM_OFF;
    if (swap < CALL_LEAST)
        return MC_RECLAIM_NO_SWAP;
    *bytes = mc_min_u64(missing, swap);
    if (mc_is_guarded(config, MC_GUARD_PACE))
        *bytes = mc_min_u64(*bytes, RATE_PER_S * passed_ms / 1000);
    return MC_RECLAIM_WORKS;
}

/* The idlest of those that give nothing yet, and what it has to spare; count if there is none. */
static size_t find_idlest(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                          const struct mc_tracks *tracks, const struct mc_plan *plan,
                          uint64_t *spare)
{
    size_t idlest = snapshot->count;
    uint64_t shares = 1;

    *spare = 0;
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        const struct mc_track *track = &tracks->list[i];
        uint64_t has;

        if (plan->steps[i].reclaim || !may_give(config, guest, track, snapshot->now_ms))
            continue;
        has = spare_of(config, guest, track, plan, &plan->steps[i]);
        if (has < CALL_LEAST ||
            (unsigned __int128)has * shares <= (unsigned __int128)*spare * guest->terms.shares)
            continue;
        idlest = i;
        *spare = has;
        shares = mc_max_u64(guest->terms.shares, 1);
    }
    return idlest;
}

void mc_reclaim_plan(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                     const struct mc_tracks *tracks, struct mc_plan *plan)
{
    unsigned calls = count_calls(snapshot);
    uint64_t bytes = 0;

    plan->reclaim_verdict = judge(config, snapshot, tracks, plan, &bytes);
    if (plan->reclaim_verdict != MC_RECLAIM_WORKS)
        return;
    while (calls < CALLS_MAX && bytes >= CALL_LEAST) {
        uint64_t spare;
        size_t idlest = find_idlest(config, snapshot, tracks, plan, &spare);

        if (idlest == snapshot->count)
            break;
        if (mc_is_guarded(config, MC_GUARD_PACE))
            spare = mc_min_u64(spare, CALL_MOST);
        spare = mc_whole_pages(mc_min_u64(spare, bytes));
        plan->steps[idlest].reclaim = spare;
        plan->reclaim += spare;
        bytes -= spare;
        calls++;
    }
    if (!plan->reclaim && !calls)
        plan->reclaim_verdict = MC_RECLAIM_NOBODY;
}
