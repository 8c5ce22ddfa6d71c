/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Working sets first: every guest gets what it works with and some headroom, at least what is
 * reserved for it; what is left over goes out by shares on top. If the needs alone exceed the
 * budget, they are divided by shares, and no guest gets more than its need.
 *
 * What a guest cannot give up now (min, where it is above what is reserved) bounds its answer and
 * is no need to put more on top of: one that only claims to be full would be given more each time.
 */
#include <memctl/policy.h>

#include <errno.h>
#include <math.h>

#include <memctl/units.h>

static const struct mc_policy_param params_working_set[] = {
    {
        .name = "headroom",
        .description = "what a guest gets above its active memory, as a part of it",
        .type = MC_PARAM_RATIO,
        .fallback = 0.25,
        .low = 0,
        .high = 10,
    },
};

static void *open_working_set(void)
{
    return mc_divider_new();
}

static void close_working_set(void *state)
{
    mc_divider_free(state);
}

/* The need in pages; the headroom in millionths, so that one input has one answer. */
static uint64_t need_of(const struct mc_policy_guest *guest, double headroom)
{
    uint64_t parts = (uint64_t)llround((1 + headroom) * 1e6);
    unsigned __int128 need = (unsigned __int128)guest->active * parts / 1000000;
    uint64_t bytes = need > guest->max ? guest->max : (uint64_t)need;

    return mc_clamp_u64(bytes, guest->reserved, guest->max) / MC_PAGE;
}

/* The same question of what comes on top of the needs. */
static int divide_rest(const struct mc_policy_input *input, double headroom,
                       struct mc_demand *demands, void *state, uint64_t *targets)
{
    uint64_t needs = 0;
    int rc;

    for (size_t i = 0; i < input->count; i++) {
        const struct mc_policy_guest *guest = &input->guests[i];
        uint64_t need = need_of(guest, headroom);

        demands[i].min = mc_less_u64(guest->min / MC_PAGE, need);
        demands[i].max = guest->max / MC_PAGE - need;
        needs += need;
    }
    rc = mc_divide(state, input->budget - needs * MC_PAGE, targets);
    for (size_t i = 0; rc == 0 && i < input->count; i++)
        targets[i] += need_of(&input->guests[i], headroom) * MC_PAGE;
    return rc;
}

static int decide_working_set(const struct mc_policy_input *input, const double *params,
                              void *state, uint64_t *targets)
{
    struct mc_demand *demands = mc_divider_demands(state, input);
    uint64_t needs = 0;

    if (!demands)
        return -ENOMEM;
    for (size_t i = 0; i < input->count; i++) {
        demands[i].max = mc_max_u64(need_of(&input->guests[i], params[0]), demands[i].min);
        needs += demands[i].max;
    }
    if (needs > input->budget / MC_PAGE)
        return mc_divide(state, input->budget, targets);
    return divide_rest(input, params[0], demands, state, targets);
}

MC_PUBLIC const struct mc_policy mc_policy_module = {
    .abi = MC_POLICY_ABI,
    .name = "working-set",
    .description = "covers what guests work with first, then divides the rest by shares",
    .params = params_working_set,
    .param_count = 1,
    .open = open_working_set,
    .close = close_working_set,
    .decide = decide_working_set,
};
