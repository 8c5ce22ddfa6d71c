/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A simulated host: guests with demands that change over time, balloons with a speed, and faults.
 * Time is virtual and only moves forward when it is told to.
 */
#ifndef MEMCTL_SIM_H
#define MEMCTL_SIM_H

#include <stddef.h>
#include <stdint.h>

#include <memctl/error.h>
#include <memctl/hypervisor.h>
#include <memctl/model.h>

/* The physics goes on in steps of this. */
#define MC_SIM_STEP_MS 50

/*
 * A size that changes over time: from each point on the size beside it, or in a straight line to it
 * from the point before. 0 before the first point.
 */
struct mc_trace {
    struct mc_trace_point {
        uint64_t at_ms;
        uint64_t bytes;
        bool line; /* this size is reached in a straight line from the point before */
    } * points;
    size_t count;
    uint64_t repeat_ms; /* the whole begins anew after so long; 0: it does not */
};

enum mc_sim_fault_kind {
    MC_SIM_STUCK,      /* the balloon does not move */
    MC_SIM_HUNG,       /* QEMU does not answer, and the guest does nothing */
    MC_SIM_LOST,       /* no statistics arrive */
    MC_SIM_LATE,       /* statistics arrive long after they were taken */
    MC_SIM_LYING,      /* statistics say that everything is in use */
    MC_SIM_IMPOSSIBLE, /* statistics contradict each other */
    MC_SIM_VANISH,     /* QEMU is gone; the hypervisor notices it at the end of the fault */
    MC_SIM_REBOOT,     /* it is gone, and boots at the end of the fault */
    MC_SIM_FAULT_COUNT,
};

struct mc_sim_fault {
    enum mc_sim_fault_kind kind;
    uint64_t from_ms, to_ms;
    uint64_t by_ms; /* how late */
};

/* From the scenario. */
struct mc_sim_guest_config {
    char name[MC_NAME_TEXT];
    char uuid[MC_UUID_TEXT];
    uint64_t memory;
    uint64_t overhead;           /* of its QEMU */
    uint64_t kernel;             /* what it never gives up */
    struct mc_trace working_set; /* what its programs need */
    struct mc_trace cache;       /* of that, page cache: the statistics count it as usable */
    struct mc_trace cold;        /* page cache on top that nobody misses */
    uint64_t touch_per_s;        /* how fast its programs take new memory; 0: at once */
    bool reporting;              /* free page reporting: the host gets back what it does not use */
    uint64_t inflate_per_s, deflate_per_s; /* bytes a second */
    uint64_t lag_ms;                       /* from a command to the first movement */
    uint64_t least, most; /* the balloon leaves the guest no less, and no more; most 0: no limit */
    bool deflate_on_oom;
    bool balloon;
    uint64_t start_ms, stop_ms; /* stop 0: never */
    uint64_t stuck_from_ms, stuck_to_ms;
    struct mc_sim_fault *faults;
    size_t fault_count;
    struct mc_settings own;
};

struct mc_sim_guest {
    struct mc_sim_guest_config config;
    bool running;
    bool suspended;
    bool saved;                /* it does not run, and goes on where it was when it is started */
    struct mc_stopped stopped; /* memctl's mark */
    int run_id;
    uint64_t began_ms; /* this run */
    uint64_t target, target_since_ms;
    uint64_t actual;
    unsigned observed;              /* snapshots that it was in */
    uint64_t reported, reported_ms; /* of `actual`: what an observer sees, as late as libvirt */
    uint64_t need;                  /* to run without trouble, kernel and page cache included */
    uint64_t cold;                  /* page cache that it has and would not miss */
    uint64_t held;                  /* of its memory, what it has touched and not given back */
    uint64_t swapped;               /* of what it has touched, in the host's swap */
    uint64_t fetched;               /* bytes that came back from there */
    uint64_t paged_in, paged_out;   /* bytes, for the lack of memory */
    unsigned stats_period_s;
    struct mc_balloon_stats stats;
    struct mc_balloon_stats late_stats; /* on their way, until late_due_ms; 0: none */
    uint64_t late_due_ms;
};

#define MC_SIM_TITLE_TEXT 128

struct mc_sim {
    char title[MC_SIM_TITLE_TEXT];
    uint64_t duration_ms; /* how long the story goes on; 0: not said */
    uint64_t host_memory, host_swap;
    struct mc_trace host_used;
    struct mc_trace budget;      /* no points: not said */
    unsigned overcommit_percent; /* 0: not said */
    struct mc_sim_guest *guests;
    size_t count;
    unsigned sized_every; /* the first of so many snapshots tells guests' true sizes; 0: none */
    uint64_t now_ms;      /* since the beginning of the scenario */
    int next_run_id;
};

/* Read a scenario file. -ENOENT, -EINVAL with the place of the mistake. */
int mc_sim_load(const char *file, struct mc_sim *sim, struct mc_error *err);
void mc_sim_free(struct mc_sim *sim);

/* Let the simulated time pass up to until_ms. */
void mc_sim_advance(struct mc_sim *sim, uint64_t until_ms);

/* Is a fault of this kind in force? */
bool mc_sim_has_fault(const struct mc_sim *sim, const struct mc_sim_guest *guest,
                      enum mc_sim_fault_kind kind);

/* Does the hypervisor show the guest? It also shows one that is gone while it has not noticed. */
bool mc_sim_is_listed(const struct mc_sim *sim, const struct mc_sim_guest *guest);

/* The last time that the scenario names, of whatever it tells. */
uint64_t mc_sim_last_event(const struct mc_sim *sim);

/* A hypervisor made of a simulation, which it takes over. 0 or -ENOMEM. */
int mc_sim_adopt(struct mc_sim *sim, struct mc_hypervisor **hypervisor);

/* The simulation inside; only while no session is in a call. */
struct mc_sim *mc_sim_of(struct mc_hypervisor *hypervisor);

uint64_t mc_trace_at(const struct mc_trace *trace, uint64_t at_ms);

#endif
