/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looking at KSM and guests, and switching, on lanes. */
#ifndef MEMCTLD_STEER_JOBS_H
#define MEMCTLD_STEER_JOBS_H

#include "lanes.h"
#include "steer.h"

/* What is seen of KSM and of processes without asking any QEMU. */
struct survey_process {
    char uuid[MC_UUID_TEXT];
    int pid;
    bool seen;
    struct mc_ksm_process process;
};

struct survey {
    struct job job;
    struct steer *steer; /* of steer.c */
    bool finds_strangers;
    uint64_t writes; /* of knobs, when it was begun */
    struct mc_ksm ksm;
    unsigned strangers; /* processes that are mergeable and in none of `processes` */
    bool managed;       /* by ksmtuned */
    int ksmd_pid;       /* 0: not known yet */
    uint64_t ksmd_us;   /* its processor time, MC_UNKNOWN */
    struct survey_process *processes;
    size_t count;
};

/* On a lane. */
int survey_run(struct job *job, struct mc_session *session);

/* A look at one guest, by its QEMU and its smaps, after its merging was switched if that is asked.
 */
struct look {
    struct job job;
    struct steer *steer;
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    int run_id, pid;
    enum mc_steer_switch order;
    struct record_guest noted; /* whose backends are switched, if order is one */
    bool seen;                 /* it can be looked at: the rest is true */
    uint64_t mergeable, ram, beside;
    struct mc_guest_memory memory;
};

int look_run(struct job *job, struct mc_session *session);

/* Knobs to be written, one after the other in their order; MC_UNKNOWN ones are left alone. */
struct knobs_job {
    struct job job;
    struct steer *steer;
    struct mc_ksm_knobs knobs;
};

int knobs_run(struct job *job, struct mc_session *session);

#endif
