/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Equal squeeze, as XenServer's squeezed divides memory: every guest gets the same part of the way
 * from its minimum to its maximum, whatever it does with it.
 */
#include <memctl/policy.h>

#include <stdlib.h>

#include <memctl/units.h>

/* It keeps nothing in mind, but has to have a state. */
static void *open_squeezed(void)
{
    return calloc(1, 1);
}

static void close_squeezed(void *state)
{
    free(state);
}

static int decide_squeezed(const struct mc_policy_input *input, const double *params, void *state,
                           uint64_t *targets)
{
    uint64_t sum_min = 0, ways = 0, left;

    (void)params;
    (void)state;
    for (size_t i = 0; i < input->count; i++) {
        sum_min += input->guests[i].min;
        ways += input->guests[i].max - input->guests[i].min;
    }
    left = mc_min_u64(mc_less_u64(input->budget, sum_min), ways);
    for (size_t i = 0; i < input->count; i++) {
        const struct mc_policy_guest *guest = &input->guests[i];
        uint64_t way = guest->max - guest->min;

        targets[i] = guest->min;
        if (ways)
            targets[i] += (uint64_t)((unsigned __int128)left * way / ways) / MC_PAGE * MC_PAGE;
    }
    return 0;
}

MC_PUBLIC const struct mc_policy mc_policy_module = {
    .abi = MC_POLICY_ABI,
    .name = "squeezed-like",
    .description = "the same part of the way from min to max for everybody",
    .open = open_squeezed,
    .close = close_squeezed,
    .decide = decide_squeezed,
};
