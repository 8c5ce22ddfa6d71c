/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "invariants.h"

#include <inttypes.h>
#include <stdio.h>

#include "testing.h"

/* A step may exceed the divided memory by what QEMU's own memory is rounded by. */
#define TOLERANCE MC_MIB

/* Three of the engine's intervals, and one until the next statistics. */
#define STALE_MS 4000

/* After so long without any change, and at its target, what a guest uses must be known. */
#define SETTLES_MS 5000

/* Between two passes. */
#define LONGEST_STEP_MS 2000

/* Somebody who has to move, and can, has moved by this much in that time. */
#define PROGRESS_MS 12000
#define PROGRESS_LEAST (16 * MC_MIB)

/* A balloon this close to its target counts as there. */
#define ARRIVED (4 * MC_MIB)

#define MIB(bytes) ((bytes) / MC_MIB)

/* ---- evidence ---- */

static const struct mc_sim_guest *truth_of(const struct history *history,
                                           const struct mc_guest *guest)
{
    return &history->host.sim->guests[script_index(guest->name)];
}

void history_print_state(const struct history *history)
{
    const struct host *host = &history->host;

    fprintf(stderr,
            "at %" PRIu64 " ms: %s, divided %" PRIu64 "M, promised %" PRIu64 "M, reserve %" PRIu64
            "M, headroom %" PRIu64 "M\n",
            host->now_ms, mc_host_state_name(host->plan.state), MIB(host->plan.divided),
            MIB(host->plan.promised), MIB(host->plan.reserve), MIB(host->plan.headroom));
    for (size_t i = 0; i < host->plan.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];
        const struct mc_step *step = &host->plan.steps[i];

        fprintf(stderr,
                "  %s %-10s actual %" PRIu64 "M (really %" PRIu64 "M, told %" PRIu64
                "M) held %" PRIu64 "M used %" PRIu64 "M min %" PRIu64 "M max %" PRIu64
                "M wish %" PRIu64 "M target %" PRIu64 "M%s %s%s%s%s\n",
                guest->name, mc_exempt_name(guest->exempt), MIB(guest->actual),
                MIB(truth_of(history, guest)->actual), MIB(truth_of(history, guest)->target),
                MIB(guest->held), MIB(guest->used), MIB(guest->terms.min), MIB(guest->terms.max),
                MIB(step->wish), MIB(step->target), step->send ? " sent" : "",
                mc_rule_name(mc_step_reason(step)), guest->distress ? " in trouble: " : "",
                guest->distress ? mc_distress_name(guest->distress) : "",
                guest->fresh ? "" : ", not fresh");
    }
}

void history_print(const struct history *history)
{
    script_print(&history->script, history->steps);
    history_print_state(history);
}

void history_broken(struct history *history, const char *guest, const char *condition)
{
    if (history->property->shows) {
        history_print(history);
        fprintf(stderr, "guest %s:\n", guest);
    }
    host_close(&history->host);
    property_broken(history->property, condition);
}

/* ---- what the guests really do ---- */

/* Was a fault of this kind in force in the last ms? */
static bool had_fault(const struct history *history, const struct mc_guest *guest,
                      enum mc_sim_fault_kind kind, uint64_t ms)
{
    const struct script_guest *script = &history->script.guests[script_index(guest->name)];
    uint64_t now = history->host.sim->now_ms;

    for (size_t i = 0; i < SCRIPT_FAULTS; i++)
        if (script->faults[i].to_ms && script->faults[i].kind == kind &&
            script->faults[i].from_ms <= now &&
            now < mc_max_u64(script->faults[i].to_ms, script->faults[i].to_ms + ms))
            return true;
    return false;
}

static bool had_any_fault(const struct history *history, const struct mc_guest *guest, uint64_t ms)
{
    for (int kind = 0; kind < MC_SIM_FAULT_COUNT; kind++)
        if (had_fault(history, guest, (enum mc_sim_fault_kind)kind, ms))
            return true;
    return false;
}

/* Its statistics are true, though up to a period old. */
static bool is_honest(const struct history *history, const struct mc_guest *guest)
{
    static const enum mc_sim_fault_kind lies[] = {MC_SIM_HUNG, MC_SIM_LOST, MC_SIM_LATE,
                                                  MC_SIM_LYING, MC_SIM_IMPOSSIBLE};

    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++)
        if (had_fault(history, guest, lies[i], 2 * SETTLES_MS))
            return false;
    return true;
}

