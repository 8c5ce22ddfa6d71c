/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory that a guest works with, from the best that is known of it:
 *
 *   - what the agent in the guest found out, while that is recent; if the agent is not sure of it,
 *     at least what the guest cannot give up;
 *   - else what the host's kernel saw of QEMU's memory that is touched, the most that it may be;
 *   - else what the guest cannot give up.
 *
 * None of them knows the page cache that a guest has too little of: it is read from disk again,
 * over and over, and what was thrown out cannot be touched. So faults that read a disk (from the
 * agent: pages that came back soon after they had been reclaimed) say that all the cache that is
 * left is in use, and as much more as was missed. That fades when they end.
 *
 * All of that was found out over a window, and told later: what the guest began to use after that
 * is added to it.
 *
 * The figure follows growth at once and decline slowly: it is the larger of two moving averages.
 * The fast one goes up with every figure and comes down in a quarter of the configured time, so
 * that a short burst is soon forgotten; the slow one takes all of it both ways, so that what was
 * used for long is not.
 *
 * No claim counts beyond what the host sees resident of the guest.
 */
#include "estimate/active.h"

#include <stdio.h>
#include <string.h>

/* An agent's finding is recent for so many of its windows, and for so long at least. */
#define RECENT_WINDOWS 3
#define RECENT_LEAST_MS 60000

/* One that is less sure than this, in percent, may miss what is touched seldom. */
#define SURE 75

/* Cache that comes back faster than this is missed, bytes a second. */
#define MISSED_LEAST MC_MIB

/*
 * What was missed is forgotten in so long, for the most part. Much sooner, and a guest that has as
 * little as it needs would give and miss, give and miss, for ever.
 */
#define MISSED_FADES_MS 600000

/* An agent says how long ago it was, so the moment is not the same to the millisecond each time. */
#define SAME_MS 1000

/* The fast average comes down in this part of the time. */
#define FAST_PART 4

/* Time between two passes beyond this says that there were none. */
#define PASSED_MOST_MS 60000

static bool is_recent(const struct mc_guest *guest, uint64_t now_ms)
{
    const struct mc_working_set *set = &guest->agent.working_set;

    return guest->agent.present && set->found_ms &&
           mc_less_u64(now_ms, set->found_ms) <=
               mc_max_u64(RECENT_WINDOWS * set->window_ms, RECENT_LEAST_MS);
}

/*
 * The agent counts what its kernel manages. What the kernel took at boot for itself is not in that;
 * a balloon that may deflate by itself is.
 */
static uint64_t taken_at_boot(const struct mc_guest *guest)
{
    uint64_t size = guest->deflates_on_oom ? guest->memory : guest->actual;

    return mc_min_u64(mc_less_u64(size, guest->agent.total), guest->memory / 8);
}

static bool sample_is_recent(const struct mc_guest *guest, uint64_t now_ms)
{
    const struct mc_host_sample *sample = &guest->sample;

    return sample->found_ms && mc_less_u64(now_ms, sample->found_ms) <=
                                   mc_max_u64(RECENT_WINDOWS * sample->window_ms, RECENT_LEAST_MS);
}

static uint64_t from_host(const struct mc_guest *guest)
{
    const struct mc_host_sample *sample = &guest->sample;

    return sample->confidence >= SURE ? sample->most : mc_max_u64(sample->most, guest->used);
}

static uint64_t from_agent(const struct mc_guest *guest)
{
    const struct mc_working_set *set = &guest->agent.working_set;
    uint64_t claimed = set->active + set->read_cache + set->kernel + taken_at_boot(guest);

    return set->confidence >= SURE ? claimed : mc_max_u64(claimed, guest->used);
}

/* Pages that were read again since the last time, as bytes; what counts them may begin anew. */
static uint64_t take_count(uint64_t count, uint64_t *last)
{
    uint64_t more =
        count == MC_UNKNOWN || *last == MC_UNKNOWN ? 0 : mc_less_u64(count, *last) * MC_PAGE;

    *last = count;
    return more;
}

static void note_missed(const struct mc_guest *guest, struct mc_track *track, uint64_t now_ms,
                        uint64_t passed_ms)
{
    uint64_t cache = mc_less_u64(guest->held, guest->used), missed, since_ms;

    track->missed -= track->missed * passed_ms / (passed_ms + MISSED_FADES_MS);
    if (guest->agent.present && guest->agent.refaults != MC_UNKNOWN) {
        if (guest->agent.received_ms == track->counted_ms)
            return;
        missed = take_count(guest->agent.refaults, &track->refaults);
        since_ms = mc_less_u64(guest->agent.received_ms, track->counted_ms);
        track->counted_ms = guest->agent.received_ms;
    } else {
        if (!track->news)
            return;
        missed = take_count(guest->stats.major_faults, &track->faults);
        since_ms = mc_less_u64(now_ms, track->counted_ms);
        track->counted_ms = now_ms;
    }
    if (since_ms > 0 && missed / since_ms * 1000 >= MISSED_LEAST)
        track->missed = mc_max_u64(track->missed, cache + missed);
}

