/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random cases that can be had again: every test prints its seed when it fails, and
 * MEMCTL_TEST_SEED=N runs that one alone.
 */
#ifndef MEMCTL_TEST_RANDOM_H
#define MEMCTL_TEST_RANDOM_H

#include <stdint.h>
#include <stdlib.h>

struct random {
    uint64_t state;
};

/* splitmix64 (Steele, Lea and Flood, OOPSLA 2014). */
static inline uint64_t random_next(struct random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* From low to high, both included. */
static inline uint64_t random_between(struct random *random, uint64_t low, uint64_t high)
{
    return low + random_next(random) % (high - low + 1);
}

/* Small as often as large: the size first, then a number of that size. */
static inline uint64_t random_scaled(struct random *random, uint64_t low, uint64_t high)
{
    uint64_t limit = high;

    while (limit > low && random_next(random) % 2)
        limit = low + (limit - low) / 2;
    return random_between(random, low, limit);
}

/* Call run for each seed; how many there are, or the one that the environment names. */
#define FOR_EACH_SEED(seed, count)                                                                 \
    for (uint64_t seed = getenv("MEMCTL_TEST_SEED")                                                \
                             ? strtoull(getenv("MEMCTL_TEST_SEED"), NULL, 0)                       \
                             : 1,                                                                  \
                  end_##seed = getenv("MEMCTL_TEST_SEED") ? seed + 1 : (count) + 1;                \
         seed < end_##seed; seed++)

#endif
