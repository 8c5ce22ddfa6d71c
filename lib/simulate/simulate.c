/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the daemon does, in virtual time. The physics goes on in steps of 50 ms; in between come the
 * ticks, in the daemon's rhythm, and the commands, one step after the tick that sent them. Nothing
 * here looks at a clock or draws lots, so a run can be repeated to the bit.
 */
#include "simulate/simulate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/engine.h>

#include "hypervisor/sim.h"
#include "simulate/commands.h"
#include "simulate/measure.h"
#include "simulate/promises.h"
#include "simulate/raw.h"
#include "simulate/record.h"
#include "simulate/result.h"

/* The daemon's rhythm while memory moves, and after a guest has come or gone; see daemon/tick.c. */
#define MOVING_INTERVAL_MS 500
#define WAKE_AFTER_MS MC_SIM_STEP_MS

/* From a tick to the hypervisor; what was measured is 0.5 to 20 ms, and a step is 50. */
#define COMMAND_MS MC_SIM_STEP_MS

/* A scenario that does not say when it ends goes on for so long after its last event. */
#define AFTERWARDS_MS 600000

/* Nobody waits for more steps than this. */
#define DURATION_MOST_MS (UINT64_C(31) * 86400 * 1000)

struct run {
    const struct mc_simulate_config *config;
    struct mc_engine_config engine_config;
    struct mc_hypervisor *hypervisor;
    struct mc_session *session;
    struct mc_sim *sim;
    struct mc_policy_run *policy;
    struct mc_engine *engine; /* or: */
    struct mc_raw *raw;
    struct mc_snapshot snapshot;
    struct mc_plan plan;
    struct mc_commands commands; /* under way */
    uint64_t next_tick_ms;
    uint64_t running; /* changes whenever a guest comes or goes */
    uint64_t warm_up_ms;
    struct mc_measure measure;
    struct mc_promises promises;
    struct mc_record record;
};

static void close_run(struct run *run)
{
    mc_promises_free(&run->promises);
    mc_measure_free(&run->measure);
    mc_commands_free(&run->commands);
    mc_plan_free(&run->plan);
    mc_snapshot_free(&run->snapshot);
    mc_raw_free(run->raw);
    mc_engine_free(run->engine);
    mc_policy_unload(run->policy);
    mc_session_close(run->session);
    mc_hypervisor_free(run->hypervisor);
}

static int set_param(struct mc_policy_run *policy, const char *text, struct mc_error *err)
{
    const char *value;
    char key[64];

    if (!mc_pair_split(text, key, sizeof(key), &value))
        return mc_error_set(err, -EINVAL, "parameter '%s' is not KEY=VALUE", text);
    return mc_policy_set_param(policy, key, value, err);
}

static int load_policy(struct run *run, struct mc_error *err)
{
    int rc = mc_policy_load(run->config->policy, &run->policy, err);

    for (size_t i = 0; rc == 0 && i < run->config->param_count; i++)
        rc = set_param(run->policy, run->config->params[i], err);
    return rc;
}

static int load_scenario(const char *scenario, struct mc_sim *sim, struct mc_error *err)
{
    int rc = mc_sim_load(scenario, sim, err);

    if (rc < 0)
        return rc;
    if (!sim->duration_ms)
        sim->duration_ms = mc_sim_last_event(sim) + AFTERWARDS_MS;
    if (sim->duration_ms > DURATION_MOST_MS) {
        mc_sim_free(sim);
        mc_error_set(err, -ERANGE,
                     "scenario %s: duration: is more than 31 days; choose a shorter one", scenario);
        return -ERANGE;
    }
    return 0;
}

/* The run takes the simulation over, or it is freed. */
static int adopt(struct run *run, struct mc_sim *sim, struct mc_error *err)
{
    int rc = mc_sim_adopt(sim, &run->hypervisor);

    if (rc < 0) {
        mc_sim_free(sim);
        mc_error_set(err, rc, "out of memory");
        return rc;
    }
    run->sim = mc_sim_of(run->hypervisor);
    return mc_session_open(run->hypervisor, false, &run->session, err);
}

static int open_run(struct run *run, struct mc_sim *sim, const struct mc_engine_config *engine,
                    const struct mc_simulate_config *config, struct mc_error *err)
{
    int rc;

    *run = (struct run){.config = config,
                        .engine_config = engine ? *engine : mc_engine_config_default()};
    if (config->interval_ms)
        run->engine_config.interval_ms = config->interval_ms;
    rc = adopt(run, sim, err);
    if (rc == 0 && run->sim->overcommit_percent)
        run->engine_config.overcommit_percent = run->sim->overcommit_percent;
    if (rc == 0)
        rc = load_policy(run, err);
    if (rc)
        return rc;
    if (config->raw)
        run->raw = mc_raw_new(run->policy);
    else
        run->engine = mc_engine_new(&run->engine_config, run->policy);
    if ((!run->raw && !run->engine) || mc_measure_begin(&run->measure, run->sim->count) < 0)
        return mc_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

/* What the scenario's operator says of the budget, when it changes. */
static void follow_budget(struct run *run)
{
    struct mc_budget_config *budget = &run->engine_config.budget;
    uint64_t bytes;

    if (!run->sim->budget.count)
        return;
    bytes = mc_trace_at(&run->sim->budget, run->sim->now_ms);
    if (!budget->automatic && budget->size.value == bytes)
        return;
    budget->automatic = false;
    budget->size = (struct mc_amount){.value = bytes};
    if (run->engine)
        mc_engine_configure(run->engine, &run->engine_config, run->policy);
}

static void apply_terms(struct mc_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        struct mc_guest *guest = &snapshot->guests[i];
        struct mc_settings settings = mc_settings_default();

        mc_settings_merge(&settings, &guest->own);
        guest->terms = mc_settings_resolve(&settings, guest->memory);
        if (!guest->terms.managed && guest->exempt == MC_EXEMPT_NO)
            guest->exempt = MC_EXEMPT_UNMANAGED;
    }
}

