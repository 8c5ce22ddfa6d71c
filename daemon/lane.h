/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lanes and the main loop share; only lane.c and lanes.c know it.
 *
 * The first lane that is idle is the watcher: it sleeps until the next job's time has come, and the
 * others until they are signalled, or end. If the watcher gets other work, there may be none for a
 * while; each job's own timer sees to it that some lane is employed then.
 */
#ifndef MEMCTLD_LANE_H
#define MEMCTLD_LANE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backlog.h"
#include "lanes.h"

/*
 * Lanes that work, lanes in all, and how many of these only jobs that go first may take. libvirtd
 * has 20 threads for everybody's calls, so more than that must never wait for it.
 */
#define LANES_HEALTHY_MAX 2
#define LANES_MAX 15
#define LANES_KEPT 5

enum lane_state { LANE_FREE, LANE_IDLE, LANE_BUSY };

struct lane {
    pthread_t thread;
    struct lanes *lanes;
    enum lane_state state;
    pthread_cond_t work;
    bool started;
    bool stuck;        /* its job is late */
    bool kept;         /* its job is one that goes first */
    uint64_t began_ms; /* that job */
    struct mc_session *session;
    bool has_events;
};

struct lanes {
    struct event_base *base;
    struct mc_hypervisor *hypervisor;
    struct event *wakeup;
    int wakeup_fd;
    unsigned idle_ms;

    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t idle;
    struct backlog backlog;
    struct job_queue finished;
    struct lane *watcher; /* an idle lane that wakes up at watch_ms */
    uint64_t watch_ms;    /* may be before anything is due */
    bool events_taken;    /* some lane's session listens to events */
    bool stopping;
    struct lane lanes[LANES_MAX];
};

/* With the lock held: is there a job for whoever is idle? */
bool lane_has_work(const struct lanes *lanes);

/* A condition whose time limits are those of clock_now_ms(). */
void lane_init_condition(pthread_cond_t *condition);

/* With the lock held, until that time at most. ETIMEDOUT or 0. */
int lane_wait(pthread_cond_t *condition, struct lanes *lanes, uint64_t until_ms);

/* What its thread does: a struct lane. */
void *lane_main(void *opaque);

#endif
