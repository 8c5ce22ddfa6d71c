/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call that may block, as something to be done on a lane (lanes.h). */
#ifndef MEMCTLD_JOB_H
#define MEMCTLD_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include <memctl/hypervisor.h>

struct lane;
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

#endif