/* What the daemon's reclaim.c and resort.c know of their calls. */
static int mark_under_way(struct run *run, struct mc_error *err)
{
    struct mc_snapshot found = {0};
    int rc = mc_session_find_stopped(run->session, &found, err);

    if (rc == 0)
        mc_snapshot_note_saved(&run->snapshot, &found);
    mc_snapshot_free(&found);
    for (size_t i = 0; i < run->commands.count; i++)
        run->snapshot.resort.busy |= run->commands.list[i].kind >= MC_COMMAND_STOP;
    for (size_t i = 0; i < run->snapshot.count; i++)
        if (mc_commands_are_under_way(&run->commands, MC_COMMAND_RECLAIM,
                                      run->snapshot.guests[i].uuid))
            run->snapshot.guests[i].reclaim = MC_RECLAIM_UNDER_WAY;
    return rc;
}

/* NULL when out of memory. */
static struct mc_command *send(struct run *run, enum mc_command_kind kind, const char *uuid,
                               uint64_t bytes)
{
    struct mc_command *command =
        mc_commands_add(&run->commands, kind, uuid, run->sim->now_ms + COMMAND_MS);

    if (command)
        command->bytes = bytes;
    return command;
}

static bool stop(struct run *run, const struct mc_guest *guest, enum mc_resort_step step)
{
    bool save = step == MC_RESORT_SAVE;
    struct mc_command *command = send(run, MC_COMMAND_STOP, guest->uuid, 0);

    if (command)
        command->stopped =
            (struct mc_stopped){.how = save ? MC_LAST_RESORT_SAVE : MC_LAST_RESORT_SUSPEND,
                                .at_s = run->sim->now_ms / 1000,
                                .size = save ? guest->rss : guest->held};
    return command;
}

/* All that the plan says of one guest. False when out of memory. */
static bool send_step(struct run *run, const struct mc_guest *guest, const struct mc_step *step)
{
    if (step->send && !send(run, MC_COMMAND_BALLOON, guest->uuid, step->target))
        return false;
    if (step->reclaim && !send(run, MC_COMMAND_RECLAIM, guest->uuid, step->reclaim))
        return false;
    if (step->resort == MC_RESORT_CONTINUE)
        return send(run, MC_COMMAND_CONTINUE, guest->uuid, 0);
    return step->resort == MC_RESORT_LEAVE || stop(run, guest, step->resort);
}

static void deliver_balloon(struct run *run, const struct mc_command *command)
{
    uint64_t now_ms = run->sim->now_ms;
    int rc = mc_session_set_balloon(run->session, command->uuid, command->bytes, NULL);

    if (now_ms >= run->warm_up_ms)
        mc_measure_command(&run->measure, run->sim, command->uuid);
    if (run->raw)
        (rc < 0 ? mc_raw_failed : mc_raw_done)(run->raw, command->uuid, now_ms);
    else
        (rc < 0 ? mc_engine_failed : mc_engine_done)(run->engine, command->uuid, now_ms);
}

/* What is refused is planned anew. */
static void deliver(struct run *run, const struct mc_command *command)
{
    if (command->kind == MC_COMMAND_BALLOON)
        deliver_balloon(run, command);
    else if (command->kind == MC_COMMAND_RECLAIM)
        mc_session_reclaim(run->session, command->uuid, command->bytes, NULL);
    else if (command->kind == MC_COMMAND_STOP)
        mc_session_stop(run->session, command->uuid, &command->stopped, NULL);
    else
        mc_session_continue(run->session, command->uuid, NULL);
}

static void deliver_due(struct run *run)
{
    size_t due = 0;

    while (due < run->commands.count && run->commands.list[due].due_ms <= run->sim->now_ms)
        deliver(run, &run->commands.list[due++]);
    mc_commands_drop(&run->commands, due);
}

static int decide(struct run *run, struct mc_error *err)
{
    int rc;

    if (run->raw)
        return mc_raw_step(run->raw, &run->engine_config, &run->snapshot, &run->plan, err);
    rc = mc_engine_step(run->engine, &run->snapshot, &run->plan, err);
    if (rc < 0)
        return rc;
    rc = mc_promises_check(&run->promises, &run->snapshot, &run->plan);
    return rc < 0 ? mc_error_set(err, rc, "out of memory") : 0;
}

