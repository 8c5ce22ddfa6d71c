/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How guests fare, added up step by step. The definitions are those of docs/simulation.md. */
#ifndef MEMCTL_MEASURE_H
#define MEMCTL_MEASURE_H

#include <memctl/simulate.h>

#include "hypervisor/sim.h"

/* The rise of what a guest needs is looked at over so many seconds. */
#define MC_RISE_SECONDS 10

struct mc_meter;

struct mc_measure {
    struct mc_meter *meters; /* one per guest of the scenario */
    size_t count;
    uint64_t *waits; /* of all rises that were met, ms */
    size_t wait_count, wait_room;
    unsigned __int128 unmet, squeezed, overrun, over_budget; /* byte-milliseconds */
    uint64_t overrun_most, over_budget_most;
};

/* 0 or -ENOMEM */
int mc_measure_begin(struct mc_measure *measure, size_t count);
void mc_measure_free(struct mc_measure *measure);

/* After each step of the physics. budget: what the guests may occupy now. 0 or -ENOMEM. */
int mc_measure_step(struct mc_measure *measure, const struct mc_sim *sim, uint64_t budget);

/* The balloon of the scenario's guest of that UUID was told a target. */
void mc_measure_command(struct mc_measure *measure, const struct mc_sim *sim, const char *uuid);

/* At the end: fill what was measured, from from_ms on, into the result. 0 or -ENOMEM. */
int mc_measure_end(struct mc_measure *measure, uint64_t from_ms, struct mc_simulation *result);

#endif
