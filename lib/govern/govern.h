/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fourth step: which part of the policy's wish is safe now. See govern.c.
 */
#ifndef MEMCTL_GOVERN_H
#define MEMCTL_GOVERN_H

#include <memctl/engine.h>

#include "engine/track.h"

/* Fill budget, overheads, exempt and divided of the plan from the snapshot. Pure. */
void mc_budget_divide(const struct mc_budget_config *config, const struct mc_snapshot *snapshot,
                      const struct mc_tracks *tracks, struct mc_plan *plan);

/*
 * The least that a managed guest needs to have without harm: what it uses and a margin, which can
 * be more than it has; 0 if nothing is known. The policy divides above it.
 */
uint64_t mc_floor(const struct mc_engine_config *config, const struct mc_guest *guest);

/* Turn the wishes in the plan's steps into safe targets with their reasons. */
void mc_govern(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
               struct mc_tracks *tracks, struct mc_plan *plan);

#endif
