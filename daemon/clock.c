/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clock.h"

#include <time.h>

static uint64_t microseconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_now_ms(void)
{
    return microseconds(CLOCK_MONOTONIC) / 1000;
}

uint64_t clock_now_us(void)
{
    return microseconds(CLOCK_MONOTONIC);
}

uint64_t clock_processor_us(void)
{
    return microseconds(CLOCK_THREAD_CPUTIME_ID);
}
