/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A property is a statement that holds in every case; a case is made of random choices. One that
 * breaks the property is shrunk to a small one, which is shown.
 *
 *     #define CHECK(condition, property, sum) \
 *         PROPERTY_CHECK(property, condition, #condition, print_sum(sum))
 *
 *     static void sums_never_shrink(struct property *property)
 *     {
 *         struct sum sum = random_sum(&property->random);
 *
 *         CHECK(grows(&sum), property, &sum);
 *     }
 *
 * MEMCTL_TEST_SEED=N runs that case alone, as it is, and MEMCTL_TEST_CASES=N so many cases instead
 * of the usual number, from MEMCTL_TEST_FIRST=N on.
 */
#ifndef MEMCTL_TEST_PROPERTY_H
#define MEMCTL_TEST_PROPERTY_H

#include <setjmp.h>

#include "random.h"

struct property {
    const void *subject; /* what is under test, where that is not always the same */
    struct random random;
    bool shows; /* the case is to be printed when it breaks: it will not be shrunk further */
    const char *broken;
    jmp_buf end;
};

/* Check this many cases, the seeds from 1 on; fails the test at the first that breaks. */
void property_holds(void (*check)(struct property *property), const void *subject, uint64_t cases);

/* The first seed whose case breaks it, with the condition; 0 if none of so many does. */
uint64_t property_breaks(void (*check)(struct property *property), const void *subject,
                         uint64_t cases, const char **condition);

/* Ends the case. What it has allocated is its own to free before. */
_Noreturn void property_broken(struct property *property, const char *condition);

/*
 * A test defines its CHECK() by this: what it checks, the same as text, and how it shows its case.
 * The text is made in CHECK() itself, which sees the condition as it was written.
 */
#define PROPERTY_CHECK(property, condition, text, show)                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            if ((property)->shows)                                                                 \
                (show);                                                                            \
            property_broken(property, text);                                                       \
        }                                                                                          \
    } while (0)

#endif
