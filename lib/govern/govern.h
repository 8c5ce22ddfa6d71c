/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fourth step: which part of the policy's wish is safe now.
 *
 *   budget.c      what all guests together may occupy, and what of it there is to divide
 *   promise.c     how much of that may be promised: the elastic promise
 *   host_state.c  how short the host is
 *   floor.c       what a guest cannot give up
 *   admission.c   what room there is, or can be made, for a guest that is about to start
 *   rules.c       the rules that look at one guest
 *   govern.c      the rules that look at all, and how they are put together
 *   reclaim.c     what the host takes by itself when it is short
 *   last_resort.c who is suspended or saved when nothing else helps, and when he goes on
 */
#ifndef MEMCTL_GOVERN_H
#define MEMCTL_GOVERN_H

#include <memctl/engine.h>

#include "engine/track.h"

/* What is remembered of the host from one snapshot to the next. Starts as {0}. */
struct mc_host_track {
    bool begun;
    enum mc_host_state by_host, by_budget; /* how short of memory */
    enum mc_host_state by_need;            /* the state, whatever the guests have of the budget */
    uint64_t strict, divided;              /* as in the plan */
    uint64_t cut_ms;                       /* when `divided` fell last */
    uint64_t rise_after_ms;                /* not before so long after that it rises again */
    bool rose;                             /* it has, since then */
    uint64_t held, held_ms;                /* in the snapshot before, and when that was */
    uint64_t growth;                       /* bytes a second by which it grows, smoothed */
    bool gives_way;                        /* others than the guests take the host's memory */
    bool was_low, was_clear;               /* its state, at the last pass: low; clear or better */
    uint64_t low_since_ms, clear_since_ms;
    uint64_t resort_ms; /* when a guest was last being stopped or continued */
};

/* Fill budget, overheads, exempt, reserve and strict of the plan from the snapshot. Pure. */
void mc_budget_divide(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                      const struct mc_tracks *tracks, struct mc_plan *plan);

/*
 * What of the host's memory guests cannot count on, although it is available: the reserve where the
 * budget is what it leaves; where somebody said how much guests may have, min-free.
 */
uint64_t mc_host_kept(const struct mc_budget_config *config, const struct mc_host *host,
                      const struct mc_plan *plan);

/* Fill held, headroom, min_free and state. */
void mc_host_state_update(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                          struct mc_host_track *host, struct mc_plan *plan);

/* Fill spare, givable and reserved. */
void mc_admission_update(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                         const struct mc_tracks *tracks, struct mc_plan *plan);

/* Fill promised and divided. */
void mc_promise_update(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                       const struct mc_tracks *tracks, struct mc_host_track *host,
                       struct mc_plan *plan);

/*
 * The least that a managed guest needs to have without harm: what it uses and a margin, which can
 * be more than it has; 0 if nothing is known. The policy divides above it.
 */
uint64_t mc_floor(const struct mc_engine_config *config, const struct mc_guest *guest,
                  const struct mc_track *track, const struct mc_plan *plan);

/*
 * The lower bound that the policy is given: min, or the floor, or what a guest in trouble shall
 * have.
 */
uint64_t mc_bound(const struct mc_engine_config *config, const struct mc_guest *guest,
                  const struct mc_track *track, const struct mc_plan *plan, uint64_t floor,
                  uint64_t now_ms);

/*
 * What a guest in trouble, or just out of it, shall have; 0 for others, and on a short host for one
 * whose trouble is over.
 */
uint64_t mc_relief(const struct mc_engine_config *config, const struct mc_guest *guest,
                   const struct mc_track *track, const struct mc_plan *plan, uint64_t now_ms);

/* Turn the wishes in the plan's steps into safe targets with their reasons. */
void mc_govern(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
               struct mc_tracks *tracks, struct mc_plan *plan);

/*
 * Fill in `reclaim` of the steps, which have their targets, and what the plan says of it. Pure, as
 * is the next one.
 */
void mc_reclaim_plan(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                     const struct mc_tracks *tracks, struct mc_plan *plan);

/* What of the host's swap may be used for it now. */
uint64_t mc_reclaim_swap(const struct mc_engine_config *config, const struct mc_host *host);

/* Fill in `resort` of the steps, start_saved and stopped; to be called last. */
void mc_last_resort_plan(const struct mc_engine_config *config, const struct mc_snapshot *snapshot,
                         struct mc_tracks *tracks, struct mc_host_track *host,
                         struct mc_plan *plan);

static inline bool mc_is_guarded(const struct mc_engine_config *config, enum mc_guard guard)
{
    return !(config->guards_off & (1U << guard));
}

/* ---- between rules.c and govern.c ---- */

/* What the rules for one guest may look at. */
struct mc_rule_view {
    const struct mc_engine_config *config;
    const struct mc_guest *guest;
    struct mc_track *track;
    uint64_t now_ms, passed_ms;
    uint64_t floor; /* mc_floor() of the guest */
    const struct mc_plan *plan;
    bool every_page_counts; /* somebody waits for more than is free */
    bool trouble_waits;     /* and he is in trouble */
};

static inline bool mc_is_managed(const struct mc_guest *guest)
{
    return guest->exempt == MC_EXEMPT_NO;
}

/* Is it in trouble, and shall have more than this size? */
static inline bool mc_waits_in_trouble(const struct mc_guest *guest, const struct mc_track *track,
                                       uint64_t size, uint64_t now_ms)
{
    return mc_is_managed(guest) && guest->answers && mc_track_in_trouble(track, now_ms) &&
           size + MC_ARRIVED < mc_min_u64(track->need, guest->terms.max);
}

/* More is promised than there is; by more than balloons miss their targets by. */
static inline bool mc_is_short(const struct mc_plan *plan)
{
    return plan->promised > plan->divided + MC_ARRIVED;
}

/* Apply them to step->target, which begins as the wish. */
void mc_rules_apply(const struct mc_rule_view *view, struct mc_step *step);

/* Set the target, and write down which rule did it. */
void mc_step_change(struct mc_step *step, enum mc_rule rule, uint64_t target);

/* The least change that begins a move. */
uint64_t mc_calm_least(const struct mc_engine_config *config, const struct mc_guest *guest);

/* Even where every page counts, a command is not worth less. */
#define MC_COMMAND_LEAST MC_MIB

/* The least that a move which was begun gives at a time. */
uint64_t mc_step_least(const struct mc_engine_config *config, const struct mc_guest *guest);

#endif
