/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One run of one guest, as its agent's channel knows it: the connection, and what was said on it.
 * Everything runs on the main loop and nothing blocks.
 *
 * A peer costs the host a fixed amount, whatever the guest does: one descriptor, one line of
 * buffer, so many lines a window, so many lines of log a minute. A guest that says more is hung up
 * and called again after a pause, which also throws away what had piled up in between. Pauses
 * double while nothing sensible comes and start anew after a good message.
 *
 * That a connect succeeds means little: QEMU serves one client, and others wait in the listener's
 * queue. Only what an agent says makes it present, and only as long as it is recent.
 */
#ifndef MEMCTLD_AGENT_PEER_H
#define MEMCTLD_AGENT_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include <event2/event.h>

#include <memctl/agent_protocol.h>
#include <memctl/model.h>

#include "agents.h"

/* What the operator is told about, each when it begins. */
enum peer_state {
    PEER_UNHEARD, /* not told: most guests have no agent */
    PEER_UNREACHABLE,
    PEER_SPEAKING,
    PEER_SILENT,
    PEER_FLOODING,
};

/* So many in a window of time, no more. */
struct allowance {
    unsigned used;
    uint64_t since_ms;
};

struct peer {
    struct agents *agents;
    struct event_base *base;
    struct agents_counters *counters; /* of all peers */
    struct peer *next;
    char uuid[MC_UUID_TEXT], name[MC_NAME_TEXT];
    int run_id;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    uint64_t memory; /* what the guest was configured with: it cannot have more */

    int fd; /* -1: not connected */
    struct event *readable;
    uint64_t retry_ms, pause_ms;
    enum peer_state state;
    struct allowance lines, logs, wakes;

    char line[MC_AGENT_LINE_MAX];
    size_t length;
    bool skipping; /* the rest of an over-long line */

    uint64_t seq;
    struct mc_agent_report said; /* received_ms 0: nothing yet on this connection */
    uint64_t stall_total_us;     /* as it was counted at stall_ms, MC_UNKNOWN */
    uint64_t stall_ms;
};

/*
 * Of a guest with a channel; NULL when memory is out. The base and the counters, which it adds to,
 * have to outlive it.
 */
struct peer *peer_new(struct agents *agents, const struct mc_guest *guest, struct event_base *base,
                      struct agents_counters *counters);
void peer_free(struct peer *peer);

/* Is it this run of this guest? */
bool peer_is_of(const struct peer *peer, const struct mc_guest *guest);

/* Call the agent if it is time to, and add to the guest what it said. */
void peer_follow(struct peer *peer, struct mc_guest *guest, uint64_t now_ms);

/* agents.c: a guest is in distress, and may have the engine look at once. */
void agents_wake(struct agents *agents, uint64_t now_ms);

#endif
