/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The second step: what the observed numbers mean. Fills the estimated part of every guest.
 */
#ifndef MEMCTL_ESTIMATE_H
#define MEMCTL_ESTIMATE_H

#include <memctl/engine.h>

#include "engine/track.h"

void mc_estimate(const struct mc_engine_config *config, struct mc_snapshot *snapshot,
                 struct mc_tracks *tracks);

#endif
