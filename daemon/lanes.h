/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads for calls that may block.
 *
 * A lane is a thread with a hypervisor session of its own. A job runs on whatever lane is idle; its
 * outcome comes back on the main loop. A job that is not back by its deadline is called late: its
 * lane is left to wait (such a call cannot be cancelled) and another one takes its place, so one
 * hung guest costs one lane and delays nobody. The number of lanes is bounded, and some of them are
 * kept for jobs that go first: however many others hang, guests can still be observed.
 */
#ifndef MEMCTLD_LANES_H
#define MEMCTLD_LANES_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include <memctl/hypervisor.h>

#include "job.h"

struct lanes;

/* After so long without work a lane ends: its connection is kept alive by messages, which cost. */
#define LANES_IDLE_MS 60000

/* Owns nothing of hypervisor. NULL when out of memory or descriptors. */
struct lanes *lanes_new(struct event_base *base, struct mc_hypervisor *hypervisor,
                        unsigned idle_ms);

/*
 * Wait a moment for the jobs under way, then free. Returns false if a lane is stuck: then the
 * process must exit without freeing what a lane may still use.
 */
bool lanes_free(struct lanes *lanes);

/* Run the job as soon as its time has come and a lane is idle. Never blocks. */
void lanes_submit(struct lanes *lanes, struct job *job);

/* Have a job that waits for its time run at this time already. False if it waits no more. */
bool lanes_hurry(struct job *job, uint64_t at_ms);

/* Lanes that wait for a late job. */
unsigned lanes_stuck(struct lanes *lanes);

#endif
