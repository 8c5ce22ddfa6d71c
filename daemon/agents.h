/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's ends of the channels to the agents inside the guests. Everything runs on the main loop
 * and nothing blocks. The agents only ever add to a snapshot what the guest said of itself.
 */
#ifndef MEMCTLD_AGENTS_H
#define MEMCTLD_AGENTS_H

#include <stdint.h>

#include <event2/event.h>

#include <memctl/model.h>

struct agents;

/* Since the start, of all guests; each is fit to be a metric. */
struct agents_counters {
    uint64_t messages; /* taken */
    uint64_t gaps;     /* in the sequence numbers: the guest dropped what did not fit its queue */
    uint64_t ignored;  /* garbage, over-long lines, messages of others or with impossible values */
    uint64_t floods;   /* hang-ups because a guest said too much */
    uint64_t distress; /* events of distress, whether they woke the engine or not */
};

/*
 * NULL when memory is out. The process has to ignore SIGPIPE. `wake` is called, with `opaque` and
 * from the loop, when the engine should look at once because a guest is in distress: at most five
 * times a second, whatever the guests say. It may be NULL.
 */
struct agents *agents_new(struct event_base *base, void (*wake)(void *opaque), void *opaque);
void agents_free(struct agents *agents);

/*
 * Connect to the channels of the snapshot's guests, forget those of guests that are gone, and add
 * what the agents said to the snapshot (guest->agent). The snapshot's clock is the monotonic one.
 */
void agents_follow(struct agents *agents, struct mc_snapshot *snapshot);

const struct agents_counters *agents_counters(const struct agents *agents);

#endif
