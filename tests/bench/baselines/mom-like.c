/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rule of oVirt's Memory Overcommitment Manager, from its published description: while less
 * than 20 % of the host is free, every guest that has more than a part of its memory free is shrunk
 * towards what it uses and that part, by at most 5 % of its size in a step; with the host at ease,
 * guests below their max grow by the same steps. A step every ten seconds.
 *
 * Its chance is fair, and more: it knows what is resident on the host, and it has the same estimate
 * of what a guest uses as memctl.
 */
#include "timer.h"

#include <math.h>

enum { PARAM_PRESSURE, PARAM_STEP, PARAM_GUEST_FREE };

static const struct mc_policy_param params_mom[] = {
    {
        .name = "threshold",
        .description = "the host is short while less than this part of it is free",
        .fallback = 0.20,
        .low = 0,
        .high = 1,
    },
    {
        .name = "step",
        .description = "the most that a guest changes at once, as a part of its size",
        .fallback = 0.05,
        .low = 0,
        .high = 1,
    },
    {
        .name = "guest-free",
        .description = "the part of its memory that is left free in a guest that is shrunk",
        .fallback = 0.20,
        .low = 0,
        .high = 1,
    },
};

static uint64_t part_of(uint64_t bytes, double part)
{
    return (uint64_t)llround((double)bytes * part) / MC_PAGE * MC_PAGE;
}

static uint64_t shrink(const struct mc_policy_guest *guest, const double *params)
{
    uint64_t keep = guest->active + part_of(guest->current, params[PARAM_GUEST_FREE]);
    uint64_t least = mc_max_u64(keep, guest->min);

    if (guest->current <= least)
        return guest->current;
    return mc_max_u64(least, guest->current - part_of(guest->current, params[PARAM_STEP]));
}

static uint64_t grow(const struct mc_policy_guest *guest, const double *params)
{
    return mc_min_u64(guest->max, guest->current + part_of(guest->current, params[PARAM_STEP]));
}

static int decide_mom(const struct mc_policy_input *input, const double *params, void *state,
                      uint64_t *targets)
{
    bool is_short = host_free(input) < (int64_t)part_of(input->budget, params[PARAM_PRESSURE]);

    if (!timer_due(state, input->now_ms))
        return 0;
    for (size_t i = 0; i < input->count; i++)
        targets[i] = is_short ? shrink(&input->guests[i], params) : grow(&input->guests[i], params);
    return 0;
}

MC_PUBLIC const struct mc_policy mc_policy_module = {
    .abi = MC_POLICY_ABI,
    .name = "mom-like",
    .description = "5 % steps every ten seconds, down while the host is short, up at ease",
    .params = params_mom,
    .param_count = sizeof(params_mom) / sizeof(*params_mom),
    .open = timer_open,
    .close = timer_close,
    .decide = decide_mom,
};
