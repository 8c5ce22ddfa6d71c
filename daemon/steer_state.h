/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of the steering. */
#ifndef MEMCTLD_STEER_STATE_H
#define MEMCTLD_STEER_STATE_H

#include "daemon.h"
#include "steer.h"

/* Somebody else has set KSM's knobs: they are his for so long. */
#define STEER_FOREIGN_MS 600000

/* A guest as the steering knows it. */
struct steered {
    struct mc_steer_guest guest;
    int run_id, pid;
    bool seen, busy;
    uint64_t memory;
    uint64_t look_ms; /* when it is looked at again */
    uint64_t hold_ms; /* until then it is not switched */
    struct mc_guest_memory backends;
    bool surveyed;    /* its process was looked at, whatever could be seen */
    bool has_process; /* it was seen */
    struct mc_ksm_process process;
    enum mc_steer_reason told;
    bool was_on;
};

struct steer {
    struct daemon *daemon;
    bool follows, stopped;
    struct steered *guests;
    size_t count;
    struct mc_steer_guest *decided; /* as they went into the decision, and came out */
    size_t decided_count;
    struct mc_steer_memory memory;
    struct mc_steer_plan plan;
    struct steer_record record;
    bool restoring, record_failed;
    uint64_t retry_ms; /* to put back what could not be */
    struct mc_ksm ksm;
    bool surveying, surveyed;
    bool fresh;      /* `ksm` was read after the last knob was written */
    uint64_t writes; /* so far */
    uint64_t survey_ms, strangers_ms;
    bool knows_strangers, managed;
    unsigned strangers;
    int ksmd_pid;
    uint64_t ksmd_us; /* MC_UNKNOWN */
    bool writing, looking;
    uint64_t foreign_ms; /* KSM is somebody else's until then */
    char told_domain[MC_UUID_TEXT];
    enum mc_steer_pace told_pace;
    char told_why[MC_ERROR_TEXT / 2];
};

struct steered *steer_known(const struct steer *steer, const char *uuid);

/* steer_watch.c: the guests of the snapshot, and what the scanner says of them. */
void steer_follow_guests(struct steer *steer);
/* Look at KSM and the guests' processes if it is time for it. */
void steer_begin_survey(struct steer *steer);

/* steer_orders.c: set KSM as the plan says; false if it is so already. */
bool steer_write_knobs(struct steer *steer);
/* Look at a guest that is not known, or carry out one order; in a dry run only look. */
void steer_order_one(struct steer *steer);

#endif
