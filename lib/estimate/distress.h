/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does a guest show that it has too little memory? */
#ifndef MEMCTL_DISTRESS_H
#define MEMCTL_DISTRESS_H

#include <memctl/engine.h>

#include "engine/track.h"

/* The guest's own cooldown, or else the engine's. */
static inline uint64_t mc_cooldown_ms(const struct mc_engine_config *config,
                                      const struct mc_guest *guest)
{
    return guest->terms.cooldown_ms == MC_UNKNOWN ? config->cooldown_ms : guest->terms.cooldown_ms;
}

/*
 * Fill in guest->distress, and in the track what follows from it: the size that it is given, the
 * cooldown, the floor that it taught. To be called after the guest's memory was estimated.
 */
void mc_distress_estimate(const struct mc_engine_config *config, struct mc_guest *guest,
                          struct mc_track *track, uint64_t now_ms);

/* What a guest in trouble is given at once, bytes. */
uint64_t mc_distress_step(const struct mc_guest *guest);

/* Bytes that are to stay free of so many: of what a guest has, or above what it uses. */
static inline uint64_t mc_margin(const struct mc_engine_config *config, uint64_t bytes)
{
    return mc_max_u64(config->floor_margin, bytes / 100 * config->floor_percent);
}

#endif
