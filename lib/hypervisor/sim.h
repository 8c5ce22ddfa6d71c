/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A simulated host: guests with demands that change over time, and balloons with a speed. Time is
 * virtual and only moves forward when it is told to.
 */
#ifndef MEMCTL_SIM_H
#define MEMCTL_SIM_H

#include <stddef.h>
#include <stdint.h>

#include <memctl/error.h>
#include <memctl/hypervisor.h>
#include <memctl/model.h>

/* A size that changes in steps: from each time on, the size beside it. */
struct mc_trace {
    struct mc_trace_point {
        uint64_t at_ms;
        uint64_t bytes;
    } * points;
    size_t count;
};

/* From the scenario. */
struct mc_sim_guest_config {
    char name[MC_NAME_TEXT];
    char uuid[MC_UUID_TEXT];
    uint64_t memory;
    uint64_t overhead; /* of its QEMU */
    uint64_t kernel;   /* what it never gives up */
    struct mc_trace working_set;
    uint64_t inflate_per_s, deflate_per_s; /* bytes a second */
    uint64_t lag_ms;                       /* from a command to the first movement */
    bool deflate_on_oom;
    bool balloon;
    uint64_t start_ms, stop_ms; /* stop 0: never */
    uint64_t stuck_from_ms, stuck_to_ms;
    struct mc_settings own;
};

struct mc_sim_guest {
    struct mc_sim_guest_config config;
    bool running;
    int run_id;
    uint64_t target, target_since_ms;
    uint64_t actual;
    uint64_t reported, reported_ms; /* of `actual`: what an observer sees, as late as libvirt */
    uint64_t held;                  /* of its memory, what it has touched and not given back */
    unsigned stats_period_s;
    struct mc_balloon_stats stats;
};

struct mc_sim {
    uint64_t host_memory;
    struct mc_trace host_used;
    struct mc_sim_guest *guests;
    size_t count;
    uint64_t now_ms; /* since the beginning of the scenario */
    int next_run_id;
};

/* Read a scenario file. -ENOENT, -EINVAL with the place of the mistake. */
int mc_sim_load(const char *file, struct mc_sim *sim, struct mc_error *err);
void mc_sim_free(struct mc_sim *sim);

/* Let the simulated time pass up to until_ms. */
void mc_sim_advance(struct mc_sim *sim, uint64_t until_ms);

/* What the guest needs to run without trouble now. */
uint64_t mc_sim_need(const struct mc_sim *sim, const struct mc_sim_guest *guest);

/* A hypervisor made of a simulation, which it takes over. 0 or -ENOMEM. */
int mc_sim_adopt(struct mc_sim *sim, struct mc_hypervisor **hypervisor);

/* The simulation inside; only while no session is in a call. */
struct mc_sim *mc_sim_of(struct mc_hypervisor *hypervisor);

uint64_t mc_trace_at(const struct mc_trace *trace, uint64_t at_ms);

#endif
