/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random choices that can be made again: all of them follow from a seed, or from a tape on which
 * they were recorded. Zeros on a tape are the simplest choice (the lowest number, the end of a
 * list), so a case becomes simpler as its tape becomes shorter and its numbers smaller; that is how
 * property.c shrinks one.
 */
#ifndef MEMCTL_TEST_RANDOM_H
#define MEMCTL_TEST_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tape {
    uint64_t *choices;
    size_t count, room;
};

struct random {
    uint64_t state;
    struct tape *record;     /* takes down every choice, if not NULL */
    const struct tape *play; /* makes the choices instead of the seed; zeros after its end */
    size_t at;
};

/* A number below limit, or any if that is 0. */
uint64_t random_below(struct random *random, uint64_t limit);

static inline uint64_t random_next(struct random *random)
{
    return random_below(random, 0);
}

/* From low to high, both included. */
static inline uint64_t random_between(struct random *random, uint64_t low, uint64_t high)
{
    return low + random_below(random, high - low + 1);
}

/* Small as often as large: the size first, then a number of that size. */
static inline uint64_t random_scaled(struct random *random, uint64_t low, uint64_t high)
{
    uint64_t limit = high;

    while (limit > low && random_below(random, 2))
        limit = low + (limit - low) / 2;
    return random_between(random, low, limit);
}

/* Whether a list of up to `most` goes on: asked before each entry, so that entries can be cut out
 * of a tape together with their question. */
static inline bool random_more(struct random *random, size_t count, size_t most)
{
    return count < most && random_below(random, most) != 0;
}

#endif
