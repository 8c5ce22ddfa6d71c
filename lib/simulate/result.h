/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a run leaves, before it has begun: who took part, under which policy. */
#ifndef MEMCTL_RESULT_H
#define MEMCTL_RESULT_H

#include <memctl/policy.h>
#include <memctl/simulate.h>

#include "hypervisor/sim.h"

/* To be freed with mc_simulation_free(); NULL when out of memory. */
struct mc_simulation *mc_result_begin(const struct mc_sim *sim, const struct mc_policy *policy,
                                      const struct mc_simulate_config *config);

#endif
