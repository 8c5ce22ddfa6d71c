/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All that is known of host and guests in some time, for capacity and plan. */
#ifndef MEMCTL_CLI_GATHER_H
#define MEMCTL_CLI_GATHER_H

#include <memctl/past.h>

#include "past.h"

struct gathered {
    struct mc_past past; /* points into what follows */
    struct series host, guests;
    json_t *engine;
};

/*
 * All rows of this tier. NULL: those of the guests that fit best, and of the host finer ones where
 * that is not too much.
 */
int gather(const struct past *source, const char *tier, int64_t since_ms, int64_t until_ms,
           struct gathered *gathered, struct mc_error *err);
void gathered_free(struct gathered *gathered);

/*
 * Run a command without arguments that shows some time, by default so long until now: `show` gets
 * where the past can be asked for, and from when to when. Returns the exit code; what is wrong with
 * the options is -EINVAL.
 */
int gather_run(const struct cli *cli, const struct command *command, int argc,
               uint64_t otherwise_ms,
               int (*show)(const struct cli *cli, const struct past *past, int64_t since_ms,
                           int64_t until_ms, struct mc_error *err));

/* The guest with this name or UUID, or NULL. */
const struct mc_past_guest *gathered_find(const struct gathered *gathered, const char *name);

#endif
