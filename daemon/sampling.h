/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What guests touch, seen from the host (memctl/sample.h), on a thread of its own: a round takes a
 * window, and DAMON lets whoever asks it wait. Only guests whose agent does not know it are looked
 * at.
 */
#ifndef MEMCTLD_SAMPLING_H
#define MEMCTLD_SAMPLING_H

#include <memctl/model.h>
#include <memctl/sample.h>

#include "config.h"

struct sampling;

/* How it goes. */
struct sampling_state {
    bool on;
    char method[16];   /* "" while it does not work */
    char why[320];     /* or else: why it does not; "" when it was not asked to */
    uint64_t rounds;   /* so far */
    uint64_t cpu_us;   /* that they took */
    unsigned subjects; /* guests in the last one */
};

/* Begin. root: "", or a folder with the kernel's files for tests. NULL when out of memory. */
struct sampling *sampling_start(const struct sampling_config *config, const char *root);

/* Tell it of the guests that there are, and add to them what it has found out. */
void sampling_follow(struct sampling *sampling, struct mc_snapshot *snapshot);

struct sampling_state sampling_state(struct sampling *sampling);

/* End, within a moment, and leave the kernel as it was. NULL is allowed. */
void sampling_stop(struct sampling *sampling);

#endif
