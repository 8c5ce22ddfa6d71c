/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One peer (agent_peer.h) for each guest with a channel, in the order of their UUIDs, which is the
 * snapshot's: one walk over both finds what came and what went. A peer belongs to one run of its
 * guest; after a restart it is another guest as far as its agent is concerned.
 *
 * A guest in distress wakes the engine. How often one guest may do so is bounded; and two wakes
 * have WAKES_APART_MS between them, in which events of all guests gather, so that many guests cost
 * no more than one.
 */
#include "agents.h"

#include <stdlib.h>
#include <string.h>

#include "agent_peer.h"
#include "clock.h"

#define WAKES_APART_MS 200

struct agents {
    struct peer_context context;
    struct peer *peers;
    void (*wake)(void *opaque);
    void *opaque;
    struct event *waking; /* pending: a wake is due */
    uint64_t woke_ms;
};

static void forget(struct peer **link)
{
    struct peer *peer = *link;

    *link = peer->next;
    peer_free(peer);
}

static void on_wake(evutil_socket_t fd, short what, void *opaque)
{
    struct agents *agents = opaque;

    (void)fd;
    (void)what;
    agents->woke_ms = clock_now_ms();
    agents->wake(agents->opaque);
}

/* At once, unless somebody else did a moment ago. */
static void wake_engine(void *opaque, uint64_t now_ms)
{
    struct agents *agents = opaque;
    uint64_t wait = mc_less_u64(agents->woke_ms + WAKES_APART_MS, now_ms);
    const struct timeval pause = {.tv_usec = (suseconds_t)(wait * 1000)};

    if (!agents->wake || evtimer_pending(agents->waking, NULL))
        return;
    if (!agents->woke_ms || !wait)
        on_wake(-1, 0, agents);
    else
        evtimer_add(agents->waking, &pause);
}

void agents_follow(struct agents *agents, struct mc_snapshot *snapshot)
{
    struct peer **link = &agents->peers;

    for (size_t i = 0; i < snapshot->count; i++) {
        struct mc_guest *guest = &snapshot->guests[i];

        while (*link && strcmp((*link)->uuid, guest->uuid) <= 0 && !peer_is_of(*link, guest))
            forget(link);
        if (!*link || !peer_is_of(*link, guest)) {
            struct peer *peer = *guest->agent_socket ? peer_new(&agents->context, guest) : NULL;

            if (!peer)
                continue;
            peer->next = *link;
            *link = peer;
        }
        peer_follow(*link, guest, snapshot->now_ms);
        link = &(*link)->next;
    }
    while (*link)
        forget(link);
}

const struct agents_counters *agents_counters(const struct agents *agents)
{
    return &agents->context.counters;
}

struct agents *agents_new(struct event_base *base, void (*wake)(void *opaque), void *opaque)
{
    struct agents *agents = calloc(1, sizeof(*agents));

    if (!agents)
        return NULL;
    agents->context = (struct peer_context){.base = base, .wake = wake_engine, .opaque = agents};
    agents->wake = wake;
    agents->opaque = opaque;
    agents->waking = evtimer_new(base, on_wake, agents);
    if (!agents->waking) {
        free(agents);
        return NULL;
    }
    return agents;
}

void agents_free(struct agents *agents)
{
    if (!agents)
        return;
    while (agents->peers)
        forget(&agents->peers);
    event_free(agents->waking);
    free(agents);
}
