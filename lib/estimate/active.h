/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much memory a guest works with. */
#ifndef MEMCTL_ACTIVE_H
#define MEMCTL_ACTIVE_H

#include <memctl/engine.h>

#include "engine/track.h"

/*
 * Fill in guest->active and guest->active_source, from what was found out about guest->used and
 * guest->held; what is remembered for that is in the track.
 */
void mc_active_estimate(const struct mc_engine_config *config, struct mc_guest *guest,
                        struct mc_track *track, uint64_t now_ms);

#endif
