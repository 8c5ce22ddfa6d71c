/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pure middle of memctl: estimate -> decide -> govern, from a snapshot to a plan. No I/O, no
 * clock, no globals: the daemon, the simulator and the tests run this same code, and the same
 * snapshots in the same order give the same plans.
 */
#ifndef MEMCTL_ENGINE_H
#define MEMCTL_ENGINE_H

#include <memctl/error.h>
#include <memctl/model.h>
#include <memctl/policy.h>
#include <memctl/settings.h>
#include <memctl/visibility.h>

/* How much of the host the guests may have. */
struct mc_budget_config {
    bool automatic;           /* host memory less the reserve */
    struct mc_amount size;    /* otherwise: bytes, or a part of the host's memory */
    bool reserve_automatic;   /* the larger of 512 MiB and 5 % of the host's memory */
    struct mc_amount reserve; /* otherwise; only asked when the budget is automatic */
};

/* What keeps host reclaim and the last resort from doing harm. */
enum mc_guard {
    MC_GUARD_STATE,   /* nothing is reclaimed before the host is in state hard */
    MC_GUARD_SWAP,    /* nor without swap that is free */
    MC_GUARD_PACE,    /* nor much at a time */
    MC_GUARD_MIN,     /* nor below a reservation */
    MC_GUARD_ACTIVE,  /* nor what a guest works with */
    MC_GUARD_TROUBLE, /* nor from a guest that is or was in trouble */
    MC_GUARD_EXEMPT,  /* nor from one that must not be touched */
    MC_GUARD_CONSENT, /* nobody is stopped whose settings do not say so */
    MC_GUARD_LOW,     /* nor before the host was in state low for a while */
    MC_GUARD_ONE,     /* nor several at a time */
    MC_GUARD_CLEAR,   /* nobody goes on before the host has been clear for a while */
    MC_GUARD_FITS,    /* nor if that would make it short again */
    MC_GUARD_COUNT,
};

struct mc_engine_config {
    struct mc_budget_config budget;
    uint64_t interval_ms;   /* between two snapshots; statistics older than 3 are stale */
    uint64_t floor_margin;  /* least distance kept above what a guest uses, bytes */
    unsigned floor_percent; /* the same as a part of what it uses; the larger holds */
    uint64_t calm_bytes;    /* a smaller change does not begin a move */
    unsigned calm_percent;  /* the same as a part of the guest's size; the larger holds */

    unsigned overcommit_percent;       /* how much of the budget may be promised; 100 is strict */
    struct mc_amount distress_reserve; /* of the budget, kept for guests in trouble */
    unsigned shrink_percent;           /* of its size that a guest may lose in a second */
    uint64_t boot_grace_ms;            /* a guest that just began to run is not shrunk */
    uint64_t foreign_hold_ms; /* a balloon that somebody else moved is left alone for so long */
    uint64_t cooldown_ms;     /* a guest that was in trouble is not shrunk for so long; its own
                                 setting holds over this */
    uint64_t active_fade_ms;  /* in which the estimate of active memory follows a decline */
    bool host_reclaim;        /* the host may swap out what guests do not use */
    uint64_t resort_after_ms; /* a guest is stopped when the host has been low for so long */
    uint64_t resort_pause_ms; /* and the next one so long after it */
    uint64_t resort_undo_ms;  /* it goes on when the host has been clear for so long */
    unsigned guards_off;      /* for tests only: bits 1 << enum mc_guard */
    unsigned rules_off;       /* for tests only: rules that do nothing, bits 1 << enum mc_rule */
};

/*
 * budget and reserve automatic, 2 s, 64 MiB / 5 %, 16 MiB / 1 %, 150 %, 2 %, 20 %, 10 s, 10 min,
 * 1 min; host reclaim, 10 s, 30 s, 1 min; a minute.
 */
MC_PUBLIC struct mc_engine_config mc_engine_config_default(void);

