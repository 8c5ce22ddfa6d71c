/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Automatic ballooning as Proxmox VE describes it: every ten seconds the host is brought towards
 * 80 % of its memory in use. What there is to give or to take is divided by shares above the
 * guests' minimum, and no guest changes by more than 100 MiB at once. Guests that are short of
 * memory grow first; guests with plenty shrink first. A guest is short, or has plenty, by one
 * threshold: a quarter of its minimum free.
 *
 * Its chance is fair, and more: it is told what is resident on the host without asking, and it has
 * the same estimate of what a guest uses as memctl.
 */
#include "timer.h"

#include <math.h>

#define STEP (100 * MC_MIB)

/* Nearer to the goal than this is there. */
#define NEAR (10 * (int64_t)MC_MIB)

static const struct mc_policy_param params_proxmox[] = {
    {
        .name = "goal",
        .description = "the part of the host that shall be in use",
        .fallback = 0.80,
        .low = 0,
        .high = 1,
    },
};

static bool has_plenty(const struct mc_policy_guest *guest)
{
    return mc_less_u64(guest->current, guest->active) > guest->min / 4;
}

/* May it move in this direction at all, and does it belong to those who are asked now? */
static bool is_asked(const struct mc_policy_guest *guest, uint64_t target, bool grow, bool plenty)
{
    if (has_plenty(guest) != plenty || target != guest->current)
        return false;
    return grow ? guest->current < guest->max : guest->current > guest->min;
}

/* By shares, in rounds of one: what a guest cannot take is left to the next group. */
static uint64_t move(const struct mc_policy_input *input, bool grow, bool plenty, uint64_t left,
                     uint64_t *targets)
{
    uint64_t shares = 0, all = left;

    for (size_t i = 0; i < input->count; i++)
        if (is_asked(&input->guests[i], targets[i], grow, plenty))
            shares += input->guests[i].shares;
    for (size_t i = 0; i < input->count && shares; i++) {
        const struct mc_policy_guest *guest = &input->guests[i];
        uint64_t part, change;

        if (!is_asked(guest, targets[i], grow, plenty))
            continue;
        part = (uint64_t)((unsigned __int128)all * guest->shares / shares) / MC_PAGE * MC_PAGE;
        change = mc_min_u64(part, STEP);
        change =
            mc_min_u64(change, grow ? guest->max - guest->current : guest->current - guest->min);
        targets[i] = grow ? guest->current + change : guest->current - change;
        left -= mc_min_u64(change, left);
    }
    return left;
}

static int decide_proxmox(const struct mc_policy_input *input, const double *params, void *state,
                          uint64_t *targets)
{
    int64_t reserve = llround((double)input->budget * (1 - params[0]));
    int64_t goal = host_free(input) - reserve;
    bool grow = goal > 0;
    uint64_t left = (uint64_t)(grow ? goal : -goal);

    if (!timer_due(state, input->now_ms) || (goal < NEAR && goal > -NEAR))
        return 0;
    for (size_t i = 0; i < input->count; i++)
        targets[i] = input->guests[i].current;
    left = move(input, grow, !grow, left, targets);
    move(input, grow, grow, left, targets);
    return 0;
}

MC_PUBLIC const struct mc_policy mc_policy_module = {
    .abi = MC_POLICY_ABI,
    .name = "proxmox-like",
    .description = "100 MiB every ten seconds towards 80 % of the host in use",
    .params = params_proxmox,
    .param_count = 1,
    .open = timer_open,
    .close = timer_close,
    .decide = decide_proxmox,
};
