/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proportional shares: memory is divided in the ratio of the shares, between each guest's min and
 * max. What a guest does with its memory is not asked.
 */
#include <memctl/policy.h>

#include <errno.h>

static void *open_shares(void)
{
    return mc_divider_new();
}

static void close_shares(void *state)
{
    mc_divider_free(state);
}

static int decide_shares(const struct mc_policy_input *input, const double *params, void *state,
                         uint64_t *targets)
{
    (void)params;
    if (!mc_divider_demands(state, input))
        return -ENOMEM;
    return mc_divide(state, input->budget, targets);
}

MC_PUBLIC const struct mc_policy mc_policy_module = {
    .abi = MC_POLICY_ABI,
    .name = "shares",
    .description = "divides memory in the ratio of the shares, whatever the guests do with it",
    .open = open_shares,
    .close = close_shares,
    .decide = decide_shares,
};
