/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "simulate/measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Less than this is missing without harm: 16 MiB, or 2 % of what is needed. */
#define SHORT_LEAST (16 * MC_MIB)
#define SHORT_PERCENT 2

/* A rise is sudden if it is larger than this: 64 MiB, or 5 % of the guest's memory. */
#define RISE_LEAST (64 * MC_MIB)
#define RISE_PERCENT 5

/* A rise was met when nothing has been missing for so long. */
#define MET_MS 5000

/* A turn is a way back longer than this: 32 MiB, or 2 % of the guest's memory. */
#define TURN_LEAST (32 * MC_MIB)
#define TURN_PERCENT 2

/* Shortages further apart are counted as two. */
#define SHORTAGE_GAP_MS 60000

struct mc_meter {
    int run_id; /* 0: it does not run */
    uint64_t actual;
    uint64_t last_short_ms;
    bool is_short;

    /* the balloon's target */
    int direction;
    uint64_t extreme; /* how far it went in this direction */

    /* rises of what is needed */
    uint64_t needs[MC_RISE_SECONDS]; /* a second apart, the newest at next - 1 */
    unsigned next;
    bool rising;       /* a rise is waiting to be met */
    uint64_t began_ms; /* of the rise */
    uint64_t peak;     /* the most that was needed since */

    uint64_t *waits;
    size_t wait_count, wait_room;
    unsigned __int128 unmet, squeezed;
    uint64_t shortage; /* now */
    struct mc_shortage worst;
    struct mc_fare fare;
};

static uint64_t least_or_percent(uint64_t least, unsigned percent, uint64_t whole)
{
    return mc_max_u64(least, whole / 100 * percent);
}

/* What it needs beyond its memory is its own affair. */
static uint64_t needed(const struct mc_sim_guest *guest)
{
    return mc_min_u64(guest->need, guest->config.memory);
}

int mc_measure_begin(struct mc_measure *measure, size_t count)
{
    *measure = (struct mc_measure){.count = count};
    measure->meters = calloc(count + 1, sizeof(*measure->meters));
    return measure->meters ? 0 : -ENOMEM;
}

void mc_measure_free(struct mc_measure *measure)
{
    for (size_t i = 0; measure->meters && i < measure->count; i++)
        free(measure->meters[i].waits);
    free(measure->meters);
    free(measure->waits);
}

static int add_wait(uint64_t **waits, size_t *count, size_t *room, uint64_t ms)
{
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 16;
        uint64_t *grown = reallocarray(*waits, more, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        *waits = grown;
        *room = more;
    }
    (*waits)[(*count)++] = ms;
    return 0;
}

static void forget_needs(struct mc_meter *meter, uint64_t need)
{
    for (size_t i = 0; i < MC_RISE_SECONDS; i++)
        meter->needs[i] = need;
}

/* The rise is over: met, or given up while something was still missing. */
static int close_rise(struct mc_meter *meter, bool met)
{
    meter->rising = false;
    meter->fare.rises++;
    if (!met) {
        meter->fare.never++;
        return 0;
    }
    return add_wait(&meter->waits, &meter->wait_count, &meter->wait_room,
                    mc_less_u64(meter->last_short_ms, meter->began_ms));
}

/* When the rise began: the last second at which no more was needed than ten seconds ago. */
static uint64_t beginning(const struct mc_meter *meter, uint64_t now_ms)
{
    uint64_t before = meter->needs[meter->next];

    for (unsigned age = 1; age < MC_RISE_SECONDS; age++)
        if (meter->needs[(meter->next + MC_RISE_SECONDS - age) % MC_RISE_SECONDS] <= before)
            return now_ms - age * UINT64_C(1000);
    return now_ms - MC_RISE_SECONDS * UINT64_C(1000);
}