static int tick(struct run *run, struct mc_error *err)
{
    uint64_t interval_ms = run->engine_config.interval_ms;
    unsigned stats_period = (unsigned)mc_max_u64(1, interval_ms / 1000);
    int rc;

    follow_budget(run);
    rc = mc_session_observe(run->session, run->sim->now_ms, &run->snapshot, err);
    if (rc < 0)
        return rc;
    apply_terms(&run->snapshot);
    rc = mark_under_way(run, err);
    if (rc == 0)
        rc = decide(run, err);
    for (size_t i = 0; rc == 0 && i < run->plan.count; i++) {
        const struct mc_guest *guest = &run->snapshot.guests[i];

        if (!send_step(run, guest, &run->plan.steps[i]))
            rc = mc_error_set(err, -ENOMEM, "out of memory");
        if (!guest->stats_period_s)
            mc_session_set_stats_period(run->session, guest->uuid, stats_period, NULL);
    }
    if (rc == 0 && run->plan.start_saved &&
        !send(run, MC_COMMAND_CONTINUE, run->snapshot.resort.last.uuid, 0))
        rc = mc_error_set(err, -ENOMEM, "out of memory");
    if (run->engine && mc_engine_urgency(run->engine, run->sim->now_ms) != MC_URGENCY_NONE)
        interval_ms = mc_min_u64(interval_ms, MOVING_INTERVAL_MS);
    run->next_tick_ms = run->sim->now_ms + interval_ms;
    return rc;
}

/* libvirt says at once when a guest comes or goes, and the daemon looks. */
static void wake_on_change(struct run *run)
{
    uint64_t running = (uint64_t)run->sim->next_run_id << 32;

    for (size_t i = 0; i < run->sim->count; i++)
        running += mc_sim_is_listed(run->sim, &run->sim->guests[i]);
    if (running != run->running)
        run->next_tick_ms = mc_min_u64(run->next_tick_ms, run->sim->now_ms + WAKE_AFTER_MS);
    run->running = running;
}

static int step(struct run *run, struct mc_error *err)
{
    int rc;

    mc_sim_advance(run->sim, run->sim->now_ms + MC_SIM_STEP_MS);
    wake_on_change(run);
    deliver_due(run);
    if (run->sim->now_ms >= run->next_tick_ms) {
        rc = tick(run, err);
        if (rc < 0)
            return rc;
    }
    if (run->sim->now_ms < run->warm_up_ms)
        return 0;
    if (mc_measure_step(&run->measure, run->sim, run->plan.budget) < 0)
        return mc_error_set(err, -ENOMEM, "out of memory");
    mc_record_step(&run->record, run->sim, run->plan.budget, run->warm_up_ms);
    return 0;
}

static int play(struct run *run, struct mc_error *err)
{
    uint64_t duration_ms = run->sim->duration_ms;
    uint64_t tell_ms = mc_max_u64(duration_ms / 100, MC_SIM_STEP_MS), told_ms = 0;
    int rc = tick(run, err);

    while (rc == 0 && run->sim->now_ms + MC_SIM_STEP_MS <= duration_ms) {
        rc = step(run, err);
        if (run->config->progress && run->sim->now_ms >= told_ms + tell_ms) {
            told_ms = run->sim->now_ms;
            run->config->progress(run->config->opaque, told_ms, duration_ms);
        }
    }
    return rc;
}

static int run_to_end(struct run *run, struct mc_simulation *result, struct mc_error *err)
{
    int rc;

    if (!result)
        return mc_error_set(err, -ENOMEM, "out of memory");
    result->duration_ms = run->sim->duration_ms - run->warm_up_ms;
    result->interval_ms = run->engine_config.interval_ms;
    if (mc_record_begin(&run->record, result, run->config->samples) < 0)
        return mc_error_set(err, -ENOMEM, "out of memory");
    rc = play(run, err);
    if (rc < 0)
        return rc;
    result->broken_promises = run->promises.broken;
    if (mc_measure_end(&run->measure, run->warm_up_ms, result) < 0)
        return mc_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

int mc_simulate_sim(struct mc_sim *sim, const struct mc_engine_config *engine, uint64_t warm_up_ms,
                    const struct mc_simulate_config *config, struct mc_simulation **result,
                    struct mc_error *err)
{
    struct mc_simulation *made = NULL;
    struct run run;
    int rc = open_run(&run, sim, engine, config, err);

    if (rc == 0) {
        run.warm_up_ms = warm_up_ms;
        made = mc_result_begin(run.sim, mc_policy_of(run.policy), config);
        rc = run_to_end(&run, made, err);
    }
    close_run(&run);
    if (rc < 0)
        mc_simulation_free(made);
    else
        *result = made;
    return rc;
}

int mc_simulate(const char *scenario, const struct mc_simulate_config *config,
                struct mc_simulation **result, struct mc_error *err)
{
    struct mc_sim sim;
    int rc = load_scenario(scenario, &sim, err);

    return rc < 0 ? rc : mc_simulate_sim(&sim, NULL, 0, config, result, err);
}
