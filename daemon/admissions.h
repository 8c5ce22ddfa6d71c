/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guests that are about to start. Each has a pledge from when somebody asks until it is seen
 * running, or the pledge runs out; whoever asked waits for the pass in which there is room.
 */
#ifndef MEMCTLD_ADMISSIONS_H
#define MEMCTLD_ADMISSIONS_H

#include <memctl/model.h>

struct admission;

struct admissions {
    struct admission *list; /* in the order in which they were made */
    unsigned count;
};

/* Drop the pledges of guests that run now and those that ran out, and note the rest. */
void admissions_apply(struct admissions *admissions, struct mc_snapshot *snapshot);

/* After a plan for that snapshot: answer those for whom there is room, or can be none. */
void admissions_answer(struct admissions *admissions, const struct mc_plan *plan);

/* Nobody is answered any more. */
void admissions_free(struct admissions *admissions);

#endif
