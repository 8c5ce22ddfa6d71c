/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks out for guests that nobody would hear in time (memctl/filling.h): reads the processor time
 * of their QEMUs now and then, asks those that work for statistics out of turn, and wakes the
 * engine when one runs out of memory. Costs nothing while no guest is exposed.
 */
#ifndef MEMCTLD_LOOKOUT_H
#define MEMCTLD_LOOKOUT_H

#include <stdint.h>

#include <memctl/model.h>

struct daemon;
struct lookout;

/* NULL when out of memory. */
struct lookout *lookout_new(struct daemon *daemon);
/* After the lanes have ended. NULL is allowed. */
void lookout_free(struct lookout *lookout);
/* No more looks: the loop ends. NULL is allowed. */
void lookout_stop(struct lookout *lookout);

/* Before the engine's pass: who was seen to run out of memory. */
void lookout_apply(const struct lookout *lookout, struct mc_snapshot *snapshot);

/* After it: who is exposed from here on. */
void lookout_follow(struct lookout *lookout);

#endif
