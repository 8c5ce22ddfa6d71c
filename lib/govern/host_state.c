/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How short the host is, after ESXi's memory states.
 *
 * The measure is min-free: 3 % of the budget, at most 899 MiB for its first 28 GiB, and 1 % of the
 * rest. Two sizes are compared with it. What the host has available, as its kernel says, may lead
 * to any state. What the guests leave of the budget, with min-free on top, leads no further than
 * SOFT: a budget that the guests fill to the last page is what it is for, and one that they exceed
 * shall be reached again, but that is no reason to press guests on a host that has memory.
 *
 * A state begins below its threshold and ends at the one above, so that nothing flaps. Time that
 * the whole host lost waiting for memory counts as well, whatever the numbers say.
 */
#include "govern/govern.h"

#define FIRST_PART (28 * MC_GIB)
#define FIRST_MOST (899 * MC_MIB)
#define MIN_FREE_LEAST (128 * MC_MIB)

/* Percent of min-free below which the state begins. HIGH needs no beginning. */
static const unsigned begins_below[] = {
    [MC_HOST_CLEAR] = 100, [MC_HOST_SOFT] = 64, [MC_HOST_HARD] = 32, [MC_HOST_LOW] = 16};

/* Percent at which it ends again. */
static const unsigned ends_at[] = {
    [MC_HOST_CLEAR] = 400, [MC_HOST_SOFT] = 100, [MC_HOST_HARD] = 64, [MC_HOST_LOW] = 32};

/* Hundredths of a percent of the last 10 s in which some or all tasks waited for memory. */
#define SOME_IS_SOFT 1000
#define FULL_IS_HARD 500

static uint64_t min_free(uint64_t budget)
{
    uint64_t first = mc_min_u64(mc_min_u64(budget, FIRST_PART) / 100 * 3, FIRST_MOST);

    return mc_max_u64(first + mc_less_u64(budget, FIRST_PART) / 100, MIN_FREE_LEAST);
}

static enum mc_host_state by_size(enum mc_host_state state, uint64_t left, uint64_t min_free)
{
    while (state < MC_HOST_LOW && left < min_free / 100 * begins_below[state + 1])
        state++;
    while (state > MC_HOST_HIGH && left >= min_free / 100 * ends_at[state])
        state--;
    return state;
}

static enum mc_host_state by_pressure(const struct mc_pressure *pressure)
{
    if (pressure->present && pressure->full_avg10 >= FULL_IS_HARD)
        return MC_HOST_HARD;
    if (pressure->present && pressure->some_avg10 >= SOME_IS_SOFT)
        return MC_HOST_SOFT;
    return MC_HOST_HIGH;
}

static enum mc_host_state worse(enum mc_host_state a, enum mc_host_state b)
{
    return a > b ? a : b;
}

static uint64_t sum_held(const struct mc_snapshot *snapshot)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < snapshot->count; i++)
        if (mc_is_managed(&snapshot->guests[i]))
            sum += snapshot->guests[i].held;
    return sum;
}

void mc_host_state_update(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                          struct mc_host_track *host, struct mc_plan *plan)
{
    uint64_t whole = plan->strict + plan->reserve;
    uint64_t available = snapshot->host.available;
    uint64_t kept;

    plan->held = sum_held(snapshot);
    plan->min_free = min_free(plan->budget);
    kept = mc_host_kept(&config->budget, &snapshot->host, plan) + plan->pledged;
    plan->headroom = mc_min_u64(mc_less_u64(whole, plan->held), mc_less_u64(available, kept));
    plan->overrun = mc_max_u64(mc_less_u64(plan->held, whole), mc_less_u64(kept, available));
    host->by_host = by_size(host->by_host, available, plan->min_free);
    host->by_budget =
        by_size(host->by_budget, mc_less_u64(whole + plan->min_free, plan->held), plan->min_free);
    host->by_need = worse(host->by_host, by_pressure(&snapshot->host.pressure));
    plan->state =
        worse(host->by_need, host->by_budget > MC_HOST_SOFT ? MC_HOST_SOFT : host->by_budget);
}
