/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A scenario in virtual time: the engine, the governor and a policy on a simulated host, and how
 * the guests fared. The same scenario and the same policy give the same result, bit for bit. What
 * the measures mean is defined in docs/simulation.md.
 */
#ifndef MEMCTL_SIMULATE_H
#define MEMCTL_SIMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <memctl/error.h>
#include <memctl/model.h>
#include <memctl/units.h>
#include <memctl/visibility.h>

struct mc_simulate_config {
    const char *policy;        /* a name or a path, as mc_policy_load() takes it */
    bool raw;                  /* its targets go to the balloons as they are, past the governor */
    const char *const *params; /* "key=value" */
    size_t param_count;
    uint64_t interval_ms; /* between two looks; 0: the daemon's default */
    size_t samples;       /* moments to keep for plotting, about; 0: none */

    /* Called about a hundred times with the virtual time that has passed; may be NULL. */
    void (*progress)(void *opaque, uint64_t now_ms, uint64_t duration_ms);
    void *opaque;
};

/* How a guest, or all of them, fared. A byte-second is a byte that was missing for a second. */
struct mc_fare {
    uint64_t unmet;       /* byte-seconds below what was needed */
    uint64_t squeezed;    /* of these, while the host had memory to spare */
    uint64_t distress_ms; /* in which more than a little was missing; of all: summed up */
    uint64_t moved;       /* bytes that balloons took or gave back */
    unsigned turns;       /* changes of direction of the balloon's target */
    unsigned commands;    /* how often the balloon was told a target */
    unsigned rises;       /* sudden ones, of what is needed */
    unsigned never;       /* of these, not met while they lasted */
    uint64_t median_ms;   /* until a rise was met; MC_UNKNOWN: most never were, or there was none */
    uint64_t worst_ms;    /* of those that were met, MC_UNKNOWN if none was */
};

/* When more than a little was missing. */
struct mc_shortage {
    unsigned count;    /* such times; those within a minute of each other are one */
    uint64_t first_ms; /* when it was so for the first time */
    uint64_t most;     /* bytes that were missing at the worst moment */
    uint64_t most_ms;  /* and when that was */
};

/* A guest at one moment; all 0 while it does not run. */
struct mc_guest_moment {
    uint64_t actual, need, held, target;
};

struct mc_simulated_guest {
    char name[MC_NAME_TEXT];
    uint64_t memory;
    struct mc_fare fare;
    struct mc_shortage shortage;
    struct mc_guest_moment *moments; /* as many as the simulation has */
};

/* The host at one moment; sums over the guests that run. */
struct mc_host_moment {
    uint64_t at_ms;
    uint64_t budget, used; /* used by the host itself */
    uint64_t held, actual, need, overhead;
};

struct mc_simulation {
    char title[128];
    char policy[128]; /* with "raw:" and parameters that were given */
    uint64_t duration_ms, interval_ms;
    uint64_t host_memory;

    struct mc_fare all;
    uint64_t overrun;          /* byte-seconds held beyond the host's memory */
    uint64_t overrun_most;     /* bytes */
    uint64_t over_budget;      /* byte-seconds held beyond the budget */
    uint64_t over_budget_most; /* bytes */

    /*
     * Plans of the governor that sent a guest below its min, or gave memory out that was promised
     * already. Anything but 0 is a defect of memctl.
     */
    unsigned broken_promises;

    struct mc_simulated_guest *guests; /* in the order of the scenario */
    size_t count;
    struct mc_host_moment *moments;
    size_t moment_count;
};

/*
 * Run the scenario file. -EINVAL, -ENOENT and what a policy fails with, each with a sentence. The
 * result is to be freed.
 */
MC_PUBLIC int mc_simulate(const char *scenario, const struct mc_simulate_config *config,
                          struct mc_simulation **result, struct mc_error *err);
MC_PUBLIC void mc_simulation_free(struct mc_simulation *simulation);

#endif
