/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much of a whole a random sample of it says. Pure. */
#ifndef MEMCTL_SAMPLED_H
#define MEMCTL_SAMPLED_H

#include <stdbool.h>
#include <stdint.h>

/* A part of the whole, 0 to 1: the best guess, and between which bounds it lies. */
struct mc_part {
    double guess, least, most;
};

/* How sure it is that the truth is between the two, percent. */
#define MC_PART_SURE 95

/* Of `looked` things chosen at random, `had` had it. Nothing is known from none. */
struct mc_part mc_part_estimate(unsigned had, unsigned looked);

/* So many rounds count together. */
#define MC_COURSE_ROUNDS 4

/* What the last rounds saw; start from {0}. */
struct mc_course {
    struct mc_count {
        unsigned looked, had;
    } rounds[MC_COURSE_ROUNDS]; /* the newest first */
};

/*
 * Add a round, and say what it and those before it make together. Rounds before a change do not
 * count any more.
 */
struct mc_part mc_course_add(struct mc_course *course, unsigned had, unsigned looked);

/* Over how many rounds, and things, that is. */
unsigned mc_course_length(const struct mc_course *course);
unsigned mc_course_looked(const struct mc_course *course);

#endif