/* Once a second. */
static int watch_rise(struct mc_meter *meter, const struct mc_sim_guest *guest, uint64_t now_ms)
{
    uint64_t sudden = least_or_percent(RISE_LEAST, RISE_PERCENT, guest->config.memory);
    uint64_t newest = meter->needs[(meter->next + MC_RISE_SECONDS - 1) % MC_RISE_SECONDS];
    uint64_t need = needed(guest);
    int rc = 0;

    if (meter->rising) {
        meter->peak = mc_max_u64(meter->peak, need);
        if (need + sudden < meter->peak)
            rc = close_rise(meter, now_ms - meter->last_short_ms > 1000);
        else if (now_ms - mc_max_u64(meter->last_short_ms, meter->began_ms) >= MET_MS &&
                 need <= newest + sudden / MC_RISE_SECONDS)
            rc = close_rise(meter, true);
        if (!meter->rising)
            forget_needs(meter, need);
    } else if (need > meter->needs[meter->next] + sudden) {
        meter->rising = true;
        meter->began_ms = beginning(meter, now_ms);
        meter->peak = need;
    }
    meter->needs[meter->next] = need;
    meter->next = (meter->next + 1) % MC_RISE_SECONDS;
    return rc;
}

static void watch_target(struct mc_meter *meter, const struct mc_sim_guest *guest)
{
    uint64_t band = least_or_percent(TURN_LEAST, TURN_PERCENT, guest->config.memory);
    uint64_t target = guest->target;
    bool up = target > meter->extreme;
    uint64_t way = up ? target - meter->extreme : meter->extreme - target;

    if (meter->direction && up == (meter->direction > 0)) {
        meter->extreme = target;
    } else if (way > band) {
        if (meter->direction)
            meter->fare.turns++;
        meter->direction = up ? 1 : -1;
        meter->extreme = target;
    }
}

/* Times of shortage that follow each other closely are one. */
static void note_shortage(struct mc_meter *meter, uint64_t now_ms)
{
    struct mc_shortage *worst = &meter->worst;

    if (!worst->count || now_ms - meter->last_short_ms > SHORTAGE_GAP_MS)
        worst->count++;
    if (worst->count == 1 && !worst->most)
        worst->first_ms = now_ms;
    if (meter->shortage > worst->most) {
        worst->most = meter->shortage;
        worst->most_ms = now_ms;
    }
}

static void watch_shortage(struct mc_meter *meter, const struct mc_sim_guest *guest,
                           uint64_t now_ms)
{
    uint64_t need = needed(guest);

    /* What the host has swapped out is missing as well; and one that is stopped misses all. */
    meter->shortage = mc_less_u64(need, guest->actual) +
                      mc_less_u64(mc_min_u64(need, guest->actual), guest->held);
    if (guest->suspended || guest->saved)
        meter->shortage = need;
    meter->unmet += (unsigned __int128)meter->shortage * MC_SIM_STEP_MS;
    meter->is_short = meter->shortage > least_or_percent(SHORT_LEAST, SHORT_PERCENT, need);
    if (meter->is_short) {
        note_shortage(meter, now_ms);
        meter->last_short_ms = now_ms;
        meter->fare.distress_ms += MC_SIM_STEP_MS;
    }
}

/* A guest that memctl has saved has not gone. */
static bool is_there(const struct mc_sim_guest *guest)
{
    return guest->running || guest->saved;
}

/* A new run of the guest begins, or it has ended. */
static int begin_run(struct mc_meter *meter, const struct mc_sim_guest *guest)
{
    int rc = meter->rising ? close_rise(meter, !meter->is_short) : 0;

    meter->run_id = is_there(guest) ? guest->run_id : 0;
    meter->is_short = false;
    meter->shortage = 0;
    meter->direction = 0;
    meter->extreme = guest->target;
    meter->actual = guest->actual;
    forget_needs(meter, needed(guest));
    return rc;
}

static int step_meter(struct mc_meter *meter, const struct mc_sim_guest *guest, uint64_t now_ms)
{
    int rc = 0;

    if (meter->run_id != (is_there(guest) ? guest->run_id : 0))
        rc = begin_run(meter, guest);
    if (!is_there(guest))
        return rc;
    meter->fare.moved += mc_max_u64(mc_less_u64(guest->actual, meter->actual),
                                    mc_less_u64(meter->actual, guest->actual));
    meter->actual = guest->actual;
    watch_shortage(meter, guest, now_ms);
    watch_target(meter, guest);
    if (rc == 0 && now_ms % 1000 == 0)
        rc = watch_rise(meter, guest, now_ms);
    return rc;
}

