/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of the steering. */
#ifndef MEMCTL_DEDUPE_STEER_H
#define MEMCTL_DEDUPE_STEER_H

#include <memctl/steer.h>

/*
 * What ksmd looks at in a second of processor time, until this host's ksmd has shown how many it
 * does: 375,000 pages were measured on a development machine with its memory idle.
 */
#define MC_KSM_PAGES_PER_SECOND 375000

/*
 * steer_speed.c: both count from the host's boot; MC_UNKNOWN where the kernel does not tell. What
 * is learned stays.
 */
void mc_steer_learn(struct mc_steer_speed *speed, uint64_t pages, uint64_t cpu_us);
uint64_t mc_steer_pages_per_second(const struct mc_steer_speed *speed);

/* steer_worth.c: does merging it pay? Judged anew with every pass of the scanner. */
void mc_steer_weigh(const struct mc_steer_config *config, const struct mc_steer_speed *speed,
                    struct mc_steer_guest *guest, bool is_new_pass);

/* steer.c: who may not be mergeable beside the domain's guests, and is, or may be; NULL. */
const struct mc_steer_guest *mc_steer_blocker(const struct mc_steer_guest *guests, size_t count,
                                              const char *domain);

/*
 * steer_pace.c: may ksmd run, and how fast? plan->promised and saved are known. Notes what was
 * promised when a search begins.
 */
void mc_steer_set_pace(const struct mc_steer_config *config, const struct mc_steer_host *host,
                       struct mc_steer_guest *guests, size_t count, struct mc_steer_memory *memory,
                       struct mc_steer_plan *plan);

#endif
