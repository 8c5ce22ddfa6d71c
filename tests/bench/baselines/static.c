/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host without memory management, planned with care: every guest has its part of the budget by
 * shares, between min and max, once and for all. It only changes when guests come or go or the
 * budget does.
 */
#include <memctl/policy.h>

#include <errno.h>

static void *open_static(void)
{
    return mc_divider_new();
}

static void close_static(void *state)
{
    mc_divider_free(state);
}

static int decide_static(const struct mc_policy_input *input, const double *params, void *state,
                         uint64_t *targets)
{
    (void)params;
    if (!mc_divider_demands(state, input))
        return -ENOMEM;
    return mc_divide(state, input->budget, targets);
}

MC_PUBLIC const struct mc_policy mc_policy_module = {
    .abi = MC_POLICY_ABI,
    .name = "static",
    .description = "a fixed partition by shares",
    .open = open_static,
    .close = close_static,
    .decide = decide_static,
};
