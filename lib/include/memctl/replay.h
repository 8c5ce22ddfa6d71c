/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recordings: all that an engine was told and what it answered, one JSON object per line, so that
 * the same can be asked again later. docs/recording.md describes the format.
 */
#ifndef MEMCTL_REPLAY_H
#define MEMCTL_REPLAY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <memctl/engine.h>
#include <memctl/error.h>
#include <memctl/model.h>
#include <memctl/policy.h>
#include <memctl/visibility.h>

#define MC_RECORDING_VERSION 1

/* The lines; each returns a new reference, or NULL when out of memory. */

/* The engine was made or configured anew, and the policy has no state yet. */
MC_PUBLIC json_t *mc_recording_begin(const struct mc_engine_config *config,
                                     const struct mc_policy_run *policy);
/* One pass; plan NULL if it failed. */
MC_PUBLIC json_t *mc_recording_step(const struct mc_snapshot *snapshot, const struct mc_plan *plan);
/* What became of a command. */
MC_PUBLIC json_t *mc_recording_outcome(const char *uuid, uint64_t now_ms, bool done);
/* A command was not carried out, in a dry run. */
MC_PUBLIC json_t *mc_recording_withheld(const char *uuid);
MC_PUBLIC json_t *mc_recording_unsettle(void);
/* The engine was told what an earlier one had learned. */
MC_PUBLIC json_t *mc_recording_teach(const struct mc_lesson *lessons, size_t count,
                                     uint64_t now_ms);

struct mc_replay_result {
    size_t steps;             /* passes that were asked again */
    size_t commands;          /* balloon targets in their plans */
    size_t guests;            /* the most in one snapshot */
    size_t differ;            /* plans that came out differently */
    size_t first_line;        /* of those, the first */
    char first[MC_NAME_TEXT]; /* and what about it: the guest's name, or "" for the whole plan */
    bool cut;                 /* the last line is not complete: the writer was killed */
};

/*
 * Ask again all that is in the file. 0 also where plans differ. -ENOENT, -EINVAL with line and
 * sentence.
 */
MC_PUBLIC int mc_replay(const char *file, struct mc_replay_result *result, struct mc_error *err);

#endif
