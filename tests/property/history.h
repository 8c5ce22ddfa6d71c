/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A history of a simulated host, as data: its guests with their faults, and what is done to them
 * step by step. One is made at random, or written down in a test; one that breaks a promise is
 * printed as the initialiser that a regression test of it begins with.
 */
#ifndef MEMCTL_TEST_HISTORY_H
#define MEMCTL_TEST_HISTORY_H

#include "host.h"
#include "random.h"

#define SCRIPT_GUESTS 8
#define SCRIPT_POINTS 5
#define SCRIPT_FAULTS 4
#define SCRIPT_STEPS 60

struct script_point {
    uint64_t at_ms, bytes;
};

/* What is done before a step's pass. */
enum script_act {
    ACT_NOTHING,
    ACT_SHARES,    /* an operator gives other shares */
    ACT_MIN,       /* ... another reservation, in percent of its memory */
    ACT_MAX,       /* ... another limit, likewise */
    ACT_UNMANAGED, /* ... takes it out of management, or puts it back */
    ACT_BALLOON,   /* another hand moves the balloon to so many MiB */
    ACT_CRY,       /* the guest's agent says that memory is nearly gone */
    ACT_BUDGET,    /* an operator sets another budget, in MiB */
    ACT_FILL,      /* the guest was seen to fill, at so many MiB a second */
    ACT_COUNT,
};

struct script_step {
    uint64_t ms; /* pass first */
    enum script_act act;
    unsigned guest;
    uint64_t value;
};

/* Without faults and limits the guest is ideal. Zero means what it means in a scenario. */
struct script_guest {
    uint64_t memory;
    unsigned shares, min_percent;
    uint64_t inflate_per_s, deflate_per_s, lag_ms, least, most;
    bool deflates_on_oom, has_no_balloon;
    uint64_t start_ms, stop_ms;
    struct script_point works_with[SCRIPT_POINTS]; /* cut off by the first that is not later */
    uint64_t cache;                                /* of that, page cache */
    struct mc_sim_fault faults[SCRIPT_FAULTS];     /* cut off by the first that lasts no time */
};

struct script {
    const char *policy;
    uint64_t budget;
    struct script_guest guests[SCRIPT_GUESTS];
    unsigned count;
    unsigned sized_every;                   /* see struct mc_sim */
    unsigned rules_off;                     /* see struct mc_engine_config */
    struct script_step steps[SCRIPT_STEPS]; /* cut off by the first of 0 ms */

    /* If there is a host: what the operator chose instead of the test's defaults. */
    uint64_t host_memory;
    struct script_point host_used[SCRIPT_POINTS];
    unsigned overcommit_percent, reserve, shrink_percent;
    uint64_t boot_grace_ms, cooldown_ms, foreign_hold_ms;
};

/* Whether the history has acts and a host of its own is for the caller to say. */
struct script random_script(struct random *random);

/* Its first steps, as the initialiser of a struct script. */
void script_print(const struct script *script, size_t steps);

/* A host as at the beginning of the script; guest i is named by the i-th letter. */
void script_open(const struct script *script, struct host *host);

/* One step; returns whether another hand than memctl's moved a balloon. */
bool script_step(const struct script_step *step, struct host *host);

/* The guest of the script in the simulation, by its name. */
static inline size_t script_index(const char *name)
{
    return (size_t)(name[0] - 'a');
}

#endif