/* What is missing although the host has it, each guest's part of it. */
static void share_headroom(struct mc_measure *measure, uint64_t headroom)
{
    uint64_t missing = 0;

    for (size_t i = 0; i < measure->count; i++)
        missing += measure->meters[i].shortage;
    if (!missing)
        return;
    headroom = mc_min_u64(headroom, missing);
    measure->unmet += (unsigned __int128)missing * MC_SIM_STEP_MS;
    measure->squeezed += (unsigned __int128)headroom * MC_SIM_STEP_MS;
    for (size_t i = 0; i < measure->count; i++)
        measure->meters[i].squeezed +=
            (unsigned __int128)measure->meters[i].shortage * headroom / missing * MC_SIM_STEP_MS;
}

int mc_measure_step(struct mc_measure *measure, const struct mc_sim *sim, uint64_t budget)
{
    uint64_t occupied = 0, host, over;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sim->count; i++) {
        const struct mc_sim_guest *guest = &sim->guests[i];

        rc = step_meter(&measure->meters[i], guest, sim->now_ms);
        if (guest->running)
            occupied += guest->held + guest->config.overhead;
    }
    host = occupied + mc_trace_at(&sim->host_used, sim->now_ms);
    over = mc_less_u64(host, sim->host_memory);
    measure->overrun += (unsigned __int128)over * MC_SIM_STEP_MS;
    measure->over_budget += (unsigned __int128)mc_less_u64(occupied, budget) * MC_SIM_STEP_MS;
    measure->over_budget_most =
        mc_max_u64(measure->over_budget_most, mc_less_u64(occupied, budget));
    measure->overrun_most = mc_max_u64(measure->overrun_most, over);
    share_headroom(measure,
                   mc_min_u64(mc_less_u64(budget, occupied), mc_less_u64(sim->host_memory, host)));
    return rc;
}

void mc_measure_command(struct mc_measure *measure, const struct mc_sim *sim, const char *uuid)
{
    for (size_t i = 0; i < sim->count; i++)
        if (strcmp(sim->guests[i].config.uuid, uuid) == 0)
            measure->meters[i].fare.commands++;
}

static int compare_waits(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* A rise that was never met counts as longer than all others. */
static void judge_waits(struct mc_fare *fare, uint64_t *waits, size_t count)
{
    fare->median_ms = fare->worst_ms = MC_UNKNOWN;
    if (!count)
        return;
    qsort(waits, count, sizeof(*waits), compare_waits);
    fare->worst_ms = waits[count - 1];
    if ((fare->rises - 1) / 2 < count)
        fare->median_ms = waits[(fare->rises - 1) / 2];
}

static int end_meter(struct mc_measure *measure, struct mc_meter *meter, struct mc_fare *all)
{
    int rc = meter->rising ? close_rise(meter, !meter->is_short) : 0;
    struct mc_fare *fare = &meter->fare;

    fare->unmet = (uint64_t)(meter->unmet / 1000);
    fare->squeezed = (uint64_t)(meter->squeezed / 1000);
    all->distress_ms += fare->distress_ms;
    all->moved += fare->moved;
    all->turns += fare->turns;
    all->commands += fare->commands;
    all->rises += fare->rises;
    all->never += fare->never;
    for (size_t i = 0; rc == 0 && i < meter->wait_count; i++)
        rc = add_wait(&measure->waits, &measure->wait_count, &measure->wait_room, meter->waits[i]);
    judge_waits(fare, meter->waits, meter->wait_count);
    return rc;
}

int mc_measure_end(struct mc_measure *measure, uint64_t from_ms, struct mc_simulation *result)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < measure->count; i++) {
        rc = end_meter(measure, &measure->meters[i], &result->all);
        result->guests[i].fare = measure->meters[i].fare;
        result->guests[i].shortage = measure->meters[i].worst;
        if (measure->meters[i].worst.count) {
            result->guests[i].shortage.first_ms -= from_ms;
            result->guests[i].shortage.most_ms -= from_ms;
        }
    }
    result->all.unmet = (uint64_t)(measure->unmet / 1000);
    result->all.squeezed = (uint64_t)(measure->squeezed / 1000);
    judge_waits(&result->all, measure->waits, measure->wait_count);
    result->overrun = (uint64_t)(measure->overrun / 1000);
    result->over_budget_most = measure->over_budget_most;
    result->over_budget = (uint64_t)(measure->over_budget / 1000);
    result->overrun_most = measure->overrun_most;
    return rc;
}
