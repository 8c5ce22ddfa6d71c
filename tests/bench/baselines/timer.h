/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The others act every ten seconds, however often they are asked. */
#ifndef MEMCTL_BASELINE_TIMER_H
#define MEMCTL_BASELINE_TIMER_H

#include <stdbool.h>
#include <stdlib.h>

#include <memctl/policy.h>
#include <memctl/units.h>

#define TICK_MS 10000

/* All that a baseline remembers. */
struct timer {
    bool begun;
    uint64_t last_ms;
};

static inline void *timer_open(void)
{
    return calloc(1, sizeof(struct timer));
}

static inline void timer_close(void *state)
{
    free(state);
}

static inline bool timer_due(struct timer *timer, uint64_t now_ms)
{
    if (timer->begun && now_ms - timer->last_ms < TICK_MS)
        return false;
    timer->begun = true;
    timer->last_ms = now_ms;
    return true;
}

/* What the host can give and nobody occupies: negative when it is short. */
static inline int64_t host_free(const struct mc_policy_input *input)
{
    int64_t left = (int64_t)input->budget;

    for (size_t i = 0; i < input->count; i++)
        left -= (int64_t)input->guests[i].held;
    return left;
}

#endif
