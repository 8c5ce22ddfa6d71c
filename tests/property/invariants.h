/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must hold at every step of every history of a host, whatever its guests do. Where the
 * engine's own view of a guest could be what is wrong, the simulation is asked for the truth.
 */
#ifndef MEMCTL_TEST_INVARIANTS_H
#define MEMCTL_TEST_INVARIANTS_H

#include "history.h"
#include "property.h"

/* What is remembered of a guest of the script from step to step. */
struct guest_watch {
    int run_id;
    uint64_t target;                 /* of the step before */
    uint64_t last_update, update_ms; /* its newest statistics, and when they were seen first */
    uint64_t demand, steady_ms;      /* what it needs, and since when */
    uint64_t size, told, rests_ms;   /* its true size and target, and since when */
    bool touched;                    /* another hand moved it in this run */
    bool settled;                    /* both stood still long enough that it must be known */
    uint64_t due_ms, due_size;       /* it has to move since then, and had that */
    bool in_trouble;                 /* in the step before */
    uint64_t calm_ms;                /* it was in trouble, and that is forgotten then */
};

struct history {
    struct property *property;
    struct script script;
    struct host host;
    size_t steps;
    struct guest_watch guests[SCRIPT_GUESTS];
    uint64_t promised, divided, reserve; /* at the step before */
    uint64_t runs;                       /* changes whenever a guest comes or goes */
    bool foreign; /* a balloon was moved by another hand, which is not bound by our promises */
};

/* Print the script as a regression test, and where the host is now. */
void history_print(const struct history *history);

/* The guests of the last pass: who has what, and why. */
void history_print_state(const struct history *history);

/* Does the guest's balloon go where it is told, and did lately? */
bool history_follows(const struct history *history, const struct mc_guest *guest);

/* To be called after each step. */
void check_step(struct history *history);

/* guest: whose fault it is, or "all" */
#define CHECK(history, guest, condition)                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            history_broken(history, guest, #condition);                                            \
    } while (0)

_Noreturn void history_broken(struct history *history, const char *guest, const char *condition);

#endif
