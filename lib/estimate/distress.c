/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trouble, from whatever tells of it first: the agent inside the guest, or what the balloon driver
 * counts. None of the signs depends on `available`, which means one thing with deflate-on-OOM and
 * another without.
 *
 * A guest in trouble is given a part of its size more. If that has arrived and the trouble goes on,
 * it is given more again, up to its max. A guest is not believed further than the host sees: one
 * that has not filled what it has is in no trouble. And trouble that does not end with all that was
 * given is no emergency any longer: such a guest gets what the policy gives it, and no more.
 */
#include "estimate/distress.h"

/* What is given at once: this part of the guest's size, at least these bytes. */
#define STEP_PART 4
#define STEP_LEAST (64 * MC_MIB)

/* A guest that fills itself is taken to go on for so long; it is given no more than it has. */
#define RATE_LASTS_S 2

/* An agent's event counts for so long, and a guest that was seen to fill: both are repeated while
 * the trouble lasts. */
#define EVENT_LASTS_MS 1500

/* Read back from swap since the last statistics. */
#define SWAP_IN_LEAST (4 * MC_MIB)

/* Faults that had to read a disk since the last statistics, with little left to use. */
#define FAULTS_LEAST 1000
#define FAULTS_USABLE_PART 10

/* A guest is full if it has touched all of its memory but this part, or two margins. */
#define FULL_PART 8

/* Trouble that goes on for so many cooldowns is chronic. */
#define CHRONIC_COOLDOWNS 2

/* The margin that trouble teaches is at most this part of the guest's max. */
#define LEARNED_PART 4

/* It loses this part in a second: half of it in about 20 minutes. */
#define FADE_PART 1800

static bool grew(uint64_t now, uint64_t before, uint64_t by)
{
    return now != MC_UNKNOWN && before != MC_UNKNOWN && now > before && now - before >= by;
}

static enum mc_distress signs_in_statistics(const struct mc_engine_config *config,
                                            const struct mc_guest *guest,
                                            const struct mc_track *track)
{
    const struct mc_balloon_stats *stats = &guest->stats;
    uint64_t margin = mc_margin(config, guest->actual);

    if (guest->actual < guest->terms.max && stats->usable < margin / 2)
        return MC_DISTRESS_USABLE;
    if (grew(stats->swap_in, track->swap_in, SWAP_IN_LEAST))
        return MC_DISTRESS_SWAP;
    if (stats->usable < guest->actual / FAULTS_USABLE_PART &&
        grew(stats->major_faults, track->major_faults, FAULTS_LEAST))
        return MC_DISTRESS_FAULTS;
    return MC_DISTRESS_NO;
}

/* Has the guest touched nearly all that it has? What it says cannot feign that. */
static bool is_full(const struct mc_engine_config *config, const struct mc_guest *guest)
{
    uint64_t slack = mc_max_u64(2 * config->floor_margin, guest->actual / FULL_PART);

    return guest->rss == MC_UNKNOWN || guest->held + slack >= guest->actual;
}

static enum mc_distress find(const struct mc_engine_config *config, const struct mc_guest *guest,
                             const struct mc_track *track, uint64_t now_ms)
{
    if (!is_full(config, guest))
        return MC_DISTRESS_NO;
    if (guest->agent.distress_ms && mc_less_u64(now_ms, guest->agent.distress_ms) <= EVENT_LASTS_MS)
        return MC_DISTRESS_AGENT;
    if (guest->filling_ms && mc_less_u64(now_ms, guest->filling_ms) <= EVENT_LASTS_MS)
        return MC_DISTRESS_FILLING;
    if (guest->deflates_on_oom && track->arrived && track->target != MC_UNKNOWN &&
        guest->actual >= track->target + MC_FOREIGN_LEAST)
        return MC_DISTRESS_DEFLATED;
    if (guest->answers && guest->used != MC_UNKNOWN && track->news)
        return signs_in_statistics(config, guest, track);
    return MC_DISTRESS_NO;
}

uint64_t mc_distress_step(const struct mc_guest *guest)
{
    return mc_max_u64(guest->actual / STEP_PART, STEP_LEAST);
}

/* More is given only when what was given before has come, or else one event would be many. */
static void give(const struct mc_engine_config *config, const struct mc_guest *guest,
                 struct mc_track *track)
{
    uint64_t more = mc_distress_step(guest), rate = 0, margin;

    if (guest->distress == MC_DISTRESS_AGENT)
        rate = guest->agent.distress_rate;
    else if (guest->distress == MC_DISTRESS_FILLING)
        rate = guest->filling_rate;
    more = mc_max_u64(more, mc_min_u64(rate * RATE_LASTS_S, guest->actual));
    if (guest->actual + MC_ARRIVED < track->need)
        return;
    track->need = mc_whole_pages(mc_min_u64(guest->actual + more, guest->terms.max));
    /* Twice the margin that was in force, or nothing would have been learned. */
    margin = mc_max_u64(track->learned, mc_margin(config, mc_min_u64(guest->used, guest->actual)));
    track->learned = mc_min_u64(2 * margin, guest->terms.max / LEARNED_PART);
}

static void suffer(const struct mc_engine_config *config, const struct mc_guest *guest,
                   struct mc_track *track, uint64_t now_ms)
{
    uint64_t cooldown_ms = mc_cooldown_ms(config, guest);
    bool taken_back =
        mc_track_trouble_is_over(track, now_ms) && guest->actual + MC_ARRIVED < track->need;

    /* What was given and taken back is no proof that giving does not help. */
    if (!mc_track_in_trouble(track, now_ms) || taken_back)
        track->distress_since_ms = now_ms;
    track->distress_ms = now_ms;
    track->distress_until_ms = now_ms + cooldown_ms;
    track->chronic = now_ms - track->distress_since_ms > CHRONIC_COOLDOWNS * cooldown_ms;
    if (track->chronic)
        track->need = 0;
    else
        give(config, guest, track);
}

/* After the cooldown, what was learned fades. */
static void fade(struct mc_track *track, uint64_t passed_ms)
{
    track->chronic = false;
    track->need = 0;
    track->learned -= (uint64_t)((double)track->learned / FADE_PART * (double)passed_ms / 1000);
}

void mc_distress_estimate(const struct mc_engine_config *config, struct mc_guest *guest,
                          struct mc_track *track, uint64_t now_ms)
{
    guest->stuck = mc_track_is_stuck(track, now_ms);
    guest->foreign = mc_track_is_foreign(track, now_ms);
    guest->distress = guest->exempt == MC_EXEMPT_NO && !guest->foreign
                          ? find(config, guest, track, now_ms)
                          : MC_DISTRESS_NO;
    if (config->rules_off & (1U << MC_RULE_DISTRESS))
        guest->distress = MC_DISTRESS_NO;
    if (guest->distress != MC_DISTRESS_NO)
        suffer(config, guest, track, now_ms);
    else if (!mc_track_in_trouble(track, now_ms))
        fade(track, mc_min_u64(now_ms - track->passed_ms, 60000));
    track->passed_ms = now_ms;
    if (track->news) {
        track->swap_in = guest->stats.swap_in;
        track->major_faults = guest->stats.major_faults;
        track->minor_faults = guest->stats.minor_faults;
    }
}