/* One step of a moving average that takes time_ms for most of the way. */
static uint64_t approach(uint64_t from, uint64_t to, uint64_t passed_ms, uint64_t time_ms)
{
    double part;

    if (time_ms == 0)
        return to;
    part = (double)passed_ms / (double)(passed_ms + time_ms);
    return to > from ? from + (uint64_t)((double)(to - from) * part)
                     : from - (uint64_t)((double)(from - to) * part);
}

static uint64_t smooth(const struct mc_engine_config *config, struct mc_track *track, uint64_t now,
                       uint64_t passed_ms)
{
    if (!track->active_ms) {
        track->fast = track->slow = now;
        return now;
    }
    track->slow = approach(track->slow, now, passed_ms, config->active_fade_ms);
    track->fast = now >= track->fast
                      ? now
                      : approach(track->fast, now, passed_ms, config->active_fade_ms / FAST_PART);
    return mc_max_u64(track->fast, track->slow);
}

static void set_origin(struct mc_guest *guest, enum mc_source source, const char *method,
                       uint64_t window_ms, unsigned confidence)
{
    guest->active_source = source;
    snprintf(guest->active_method, sizeof(guest->active_method), "%s", method);
    guest->active_window_ms = window_ms;
    guest->active_confidence = confidence;
}

/*
 * The driver tells what cannot be given up. Page cache that is worked with can be given up as well,
 * so how sure it is depends on how much cache there is beside it.
 */
static unsigned sure_of_statistics(const struct mc_guest *guest)
{
    const struct mc_balloon_stats *stats = &guest->stats;
    uint64_t unseen = mc_less_u64(guest->held, guest->used);

    if (stats->unused != MC_UNKNOWN && stats->usable != MC_UNKNOWN)
        unseen = mc_min_u64(unseen, mc_less_u64(stats->usable, stats->unused));
    return guest->used + unseen == 0
               ? 0
               : (unsigned)((double)guest->used * 100 / (double)(guest->used + unseen));
}

static void note_use(const struct mc_guest *guest, struct mc_track *track, uint64_t now_ms)
{
    if (track->uses[0].at_ms && mc_less_u64(now_ms, track->uses[0].at_ms) < MC_USES_APART_MS)
        return;
    memmove(&track->uses[1], &track->uses[0], sizeof(track->uses) - sizeof(track->uses[0]));
    track->uses[0] = (struct mc_use){.bytes = guest->used, .at_ms = now_ms};
}

/* Of the moments that are known, the last one before that; the present one for want of another. */
static uint64_t used_at(const struct mc_guest *guest, const struct mc_track *track, uint64_t at_ms)
{
    uint64_t used = guest->used;

    for (size_t i = 0; i < MC_USES && track->uses[i].at_ms; i++) {
        used = track->uses[i].bytes;
        if (track->uses[i].at_ms <= at_ms)
            break;
    }
    return used;
}

/* What the guest has begun to use since somebody looked was touched after that. */
static uint64_t taken_since(const struct mc_guest *guest, struct mc_track *track, uint64_t found_ms)
{
    if (mc_less_u64(found_ms, track->found_ms) > SAME_MS) {
        track->found_ms = found_ms;
        track->found_used = used_at(guest, track, found_ms);
    }
    return mc_less_u64(guest->used, track->found_used);
}

/* The best source that there is; returns its figure. */
static uint64_t choose(struct mc_guest *guest, struct mc_track *track, uint64_t now_ms)
{
    const struct mc_working_set *set = &guest->agent.working_set;
    const struct mc_host_sample *sample = &guest->sample;

    if (is_recent(guest, now_ms)) {
        set_origin(guest, MC_SOURCE_AGENT, set->method, set->window_ms, set->confidence);
        return from_agent(guest) + taken_since(guest, track, set->found_ms);
    }
    if (sample_is_recent(guest, now_ms)) {
        set_origin(guest, MC_SOURCE_HOST, sample->method, sample->window_ms, sample->confidence);
        return from_host(guest) + taken_since(guest, track, sample->found_ms);
    }
    set_origin(guest, MC_SOURCE_BALLOON, "statistics", guest->stats_period_s * UINT64_C(1000),
               sure_of_statistics(guest));
    return guest->used;
}

void mc_active_estimate(const struct mc_engine_config *config, struct mc_guest *guest,
                        struct mc_track *track, uint64_t now_ms)
{
    uint64_t passed_ms = mc_min_u64(mc_less_u64(now_ms, track->active_ms), PASSED_MOST_MS);
    uint64_t figure;

    guest->active = guest->actual;
    set_origin(guest, MC_SOURCE_NONE, "", 0, 0);
    if (guest->used == MC_UNKNOWN)
        return;
    note_missed(guest, track, now_ms, track->active_ms ? passed_ms : 0);
    note_use(guest, track, now_ms);
    figure = choose(guest, track, now_ms) + track->missed;
    figure = smooth(config, track, mc_min_u64(figure, guest->held), passed_ms);
    track->active_ms = now_ms;
    guest->active = mc_min_u64(figure, guest->held);
}
