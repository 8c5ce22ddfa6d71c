/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's side of the agents with one guest, whose end of the channel is in the test's hand. */
#ifndef MEMCTL_TEST_AGENT_SCENE_H
#define MEMCTL_TEST_AGENT_SCENE_H

#include <stdbool.h>

#include <event2/event.h>

#include "agents.h"

#define WAIT_MS 5000

struct scene {
    char dir[32], path[64];
    struct event_base *base;
    struct agents *agents;
    struct mc_snapshot snapshot;
    unsigned wakes;      /* times that the engine was to look at once */
    int listener, guest; /* the listening socket, and QEMU's end of the channel */
};

/* For cmocka: one guest "b", whose channel is connected. */
int scene_set_up(void **state);
int scene_tear_down(void **state);

struct mc_guest *scene_add_guest(struct scene *scene, const char *uuid, const char *path);

/* Let the daemon look at its guests, `later` ms from now. */
const struct mc_agent_report *scene_look(struct scene *scene, uint64_t later);

void scene_run(struct scene *scene);
void scene_say(struct scene *scene, const char *text);
const struct agents_counters *scene_counters(const struct scene *scene);

/* The host end was closed. */
bool scene_is_hung_up(struct scene *scene);

int scene_listen(const char *path);
/* The next client; -1 if none comes in time. */
int scene_accept(int listener, int within_ms);

uint64_t scene_clock_ms(void);

#endif
