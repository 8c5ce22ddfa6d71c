/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does a guest show that it has too little memory? */
#ifndef MEMCTL_DISTRESS_H
#define MEMCTL_DISTRESS_H

#include <memctl/engine.h>

#include "engine/track.h"

/*
 * Fill in guest->distress, and in the track what follows from it: the size that it is given, the
 * cooldown, the floor that it taught. To be called after the guest's memory was estimated.
 */
void mc_distress_estimate(const struct mc_engine_config *config, struct mc_guest *guest,
                          struct mc_track *track, uint64_t now_ms);

#endif
