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

/* What the operator is told about, each when it begins. */
enum peer_state {
    PEER_UNHEARD, /* not told: most guests have no agent */
    PEER_UNREACHABLE,
    PEER_SPEAKING,
    PEER_SILENT,
    PEER_FLOODING,
};

/* Since the start, of all guests; each is fit to be a metric. */
struct agents_counters {
    uint64_t messages; /* taken */
    uint64_t gaps;     /* in the sequence numbers: the guest dropped what did not fit its queue */
    uint64_t ignored;  /* garbage, over-long lines, messages of others or with impossible values */
    uint64_t floods;   /* hang-ups because a guest said too much */
    uint64_t distress; /* events of distress, whether they woke the engine or not */
};

/* What peers have in common. */
struct peer_context {
    struct event_base *base;
    struct agents_counters counters;
    /* A guest is in distress, and may have the engine look at once. */
    void (*wake)(void *opaque, uint64_t now_ms);
    void *opaque;
};

/* So many in a window of time, no more. */
struct allowance {
    unsigned used;
    uint64_t since_ms;
};

struct peer {
    struct peer_context *context;
    struct peer *next;
    char uuid[MC_UUID_TEXT], name[MC_NAME_TEXT];
    int run_id;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    uint64_t memory; /* what the guest was configured with: it cannot have more */

    int fd; /* -1: not connected */
    struct event *readable;
    uint64_t retry_ms, pause_ms;
    enum peer_state state;
    struct allowance lines, logs, wakes, growths;

    char line[MC_AGENT_LINE_MAX];
    size_t length;
    bool skipping; /* the rest of an over-long line */
    bool garbled;  /* its last line was no message */

    uint64_t seq;
    struct mc_agent_report said; /* received_ms 0: nothing yet on this connection */
    uint64_t stall_total_us;     /* as it was counted at stall_ms, MC_UNKNOWN */
    uint64_t stall_ms;
};

/* Of a guest with a channel; NULL when memory is out. The context has to outlive it. */
struct peer *peer_new(struct peer_context *context, const struct mc_guest *guest);
void peer_free(struct peer *peer);

/* Is it this run of this guest? */
bool peer_is_of(const struct peer *peer, const struct mc_guest *guest);

/* Call the agent if it is time to, and add to the guest what it said. */
void peer_follow(struct peer *peer, struct mc_guest *guest, uint64_t now_ms);

#endif
