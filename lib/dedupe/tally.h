/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the table to the figures: one walk over all frames at the end of a pass. Pure.
 *
 * Contents that occur at least `heavy` times, and all of them while nothing is sampled, are counted
 * as they are. The others are known by a sample: one of 2^shift contents, with all its pages. What
 * they add is estimated by ratio: (pages that are duplicates) / (pages) in the sample, times the
 * pages that are not heavy, of which there is an exact count. With x and y of each content c in the
 * sample, p = 2^-shift and R = sum y / sum x, the variance of the estimate is
 *
 *     (1 - p) / p^2 * sum (y_c - R x_c)^2
 *
 * (Särndal, Swensson, Wretman, "Model Assisted Survey Sampling", 1992, section 7.3, for Poisson
 * sampling), and the error that is told is 1.96 of its roots.
 */
#ifndef MEMCTL_TALLY_H
#define MEMCTL_TALLY_H

#include <memctl/dedupe.h>

#include "dedupe/frames.h"

struct mc_tally_guest {
    bool counts;      /* else its frames are left out */
    unsigned domain;  /* index of its trust domain */
    uint64_t nonzero; /* pages that were read and are not zero */
};

struct mc_tally_input {
    const struct mc_frames *frames;
    const struct mc_tally_guest *guests; /* by the frames' guest */
    size_t guest_count;
    size_t domain_count;
    unsigned shift;
    uint64_t heavy;
};

/* inside, across, changing, unique, saving and error of each guest are set; the rest is kept. */
struct mc_tally_output {
    struct mc_dedupe_figures *guests; /* as many as in the input */
    struct mc_dedupe_domain *domains; /* saving and error are set */
    struct mc_dedupe_pair *pairs;     /* allocated; most shared first */
    size_t pair_count;
};

/* Does the sample hold this hash? */
static inline bool mc_tally_samples(uint64_t hash, unsigned shift)
{
    return (hash & ((UINT64_C(1) << shift) - 1)) == 0;
}

/* -ENOMEM. */
int mc_tally(const struct mc_tally_input *input, struct mc_tally_output *output);

#endif
