/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A simulated host with the real engine on it: what the daemon does, without its threads. One
 * pass observes, decides, governs and acts.
 */
#ifndef MEMCTL_TEST_HOST_H
#define MEMCTL_TEST_HOST_H

#include <memctl/engine.h>
#include <memctl/hypervisor.h>

#include "hypervisor/sim.h"

struct host {
    struct mc_hypervisor *hypervisor;
    struct mc_session *session;
    struct mc_sim *sim;
    struct mc_policy_run *policy;
    struct mc_engine *engine;
    struct mc_engine_config config;
    struct mc_snapshot snapshot;
    struct mc_plan plan;
    uint64_t now_ms;
    uint64_t pledged;        /* for guests that are about to start */
    const char *busy;        /* this guest does not answer */
    const char *cries;       /* this guest's agent says that memory is nearly gone */
    const char *fills;       /* this guest is seen to run out of memory, */
    uint64_t fills_at;       /* bytes a second */
    const char *undelivered; /* commands for this guest hang: they neither arrive nor fail */
};

/* A guest with the defaults of a scenario. */
struct mc_sim_guest_config host_guest(const char *name, uint64_t memory, uint64_t working_set);

/* Takes over the traces of the guests. budget: bytes for all guests, QEMU included. */
void host_open(struct host *host, const char *policy, uint64_t budget,
               const struct mc_sim_guest_config *guests, size_t count);
void host_close(struct host *host);

/* Let ms pass, then one pass. */
void host_tick(struct host *host, uint64_t ms);

/* So many seconds with a pass in each. */
void host_run(struct host *host, unsigned seconds);

/* What all guests really hold, bytes. */
uint64_t host_sum_held(const struct host *host);

/* The guest's index in snapshot and plan, by name; fails the test if it does not run. */
size_t host_index(const struct host *host, const char *name);
const struct mc_guest *host_see(const struct host *host, const char *name);

/* A trace of one size; to be freed by host_close(). */
struct mc_trace host_trace(uint64_t bytes);

#endif