struct mc_engine;

/* The engine borrows the policy, which must outlive it or be replaced. */
MC_PUBLIC struct mc_engine *mc_engine_new(const struct mc_engine_config *config,
                                          struct mc_policy_run *policy);
MC_PUBLIC void mc_engine_free(struct mc_engine *engine);

/* Take another configuration or policy; the guests' state stays, and no change is held as small. */
MC_PUBLIC void mc_engine_configure(struct mc_engine *engine, const struct mc_engine_config *config,
                                   struct mc_policy_run *policy);

/*
 * An operator changed something: the next targets are carried out even if the change is small (not
 * if it is a crumb, below a quarter of calm_percent, or 1 MiB).
 */
MC_PUBLIC void mc_engine_unsettle(struct mc_engine *engine);

/*
 * One pass. Fills the estimated part of the snapshot's guests and the plan. For each of the plan's
 * commands (steps with `send`) the caller says mc_engine_done() or mc_engine_failed() once.
 *
 * Returns 0, or -ENOMEM, or what the policy failed with; then the plan is empty of commands.
 */
MC_PUBLIC int mc_engine_step(struct mc_engine *engine, struct mc_snapshot *snapshot,
                             struct mc_plan *plan, struct mc_error *err);

/*
 * What the policy was asked in the last pass, for those who want to ask "what if"; it belongs to
 * the engine and holds until the next pass. index[i], if wanted, is the place of its guest i in the
 * snapshot.
 */
MC_PUBLIC struct mc_policy_input mc_engine_policy_input(const struct mc_engine *engine,
                                                        const size_t **index);

/* A command was taken by the hypervisor: from here on the guest will obey it. */
MC_PUBLIC void mc_engine_done(struct mc_engine *engine, const char *uuid, uint64_t now_ms);

/*
 * A command was refused or got lost. It may have been obeyed all the same: until the guest was told
 * another target, it counts as promised.
 */
MC_PUBLIC void mc_engine_failed(struct mc_engine *engine, const char *uuid, uint64_t now_ms);

/*
 * A command was not carried out, and never will be: a dry run. The next plan is made as if there
 * had been none.
 */
MC_PUBLIC void mc_engine_withheld(struct mc_engine *engine, const char *uuid);

/*
 * What trouble has taught about a guest: whoever keeps it over a restart of the daemon, or while
 * the guest does not run, spares it the same trouble again. It fades.
 */
struct mc_lesson {
    char uuid[MC_UUID_TEXT];
    uint64_t learned;     /* the margin that it wants above its use, bytes */
    uint64_t need;        /* the size that it was given, 0 for none */
    uint64_t cooldown_ms; /* for so long it keeps that, and is not shrunk */
};

/* Less than this is forgotten. */
#define MC_LESSON_LEAST MC_MIB

/* What is in force now; fills at most `room`. Returns how many there are. */
MC_PUBLIC size_t mc_engine_lessons(const struct mc_engine *engine, uint64_t now_ms,
                                   struct mc_lesson *lessons, size_t room);

/* Take what an earlier engine knew at now_ms, of guests that are there or will come. 0 or -ENOMEM.
 */
MC_PUBLIC int mc_engine_teach(struct mc_engine *engine, const struct mc_lesson *lessons,
                              size_t count, uint64_t now_ms);

/* Let time pass. Exact: the same lesson and time give the same result on every machine. */
MC_PUBLIC void mc_lesson_age(struct mc_lesson *lesson, uint64_t passed_ms);

/* How soon it pays to look again. */
enum mc_urgency {
    MC_URGENCY_NONE,
    MC_URGENCY_MOVING,  /* memory is on its way between guests */
    MC_URGENCY_WAITING, /* and a guest that needs it waits */
};

MC_PUBLIC enum mc_urgency mc_engine_urgency(const struct mc_engine *engine, uint64_t now_ms);

#endif
