/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How often to look follows from how fast it could go wrong, as it does in the agent: a guest with
 * plenty is looked at once a second, one near the wall ten times. And what two statistics say of
 * its pace counts for the second that help needs, and no longer: most bursts end by themselves.
 */
#include <memctl/filling.h>

#include "engine/track.h"
#include "estimate/distress.h"

/* No guest is taken to fill faster, bytes a second. */
#define FASTEST (256 * MC_MIB)

#define LOOK_LEAST_MS 100
#define LOOK_MOST_MS 1000

/* Looks in the time to the wall at the fastest; one that works is asked half as often. */
#define LOOKS 4

/* Statistics are asked for no more often; one that fills is asked as often as that. */
#define ASK_LEAST_MS 200

/* Who takes so much of a processor since the last look, in percent, works. */
#define WORKS_PERCENT 5

/* Less is noise. */
#define GREW_LEAST (8 * MC_MIB)

/* A shorter time makes no rate. */
#define PASSED_LEAST_MS 100

/* Help takes so long: the plan, the balloon, and another look or two. */
#define HELP_TAKES_S 1

/* Regular statistics may be as old as their period when they come. */
#define PERIOD_MS 1000

bool mc_is_exposed(const struct mc_engine_config *config, const struct mc_guest *guest)
{
    uint64_t unseen_ms = config->interval_ms + guest->stats_period_s * PERIOD_MS;

    return guest->exempt == MC_EXEMPT_NO && guest->answers && guest->pid && guest->fresh &&
           guest->stats_period_s && !guest->agent.present && !guest->deflates_on_oom &&
           !guest->foreign && guest->actual + MC_ARRIVED < guest->terms.max &&
           guest->stats.usable < FASTEST / 1000 * unseen_ms;
}

void mc_filling_follow(struct mc_filling *filling, const struct mc_guest *guest, uint64_t now_ms)
{
    uint64_t taken_ms = mc_less_u64(now_ms, guest->stats_period_s * PERIOD_MS);

    filling->usable = guest->stats.usable;
    /* Of a balloon on its way nobody knows to which size they belong. */
    if (guest->sized || taken_ms <= filling->seen_ms)
        return;
    filling->seen_ms = taken_ms;
    filling->used = mc_less_u64(guest->actual, guest->stats.usable);
}

uint64_t mc_filling_pause_ms(const struct mc_filling *filling)
{
    return mc_clamp_u64(filling->usable / (FASTEST / 1000) / LOOKS, LOOK_LEAST_MS, LOOK_MOST_MS);
}

bool mc_filling_look(struct mc_filling *filling, uint64_t cpu_ms, uint64_t now_ms)
{
    uint64_t pause_ms = filling->rate ? 0 : 2 * mc_filling_pause_ms(filling);

    bool works = filling->looked_ms && 100 * mc_less_u64(cpu_ms, filling->cpu_ms) >=
                                           WORKS_PERCENT * (now_ms - filling->looked_ms);

    filling->looked_ms = now_ms;
    filling->cpu_ms = cpu_ms;
    if (!works) {
        filling->quiet_ms = now_ms;
        filling->rate = 0;
        return false;
    }
    /* The first time after a rest at once. */
    if (filling->asked_ms < filling->quiet_ms)
        pause_ms = 0;
    return now_ms - filling->asked_ms >= mc_max_u64(pause_ms, ASK_LEAST_MS);
}

bool mc_filling_see(const struct mc_engine_config *config, struct mc_filling *filling,
                    const struct mc_sight *sight)
{
    uint64_t low = config->floor_margin / 2;
    uint64_t used = mc_less_u64(sight->actual, sight->usable);
    uint64_t since_ms = mc_max_u64(filling->seen_ms, filling->quiet_ms);
    uint64_t passed_ms = mc_max_u64(mc_less_u64(sight->at_ms, since_ms), PASSED_LEAST_MS);
    uint64_t grew = mc_less_u64(used, filling->used);

    filling->usable = sight->usable;
    if (sight->moving) {
        filling->seen_ms = 0; /* the next one begins anew; the pace is the last one known */
    } else {
        filling->rate = filling->seen_ms && grew >= GREW_LEAST ? grew * 1000 / passed_ms : 0;
        filling->seen_ms = sight->at_ms;
        filling->used = used;
    }
    return sight->usable < low ||
           (filling->rate && sight->usable < low + HELP_TAKES_S * filling->rate);
}