bool history_follows(const struct history *history, const struct mc_guest *guest)
{
    const struct script_guest *script = &history->script.guests[script_index(guest->name)];

    return !had_fault(history, guest, MC_SIM_STUCK, 2 * PROGRESS_MS) &&
           !had_fault(history, guest, MC_SIM_HUNG, 2 * PROGRESS_MS) &&
           !had_fault(history, guest, MC_SIM_VANISH, 2 * PROGRESS_MS) && !script->least &&
           !script->most;
}

/* It does what its balloon is told, and soon. */
static bool is_ideal(const struct history *history, const struct mc_guest *guest)
{
    const struct script_guest *script = &history->script.guests[script_index(guest->name)];

    return history_follows(history, guest) && !had_any_fault(history, guest, 2 * PROGRESS_MS) &&
           script->inflate_per_s >= 100 * MC_MIB && script->deflate_per_s >= 100 * MC_MIB &&
           script->lag_ms <= 1000;
}

static uint64_t firm_of(const struct mc_sim_guest *truth, uint64_t now_ms)
{
    uint64_t soft = mc_min_u64(mc_trace_at(&truth->config.cache, now_ms),
                               mc_less_u64(truth->need, truth->config.kernel));

    return truth->need - soft;
}

static void note_truth(struct guest_watch *watch, const struct history *history,
                       const struct mc_guest *guest)
{
    const struct mc_sim_guest *truth = truth_of(history, guest);
    uint64_t now = history->host.now_ms;

    if (watch->run_id != guest->run_id)
        *watch = (struct guest_watch){.run_id = guest->run_id,
                                      .calm_ms = watch->calm_ms, /* trouble outlives a reboot */
                                      .target = guest->memory,
                                      .steady_ms = now,
                                      .rests_ms = now,
                                      .due_ms = now,
                                      .update_ms = now,
                                      .last_update = guest->stats.last_update};
    if (guest->stats.last_update > watch->last_update) {
        watch->last_update = guest->stats.last_update;
        watch->update_ms = now;
    }
    if (watch->demand != firm_of(truth, history->host.sim->now_ms) || !is_honest(history, guest)) {
        watch->demand = firm_of(truth, history->host.sim->now_ms);
        watch->steady_ms = now;
        watch->settled = false;
    }
    if (watch->size != truth->actual || watch->told != truth->target) {
        watch->size = truth->actual;
        watch->told = truth->target;
        watch->rests_ms = now;
    }
    if (!watch->touched && now - watch->steady_ms >= SETTLES_MS &&
        now - watch->rests_ms >= SETTLES_MS && truth->target <= truth->actual + ARRIVED &&
        truth->actual <= truth->target + ARRIVED)
        watch->settled = true;
}

/* More than what is too little to begin a move. */
static uint64_t much_of(const struct mc_guest *guest)
{
    return mc_max_u64(32 * MC_MIB, guest->actual / 100 * 2);
}

/* ---- for each guest ---- */

static void check_bounds(struct history *history, const struct mc_guest *guest,
                         const struct mc_step *step)
{
    CHECK(history, guest->name, guest->exempt == MC_EXEMPT_NO);
    CHECK(history, guest->name, step->target <= mc_max_u64(guest->terms.max, guest->actual));
    CHECK(history, guest->name,
          step->target >= guest->terms.min || step->target >= guest->actual ||
              mc_step_reason(step) == MC_RULE_SHRINK_FIRST);
}

/* What is taken from a guest is known to be there, and it can do without. */
static void check_shrink(struct history *history, const struct mc_guest *guest,
                         const struct mc_step *step, const struct guest_watch *watch)
{
    const struct mc_engine_config *config = &history->host.config;
    uint64_t margin =
        history->host.plan.state >= MC_HOST_HARD ? config->floor_margin / 4 : config->floor_margin;

    CHECK(history, guest->name, guest->fresh);
    CHECK(history, guest->name, history->host.now_ms - watch->update_ms <= STALE_MS);
    CHECK(history, guest->name, step->target >= guest->used + margin);
    /* What is reported of a moving balloon is late; half of the margin is for that. */
    CHECK(history, guest->name, !watch->settled || step->target >= watch->demand + margin / 2);
}

