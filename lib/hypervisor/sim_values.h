/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The values that a scenario is made of. All return 0 or -EINVAL, -ENOMEM with a sentence. */
#ifndef MEMCTL_SIM_VALUES_H
#define MEMCTL_SIM_VALUES_H

#include <jansson.h>

#include "hypervisor/sim.h"

/* A member that is missing gives the fallback. */
int mc_sim_read_size(const json_t *object, const char *key, uint64_t fallback, uint64_t *bytes,
                     struct mc_error *err);
int mc_sim_read_seconds(const json_t *object, const char *key, uint64_t fallback_ms, uint64_t *ms,
                        struct mc_error *err);
int mc_sim_read_flag(const json_t *object, const char *key, bool *flag, struct mc_error *err);

/* A missing trace has no points. The points are to be freed. */
int mc_sim_read_trace(const json_t *object, const char *key, struct mc_trace *trace,
                      struct mc_error *err);

#endif
