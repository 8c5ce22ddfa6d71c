/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hundred pages chosen at random say what part of all pages is touched, whatever the guest's
 * size, within ten percent of the whole (Waldspurger, OSDI 2002, section 5.3). The bounds are
 * Wilson's score interval (E. B. Wilson, Probable inference, JASA 22, 1927), which also holds for
 * parts near nothing and near all, where the usual one shrinks to a point: of a hundred pages of
 * which none was touched, up to 4 % may be.
 *
 * Two minutes of rounds count together, which halves the error, as long as they speak of the same
 * thing: a round whose bounds do not meet those of the rounds before it shows that the guest has
 * changed, and begins anew.
 */
#include "estimate/sampled.h"

#include <math.h>
#include <string.h>

/* The normal distribution has 2.5 % beyond this, on each side. */
#define SCORE 1.96

struct mc_part mc_part_estimate(unsigned had, unsigned looked)
{
    double n = looked, p, middle, half;

    if (looked == 0)
        return (struct mc_part){.guess = 1, .least = 0, .most = 1};
    p = had / n;
    middle = (p + SCORE * SCORE / (2 * n)) / (1 + SCORE * SCORE / n);
    half = SCORE * sqrt(p * (1 - p) / n + SCORE * SCORE / (4 * n * n)) / (1 + SCORE * SCORE / n);
    return (struct mc_part){
        .guess = p, .least = fmax(middle - half, 0), .most = fmin(middle + half, 1)};
}

static struct mc_count sum(const struct mc_course *course)
{
    struct mc_count sum = {0};

    for (unsigned i = 0; i < MC_COURSE_ROUNDS; i++) {
        sum.looked += course->rounds[i].looked;
        sum.had += course->rounds[i].had;
    }
    return sum;
}

struct mc_part mc_course_add(struct mc_course *course, unsigned had, unsigned looked)
{
    struct mc_count before = sum(course), now;
    struct mc_part was = mc_part_estimate(before.had, before.looked);
    struct mc_part is = mc_part_estimate(had, looked);

    if (looked > 0) {
        if (is.least > was.most || is.most < was.least)
            *course = (struct mc_course){0};
        memmove(&course->rounds[1], &course->rounds[0],
                sizeof(course->rounds) - sizeof(course->rounds[0]));
        course->rounds[0] = (struct mc_count){.looked = looked, .had = had};
    }
    now = sum(course);
    return mc_part_estimate(now.had, now.looked);
}

unsigned mc_course_length(const struct mc_course *course)
{
    unsigned length = 0;

    while (length < MC_COURSE_ROUNDS && course->rounds[length].looked > 0)
        length++;
    return length;
}

unsigned mc_course_looked(const struct mc_course *course)
{
    return sum(course).looked;
}