/* No guest has to give way while there is enough for all. */
static void check_squeeze(struct history *history, const struct mc_guest *guest,
                          const struct mc_step *step, uint64_t wanted)
{
    if (wanted <= history->host.plan.divided)
        CHECK(history, guest->name, step->target >= mc_min_u64(guest->actual, guest->terms.max));
}

/* Can it be moved at all, as far as memctl can know? */
static bool can_move(const struct mc_guest *guest, const struct mc_step *step)
{
    enum mc_rule reason = mc_step_reason(step);

    return guest->exempt == MC_EXEMPT_NO && guest->answers && guest->fresh && !guest->stuck &&
           !guest->foreign && reason != MC_RULE_BOOT && reason != MC_RULE_DISTRESS;
}

static bool can_move_in_trouble(const struct mc_guest *guest)
{
    return guest->exempt == MC_EXEMPT_NO && guest->answers && guest->fresh && !guest->stuck &&
           !guest->foreign;
}

/* Where the guest shall get to: the policy's wish, but not below the floor. */
static uint64_t goal_of(const struct mc_step *step)
{
    uint64_t goal = step->wish;

    for (unsigned i = 0; i < step->change_count; i++)
        if (step->changes[i].rule == MC_RULE_FLOOR)
            goal = mc_max_u64(goal, step->changes[i].to);
    return goal;
}

/* Who has more than he shall, or less than he shall although there is some free, moves. */
static void check_progress(struct history *history, const struct mc_guest *guest,
                           const struct mc_step *step, struct guest_watch *watch)
{
    const struct mc_plan *plan = &history->host.plan;
    uint64_t much = much_of(guest);
    uint64_t moved = guest->actual > watch->due_size ? guest->actual - watch->due_size
                                                     : watch->due_size - guest->actual;
    bool due = goal_of(step) + much < guest->actual ||
               (guest->actual + much < step->wish && plan->promised + 2 * much < plan->divided);

    if (!due || !can_move(guest, step) || !is_ideal(history, guest) || moved >= PROGRESS_LEAST) {
        watch->due_ms = history->host.now_ms;
        watch->due_size = guest->actual;
    }
    CHECK(history, guest->name, history->host.now_ms - watch->due_ms < PROGRESS_MS);
}

/* One that has just begun to run is not shrunk, unless the host is short. */
static void check_boot(struct history *history, const struct mc_guest *guest,
                       const struct mc_step *step)
{
    const struct host *host = &history->host;
    uint64_t age_ms = host->sim->now_ms - truth_of(history, guest)->began_ms;

    CHECK(history, guest->name,
          host->plan.state >= MC_HOST_HARD ||
              age_ms + 2 * MC_SIM_STEP_MS >= host->config.boot_grace_ms ||
              step->target >= mc_min_u64(guest->actual, guest->terms.max));
}

/* Nor is much taken at once, unless the host is short or a guest in trouble waits. */
static void check_rate(struct history *history, const struct mc_guest *guest,
                       const struct mc_step *step)
{
    const struct host *host = &history->host;
    uint64_t rate = mc_max_u64(guest->actual / 100 * host->config.shrink_percent,
                               mc_max_u64(16 * MC_MIB, guest->actual / 100));

    for (size_t i = 0; i < host->plan.count; i++)
        if (host->now_ms < history->guests[script_index(host->snapshot.guests[i].name)].calm_ms ||
            host->snapshot.guests[i].distress != MC_DISTRESS_NO)
            return;
    CHECK(history, guest->name,
          host->plan.state >= MC_HOST_HARD || step->target >= guest->terms.max ||
              step->target + 2 * rate + MC_PAGE >= guest->actual);
}

/*
 * A command costs the guest and the host the same however little it moves, so none is sent for
 * less than this; but for trouble, for a promise, to call back what is under way, or to let a stuck
 * balloon rest exactly where it is.
 */
