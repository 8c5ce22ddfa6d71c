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

struct lanes;

struct job {
    /*
     * On a lane. Returns 0 or a negative errno. -ENOTCONN closes the lane's session, and the job
     * runs once more if that session was an old one; so running it twice must do no harm.
     */
    int (*run)(struct job *job, struct mc_session *session);
    /* On the main loop, once, when run has returned or the lanes end. Frees the job. */
    void (*done)(struct job *job);
    /*
     * On the main loop, once, if the deadline passes before that, or if the job waits for longer
     * and every lane that may take it is stuck; may be NULL.
     */
    void (*late)(struct job *job);
    bool goes_first;
    uint64_t within_ms; /* the deadline, counted from when the job begins to run */
    uint64_t at_ms;     /* of clock_now_ms(): not before this; 0: at once */
    /*
     * When a job like this one will follow, or 0. A lane wakes up for it by itself, if it was
     * submitted by then: that is one thread to wake instead of two.
     */
    uint64_t again_ms;

    int rc;
    struct mc_error err;

    /* of the lanes */
    struct job *next;
    struct event *deadline;
    struct lane *lane;
    struct lanes *lanes;
    uint64_t began_ms; /* 0 until it runs */
    bool is_late;
};

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
