/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading the lines of a recording; writing them is public. */
#ifndef MEMCTL_RECORDING_H
#define MEMCTL_RECORDING_H

#include <memctl/replay.h>

/* What was written of the configuration, the policy and the snapshot. -EINVAL with a sentence. */
int mc_recording_read_config(const json_t *begin, struct mc_engine_config *config,
                             struct mc_error *err);
int mc_recording_read_policy(const json_t *begin, struct mc_policy_run **policy,
                             struct mc_error *err);
int mc_recording_read_snapshot(const json_t *step, struct mc_snapshot *snapshot,
                               struct mc_error *err);

int mc_recording_read_lesson(const json_t *object, struct mc_lesson *lesson, struct mc_error *err);

/* The plan as a line carries it. */
json_t *mc_recording_plan(const struct mc_plan *plan);

#endif