static void check_worth(struct history *history, const struct mc_guest *guest,
                        const struct mc_step *step, const struct guest_watch *watch)
{
    uint64_t before = watch->target;
    uint64_t change = step->target > before ? step->target - before : before - step->target;
    bool matters = history->host.now_ms < watch->calm_ms || guest->distress != MC_DISTRESS_NO ||
                   guest->stuck || before < guest->terms.min || before > guest->terms.max ||
                   guest->actual > before + ARRIVED;

    CHECK(history, guest->name,
          change == 0 || change >= MC_MIB || matters || !is_ideal(history, guest));
}

/* ---- for all of them ---- */

/* A guest comes into trouble: in the same pass it is given a part of its size more. */
static uint64_t check_relief(struct history *history, const struct mc_guest *guest,
                             const struct mc_step *step)
{
    uint64_t more = mc_max_u64(guest->actual / 4, 64 * MC_MIB);
    uint64_t need = mc_whole_pages(mc_min_u64(guest->actual + more, guest->terms.max));

    CHECK(history, guest->name, step->wish >= need);
    CHECK(history, guest->name, step->target >= mc_min_u64(guest->actual, guest->terms.max));
    return need > step->target + much_of(guest) ? need - step->target : 0;
}

/* The policy would take something from this guest: then it is taken, or a rule protects it, and
 * being small is no protection. */
static bool is_spared(const struct mc_guest *guest, const struct mc_step *step)
{
    if (step->wish + MC_MIB > guest->actual)
        return true;
    for (unsigned i = 0; i < step->change_count; i++)
        if (step->changes[i].rule != MC_RULE_CALM && step->changes[i].rule != MC_RULE_RATE)
            return true;
    return !guest->answers || step->target < guest->actual || guest->actual <= guest->terms.min;
}

/* What an agent cries, or who was seen to fill, is heard if the host sees that the guest is full.
 */
static void check_cry(struct history *history, const struct mc_guest *guest)
{
    const struct mc_engine_config *config = &history->host.config;
    uint64_t slack = mc_max_u64(2 * config->floor_margin, guest->actual / 8);

    CHECK(history, guest->name,
          (guest->agent.distress_ms != history->host.now_ms &&
           guest->filling_ms != history->host.now_ms) ||
              guest->exempt != MC_EXEMPT_NO || guest->foreign ||
              guest->held + slack < guest->actual || guest->distress != MC_DISTRESS_NO);
}

static void check_distress(struct history *history)
{
    const struct host *host = &history->host;
    uint64_t free = mc_less_u64(host->plan.divided + host->plan.reserve, host->plan.promised);
    uint64_t missing = 0, given = 0;

    for (size_t i = 0; i < host->plan.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];
        const struct mc_step *step = &host->plan.steps[i];
        struct guest_watch *watch = &history->guests[script_index(guest->name)];
        bool begins = guest->distress != MC_DISTRESS_NO && !watch->in_trouble &&
                      host->now_ms >= watch->calm_ms && guest->exempt == MC_EXEMPT_NO &&
                      !guest->stuck && guest->answers;

        given += mc_less_u64(step->target, guest->actual);
        watch->in_trouble = guest->distress != MC_DISTRESS_NO;
        if (watch->in_trouble)
            watch->calm_ms = host->now_ms + host->config.cooldown_ms + LONGEST_STEP_MS;
        if (begins)
            missing += check_relief(history, guest, step);
    }
    /* Out of what is free; and where that is not enough, others give way. */
    CHECK(history, "all", missing <= TOLERANCE || given + TOLERANCE >= free);
    for (size_t i = 0; missing > TOLERANCE && i < host->plan.count; i++)
        CHECK(history, host->snapshot.guests[i].name,
              is_spared(&host->snapshot.guests[i], &host->plan.steps[i]));
}

/* It has hardly anything left, could have more, and is given nothing. */
static bool is_left_hungry(const struct history *history, const struct mc_guest *guest,
                           const struct mc_step *step)
{
    const struct guest_watch *watch = &history->guests[script_index(guest->name)];
    uint64_t has = mc_max_u64(guest->actual, watch->target);

    return guest->distress == MC_DISTRESS_USABLE && can_move_in_trouble(guest) &&
           guest->held + 2 * history->host.config.floor_margin >= guest->actual &&
           has + much_of(guest) < guest->terms.max && step->target <= has &&
           has <= guest->actual + ARRIVED; /* nothing is on its way */
}

