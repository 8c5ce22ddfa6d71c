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

#include "agent_peer.h"

struct agents;

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
