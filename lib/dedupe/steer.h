/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of the steering. */
#ifndef MEMCTL_DEDUPE_STEER_H
#define MEMCTL_DEDUPE_STEER_H

#include <memctl/steer.h>

/*
 * What ksmd looks at in a second of processor time: 375,000 pages were measured on a development
 * machine with its memory idle; it is the same order on others.
 */
#define MC_KSM_PAGES_PER_SECOND 375000

/* steer_worth.c: does merging it pay? Judged anew with every pass of the scanner. */
void mc_steer_weigh(const struct mc_steer_config *config, struct mc_steer_guest *guest,
                    bool is_new_pass);

/* steer.c: who may not be mergeable beside the domain's guests, and is, or may be; NULL. */
const struct mc_steer_guest *mc_steer_blocker(const struct mc_steer_guest *guests, size_t count,
                                              const char *domain);

/* steer_pace.c: may ksmd run, and how fast? plan->promised and saved are known. */
void mc_steer_set_pace(const struct mc_steer_config *config, const struct mc_steer_host *host,
                       const struct mc_steer_guest *guests, size_t count,
                       struct mc_steer_memory *memory, struct mc_steer_plan *plan);

#endif