/* While somebody hungers, nobody is given what he does not need. */
static void check_order(struct history *history)
{
    const struct host *host = &history->host;
    bool hunger = false;

    for (size_t i = 0; i < host->plan.count; i++)
        hunger |= is_left_hungry(history, &host->snapshot.guests[i], &host->plan.steps[i]);
    for (size_t i = 0; hunger && i < host->plan.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];
        const struct mc_step *step = &host->plan.steps[i];
        const struct guest_watch *watch = &history->guests[script_index(guest->name)];
        uint64_t needs = guest->used == MC_UNKNOWN
                             ? guest->terms.max
                             : guest->used + guest->used / 4 + 4 * host->config.floor_margin;

        CHECK(history, guest->name,
              !step->send || host->now_ms < watch->calm_ms ||
                  step->target <=
                      mc_max_u64(mc_max_u64(guest->actual, watch->target), needs) + MC_MIB ||
                  step->target <= guest->terms.min);
    }
}

static void check_promises(struct history *history)
{
    const struct host *host = &history->host;
    uint64_t sum = 0, worst = 0, runs = 0;
    bool grows = false;

    for (size_t i = 0; i < host->snapshot.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];
        const struct mc_step *step = &host->plan.steps[i];
        uint64_t before = history->guests[script_index(guest->name)].target;

        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        runs += (uint64_t)guest->run_id * (uint64_t)guest->run_id + 1;
        if (truth_of(history, guest)->running)
            sum += truth_of(history, guest)->actual; /* not what is reported of it */
        worst += mc_max_u64(guest->actual, step->target);
        grows = grows || (step->send && step->target > guest->actual && step->target > before);
    }
    /* Whatever the guests do with what they were told, it fits; or nobody was given more. */
    CHECK(history, "all", worst <= host->plan.divided + host->plan.reserve + TOLERANCE || !grows);
    CHECK(history, "all",
          host->plan.divided <= host->plan.strict / 100 * host->config.overcommit_percent + MC_MIB);
    if (!history->foreign) {
        /* What is really taken was promised, although what is seen of it lags. */
        CHECK(history, "all", sum <= host->plan.promised + TOLERANCE);
        /* What is promised only falls while it is too much, unless guests came. */
        if (history->runs == runs && history->divided == host->plan.divided)
            CHECK(history, "all",
                  host->plan.promised <=
                      mc_max_u64(history->promised,
                                 host->plan.divided +
                                     mc_max_u64(history->reserve, host->plan.reserve)) +
                          TOLERANCE);
    }
    history->promised = host->plan.promised;
    history->divided = host->plan.divided;
    history->reserve = host->plan.reserve;
    history->runs = runs;
}

static uint64_t sum_wanted(const struct host *host)
{
    uint64_t wanted = 0;

    for (size_t i = 0; i < host->snapshot.count; i++)
        if (host->snapshot.guests[i].exempt == MC_EXEMPT_NO)
            wanted +=
                mc_max_u64(host->snapshot.guests[i].terms.max, host->snapshot.guests[i].actual);
    return wanted;
}

void check_step(struct history *history)
{
    const struct host *host = &history->host;
    uint64_t wanted = sum_wanted(host);

    for (size_t i = 0; i < host->plan.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];
        const struct mc_step *step = &host->plan.steps[i];
        struct guest_watch *watch = &history->guests[script_index(guest->name)];

        note_truth(watch, history, guest);
        if (step->send) {
            check_bounds(history, guest, step);
            check_worth(history, guest, step, watch);
        }
        if (step->send && step->target < guest->actual) {
            check_shrink(history, guest, step, watch);
            check_boot(history, guest, step);
            check_rate(history, guest, step);
            check_squeeze(history, guest, step, wanted);
        }
        check_progress(history, guest, step, watch);
        check_cry(history, guest);
    }
    check_distress(history);
    check_order(history);
    check_promises(history);
    for (size_t i = 0; i < host->plan.count; i++)
        if (host->snapshot.guests[i].exempt == MC_EXEMPT_NO) /* else what it was told still holds */
            history->guests[script_index(host->snapshot.guests[i].name)].target =
                host->plan.steps[i].target;
}
