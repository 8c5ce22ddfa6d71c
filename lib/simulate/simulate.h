/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Running a simulation that somebody has made, instead of a scenario file. */
#ifndef MEMCTL_SIMULATE_RUN_H
#define MEMCTL_SIMULATE_RUN_H

#include <memctl/engine.h>
#include <memctl/simulate.h>

#include "hypervisor/sim.h"

/*
 * As mc_simulate(). Takes over the simulation in any case. engine NULL: the defaults. What happens
 * before warm_up_ms is not measured, and the result's times count from there.
 */
int mc_simulate_sim(struct mc_sim *sim, const struct mc_engine_config *engine, uint64_t warm_up_ms,
                    const struct mc_simulate_config *config, struct mc_simulation **result,
                    struct mc_error *err);

#endif
