/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Moments of a simulation, kept at regular distances for plotting. */
#ifndef MEMCTL_SIMULATE_RECORD_H
#define MEMCTL_SIMULATE_RECORD_H

#include <memctl/simulate.h>

#include "hypervisor/sim.h"

struct mc_record {
    struct mc_simulation *result;
    uint64_t every_ms, next_ms;
    size_t room; /* for moments */
};

/* Make room for about `samples` moments of the result's duration. 0 or -ENOMEM. */
int mc_record_begin(struct mc_record *record, struct mc_simulation *result, size_t samples);

/* After each step of the physics, from from_ms on. */
void mc_record_step(struct mc_record *record, const struct mc_sim *sim, uint64_t budget,
                    uint64_t from_ms);

#endif
