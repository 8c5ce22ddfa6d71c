/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many pages ksmd looks at in a second of its processor time, learned from what it does on this
 * host: the kernel counts both (pages_scanned, from 6.6 on, and the time of every task). It differs
 * by the processor and by what ksmd does: a page that changed costs a checksum, one that is merged
 * a walk through the tree and a compare. So it is the mean of a while, the latest with a quarter.
 */
#include "dedupe/steer.h"

/* Of less than that, the clock's ticks and the batch that ends a pass would be a good part. */
#define LEARN_PAGES 20000
#define LEARN_US 40000

/* No processor is slower or faster than that: what says so are counters that were set back. */
#define SPEED_LEAST 10000
#define SPEED_MOST 20000000

static void begin(struct mc_steer_speed *speed, uint64_t pages, uint64_t cpu_us)
{
    speed->begun = true;
    speed->pages = pages;
    speed->cpu_us = cpu_us;
}

void mc_steer_learn(struct mc_steer_speed *speed, uint64_t pages, uint64_t cpu_us)
{
    uint64_t looked, spent, seen;

    if (pages == MC_UNKNOWN || cpu_us == MC_UNKNOWN) {
        speed->begun = false;
        return;
    }
    if (!speed->begun || pages < speed->pages || cpu_us < speed->cpu_us) {
        begin(speed, pages, cpu_us);
        return;
    }
    looked = mc_min_u64(pages - speed->pages, MC_SIZE_MAX / 1000000);
    spent = cpu_us - speed->cpu_us;
    if (looked < LEARN_PAGES || spent < LEARN_US)
        return;
    seen = mc_clamp_u64(looked * 1000000 / spent, SPEED_LEAST, SPEED_MOST);
    speed->learned = speed->learned ? (3 * speed->learned + seen) / 4 : seen;
    begin(speed, pages, cpu_us);
}

uint64_t mc_steer_pages_per_second(const struct mc_steer_speed *speed)
{
    return speed->learned ? speed->learned : MC_KSM_PAGES_PER_SECOND;
}
