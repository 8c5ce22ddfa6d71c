/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A policy without a governor: what it answers is what the balloons are told. For baselines that
 * bring their own idea of a safe step, and to see what the governor is worth. The functions do what
 * those of the engine do.
 */
#ifndef MEMCTL_RAW_H
#define MEMCTL_RAW_H

#include <memctl/engine.h>

struct mc_raw;

struct mc_raw *mc_raw_new(struct mc_policy_run *policy);
void mc_raw_free(struct mc_raw *raw);

int mc_raw_step(struct mc_raw *raw, const struct mc_engine_config *config,
                struct mc_snapshot *snapshot, struct mc_plan *plan, struct mc_error *err);
void mc_raw_done(struct mc_raw *raw, const char *uuid, uint64_t now_ms);
void mc_raw_failed(struct mc_raw *raw, const char *uuid, uint64_t now_ms);

#endif
