/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/pace.h"

#include <memctl/units.h>

uint64_t mc_pace_pause(struct mc_pace *pace, uint64_t now_us, uint64_t spent_us, unsigned percent)
{
    uint64_t passed = pace->last_us ? mc_less_u64(now_us, pace->last_us) : 0;
    int64_t most = (int64_t)percent * 10000; /* of a second */

    pace->last_us = now_us;
    /* Beyond that nothing is saved up; and a clock that jumps cannot overflow it. */
    pace->credit_us += (int64_t)mc_min_u64(passed, 100 * (uint64_t)1000000) * percent / 100;
    if (pace->credit_us > most)
        pace->credit_us = most;
    pace->credit_us -= (int64_t)spent_us;
    return pace->credit_us >= 0 ? 0 : (uint64_t)-pace->credit_us * 100 / percent;
}
