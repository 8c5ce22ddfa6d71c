/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proportional shares with a tax on idle memory (Waldspurger, OSDI 2002, section 5): an idle page
 * costs 1 / (1 - tax) times as much as an active one, so guests that use their memory are preferred
 * over guests of the same shares that only hold it. Tax 0 is plain shares; a tax below 100 % leaves
 * every guest a cushion for a sudden need.
 */
#include <memctl/policy.h>

#include <errno.h>
#include <math.h>

#include <memctl/units.h>

static const struct mc_policy_param params_idle_tax[] = {
    {
        .name = "tax",
        .description = "the part of an idle page's worth that is taxed away; 0 is plain shares",
        .type = MC_PARAM_RATIO,
        .fallback = 0.5,
        .low = 0,
        .high = 1,
        .below_high = true,
    },
};

static void *open_idle_tax(void)
{
    return mc_divider_new();
}

static void close_idle_tax(void *state)
{
    mc_divider_free(state);
}

static int decide_idle_tax(const struct mc_policy_input *input, const double *params, void *state,
                           uint64_t *targets)
{
    uint32_t rate = (uint32_t)lround((1 - params[0]) * MC_RATE_ONE);
    struct mc_demand *demands = mc_divider_demands(state, input);

    if (!demands)
        return -ENOMEM;
    for (size_t i = 0; i < input->count; i++) {
        demands[i].knee = input->guests[i].active / MC_PAGE;
        demands[i].rate_above = rate ? rate : 1;
    }
    return mc_divide(state, input->budget, targets);
}

MC_PUBLIC const struct mc_policy mc_policy_module = {
    .abi = MC_POLICY_ABI,
    .name = "idle-tax",
    .description = "divides memory by shares, and taxes what a guest holds without using it",
    .params = params_idle_tax,
    .param_count = 1,
    .open = open_idle_tax,
    .close = close_idle_tax,
    .decide = decide_idle_tax,
};
