/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines of a recording. A member of the model that the engine looks at has to be in these
 * tables; what the engine itself fills in (estimates) does not.
 */
#include "replay/recording.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <memctl/wire.h>

#include "replay/fields.h"

#define COUNT(table) (sizeof(table) / sizeof(*(table)))

static const struct field guest_fields[] = {
    FIELD(struct mc_guest, uuid, FIELD_TEXT),
    FIELD(struct mc_guest, name, FIELD_TEXT),
    FIELD(struct mc_guest, run_id, FIELD_INT),
    FIELD_ENUM(struct mc_guest, state, MC_GUEST_CRASHED + 1),
    FIELD_ENUM(struct mc_guest, exempt, MC_EXEMPT_COUNT),
    FIELD(struct mc_guest, memory, FIELD_U64),
    FIELD(struct mc_guest, actual, FIELD_U64),
    FIELD(struct mc_guest, rss, FIELD_U64),
    FIELD(struct mc_guest, overhead, FIELD_U64),
    FIELD(struct mc_guest, answers, FIELD_BOOL),
    FIELD(struct mc_guest, age_ms, FIELD_U64),
    FIELD(struct mc_guest, deflates_on_oom, FIELD_BOOL),
    FIELD(struct mc_guest, known, FIELD_BOOL),
    FIELD(struct mc_guest, stats_period_s, FIELD_UNSIGNED),
    FIELD_NEWER(struct mc_guest, sized, FIELD_BOOL, 0),
    FIELD_NEWER(struct mc_guest, filling_ms, FIELD_U64, 0),
    FIELD_NEWER(struct mc_guest, filling_rate, FIELD_U64, 0),
    FIELD_NEWER(struct mc_guest, reclaim, FIELD_INT, MC_RECLAIM_COUNT),
    FIELD_NEWER(struct mc_guest, resort_hold, FIELD_BOOL, 0),
};

static const struct field stats_fields[] = {
    FIELD(struct mc_balloon_stats, available, FIELD_U64),
    FIELD(struct mc_balloon_stats, unused, FIELD_U64),
    FIELD(struct mc_balloon_stats, usable, FIELD_U64),
    FIELD(struct mc_balloon_stats, disk_caches, FIELD_U64),
    FIELD(struct mc_balloon_stats, swap_in, FIELD_U64),
    FIELD(struct mc_balloon_stats, swap_out, FIELD_U64),
    FIELD(struct mc_balloon_stats, major_faults, FIELD_U64),
    FIELD(struct mc_balloon_stats, minor_faults, FIELD_U64),
    FIELD(struct mc_balloon_stats, last_update, FIELD_U64),
};

static const struct field agent_fields[] = {
    FIELD(struct mc_agent_report, present, FIELD_BOOL),
    FIELD(struct mc_agent_report, received_ms, FIELD_U64),
    FIELD(struct mc_agent_report, total, FIELD_U64),
    FIELD(struct mc_agent_report, free, FIELD_U64),
    FIELD(struct mc_agent_report, available, FIELD_U64),
    FIELD(struct mc_agent_report, stall_us, FIELD_U64),
    FIELD(struct mc_agent_report, distress_ms, FIELD_U64),
    FIELD(struct mc_agent_report, distress_rate, FIELD_U64),
    FIELD_NEWER(struct mc_agent_report, refaults, FIELD_U64, 0),
};

static const struct field working_set_fields[] = {
    FIELD(struct mc_working_set, found_ms, FIELD_U64),
    FIELD(struct mc_working_set, method, FIELD_TEXT),
    FIELD(struct mc_working_set, active, FIELD_U64),
    FIELD(struct mc_working_set, read_cache, FIELD_U64),
    FIELD(struct mc_working_set, kernel, FIELD_U64),
    FIELD(struct mc_working_set, window_ms, FIELD_U64),
    FIELD(struct mc_working_set, confidence, FIELD_UNSIGNED),
};

static const struct field sample_fields[] = {
    FIELD(struct mc_host_sample, found_ms, FIELD_U64),
    FIELD(struct mc_host_sample, method, FIELD_TEXT),
    FIELD(struct mc_host_sample, active, FIELD_U64),
    FIELD(struct mc_host_sample, least, FIELD_U64),
    FIELD(struct mc_host_sample, most, FIELD_U64),
    FIELD(struct mc_host_sample, window_ms, FIELD_U64),
    FIELD(struct mc_host_sample, confidence, FIELD_UNSIGNED),
};

static const struct field stopped_fields[] = {
    FIELD_ENUM(struct mc_stopped, how, MC_LAST_RESORT_COUNT),
    FIELD(struct mc_stopped, at_s, FIELD_U64),
    FIELD(struct mc_stopped, size, FIELD_U64),
};

static const struct field resort_fields[] = {
    FIELD(struct mc_resort, busy, FIELD_BOOL),
    FIELD(struct mc_resort, saved_count, FIELD_UNSIGNED),
};

static const struct field saved_fields[] = {
    FIELD(struct mc_saved, uuid, FIELD_TEXT),
    FIELD(struct mc_saved, name, FIELD_TEXT),
};

static const struct field terms_fields[] = {
    FIELD(struct mc_terms, shares, FIELD_U64),
    FIELD(struct mc_terms, min, FIELD_U64),
    FIELD(struct mc_terms, max, FIELD_U64),
    FIELD(struct mc_terms, managed, FIELD_BOOL),
    FIELD_NEWER(struct mc_terms, last_resort, FIELD_INT, MC_LAST_RESORT_COUNT),
    FIELD_NEWER(struct mc_terms, cooldown_ms, FIELD_U64, 0),
};

static const struct field host_fields[] = {
    FIELD(struct mc_host, total, FIELD_U64),
    FIELD(struct mc_host, available, FIELD_U64),
    FIELD(struct mc_host, swap_total, FIELD_U64),
    FIELD(struct mc_host, swap_free, FIELD_U64),
};

static const struct field pressure_fields[] = {
    FIELD(struct mc_pressure, present, FIELD_BOOL),
    FIELD(struct mc_pressure, some_avg10, FIELD_UNSIGNED),
    FIELD(struct mc_pressure, full_avg10, FIELD_UNSIGNED),
};

static const struct field config_fields[] = {
    FIELD(struct mc_engine_config, interval_ms, FIELD_U64),
    FIELD(struct mc_engine_config, floor_margin, FIELD_U64),
    FIELD(struct mc_engine_config, floor_percent, FIELD_UNSIGNED),
    FIELD(struct mc_engine_config, calm_bytes, FIELD_U64),
    FIELD(struct mc_engine_config, calm_percent, FIELD_UNSIGNED),
    FIELD(struct mc_engine_config, overcommit_percent, FIELD_UNSIGNED),
    FIELD(struct mc_engine_config, shrink_percent, FIELD_UNSIGNED),
    FIELD(struct mc_engine_config, boot_grace_ms, FIELD_U64),
    FIELD(struct mc_engine_config, foreign_hold_ms, FIELD_U64),
    FIELD(struct mc_engine_config, cooldown_ms, FIELD_U64),
    FIELD_NEWER(struct mc_engine_config, active_fade_ms, FIELD_U64, 0),
    FIELD_NEWER(struct mc_engine_config, host_reclaim, FIELD_BOOL, 0),
    FIELD_NEWER(struct mc_engine_config, resort_after_ms, FIELD_U64, 0),
    FIELD_NEWER(struct mc_engine_config, resort_pause_ms, FIELD_U64, 0),
    FIELD_NEWER(struct mc_engine_config, resort_undo_ms, FIELD_U64, 0),
};

static const struct field budget_fields[] = {
    FIELD(struct mc_budget_config, automatic, FIELD_BOOL),
    FIELD(struct mc_budget_config, reserve_automatic, FIELD_BOOL),
};

static const struct field amount_fields[] = {
    FIELD(struct mc_amount, value, FIELD_U64),
    FIELD(struct mc_amount, percent, FIELD_BOOL),
};

static const struct field plan_fields[] = {
    FIELD(struct mc_plan, budget, FIELD_U64),
    FIELD(struct mc_plan, overheads, FIELD_U64),
    FIELD(struct mc_plan, exempt, FIELD_U64),
    FIELD(struct mc_plan, reserve, FIELD_U64),
    FIELD(struct mc_plan, strict, FIELD_U64),
    FIELD(struct mc_plan, divided, FIELD_U64),
    FIELD(struct mc_plan, held, FIELD_U64),
    FIELD(struct mc_plan, headroom, FIELD_U64),
    FIELD(struct mc_plan, min_free, FIELD_U64),
    FIELD(struct mc_plan, promised, FIELD_U64),
    FIELD(struct mc_plan, surplus, FIELD_U64),
    FIELD(struct mc_plan, deficit, FIELD_U64),
    FIELD_ENUM(struct mc_plan, state, MC_HOST_LOW + 1),
    FIELD(struct mc_plan, reclaim, FIELD_U64),
    FIELD_ENUM(struct mc_plan, reclaim_verdict, MC_RECLAIM_VERDICTS),
    FIELD(struct mc_plan, stopped, FIELD_U64),
    FIELD(struct mc_plan, start_saved, FIELD_BOOL),
};

static const struct field step_fields[] = {
    FIELD(struct mc_step, wish, FIELD_U64),
    FIELD(struct mc_step, target, FIELD_U64),
    FIELD(struct mc_step, send, FIELD_BOOL),
    FIELD(struct mc_step, reclaim, FIELD_U64),
    FIELD_ENUM(struct mc_step, resort, MC_RESORT_CONTINUE + 1),
};

#define TO_JSON(table, from) mc_fields_to_json(table, COUNT(table), from)
#define FROM_JSON(table, object, into, err)                                                        \
    mc_fields_from_json(table, COUNT(table), object, into, err)

/* ---- writing ---- */

json_t *mc_recording_begin(const struct mc_engine_config *config,
                           const struct mc_policy_run *policy)
{
    json_t *engine = TO_JSON(config_fields, config);
    json_t *budget = TO_JSON(budget_fields, &config->budget);

    json_object_set_new(budget, "size", TO_JSON(amount_fields, &config->budget.size));
    json_object_set_new(budget, "reserve", TO_JSON(amount_fields, &config->budget.reserve));
    json_object_set_new(engine, "budget", budget);
    json_object_set_new(engine, "distress_reserve",
                        TO_JSON(amount_fields, &config->distress_reserve));
    return json_pack("{s:s, s:i, s:o, s:s, s:o}", "event", "begin", "version", MC_RECORDING_VERSION,
                     "engine", engine, "policy", mc_policy_asked_for(policy), "params",
                     mc_params_to_json(policy));
}

static json_t *guest_to_json(const struct mc_guest *guest)
{
    json_t *object = TO_JSON(guest_fields, guest);

    json_object_set_new(object, "stats", TO_JSON(stats_fields, &guest->stats));
    json_object_set_new(object, "agent", TO_JSON(agent_fields, &guest->agent));
    json_object_set_new(object, "working_set",
                        TO_JSON(working_set_fields, &guest->agent.working_set));
    if (guest->sample.found_ms)
        json_object_set_new(object, "sample", TO_JSON(sample_fields, &guest->sample));
    json_object_set_new(object, "terms", TO_JSON(terms_fields, &guest->terms));
    json_object_set_new(object, "stopped", TO_JSON(stopped_fields, &guest->stopped));
    return object;
}

static json_t *resort_to_json(const struct mc_resort *resort)
{
    json_t *object = TO_JSON(resort_fields, resort);
    json_t *last = TO_JSON(saved_fields, &resort->last);

    json_object_set_new(last, "stopped", TO_JSON(stopped_fields, &resort->last.stopped));
    json_object_set_new(object, "last", last);
    return object;
}

static json_t *step_to_json(const struct mc_step *step)
{
    json_t *object = TO_JSON(step_fields, step);
    json_t *changes = json_array();

    for (unsigned i = 0; i < step->change_count; i++)
        json_array_append_new(changes, json_pack("[s, I, I]", mc_rule_name(step->changes[i].rule),
                                                 (json_int_t)step->changes[i].from,
                                                 (json_int_t)step->changes[i].to));
    json_object_set_new(object, "changes", changes);
    return object;
}

json_t *mc_recording_plan(const struct mc_plan *plan)
{
    json_t *object = TO_JSON(plan_fields, plan);
    json_t *steps = json_array();

    for (size_t i = 0; i < plan->count; i++)
        json_array_append_new(steps, step_to_json(&plan->steps[i]));
    json_object_set_new(object, "steps", steps);
    return object;
}

json_t *mc_recording_step(const struct mc_snapshot *snapshot, const struct mc_plan *plan)
{
    json_t *host = TO_JSON(host_fields, &snapshot->host);
    json_t *guests = json_array();

    json_object_set_new(host, "pressure", TO_JSON(pressure_fields, &snapshot->host.pressure));
    for (size_t i = 0; i < snapshot->count; i++)
        json_array_append_new(guests, guest_to_json(&snapshot->guests[i]));
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "event", "step", "now_ms",
                     (json_int_t)snapshot->now_ms, "wall_s", (json_int_t)snapshot->wall_s,
                     "pledged", (json_int_t)snapshot->pledged, "host", host, "resort",
                     resort_to_json(&snapshot->resort), "guests", guests, "plan",
                     plan ? mc_recording_plan(plan) : json_null());
}

json_t *mc_recording_outcome(const char *uuid, uint64_t now_ms, bool done)
{
    return json_pack("{s:s, s:s, s:I}", "event", done ? "done" : "failed", "uuid", uuid, "now_ms",
                     (json_int_t)now_ms);
}

json_t *mc_recording_withheld(const char *uuid)
{
    return json_pack("{s:s, s:s}", "event", "withheld", "uuid", uuid);
}

json_t *mc_recording_unsettle(void)
{
    return json_pack("{s:s}", "event", "unsettle");
}

static const struct field lesson_fields[] = {
    FIELD(struct mc_lesson, uuid, FIELD_TEXT),
    FIELD(struct mc_lesson, learned, FIELD_U64),
    FIELD(struct mc_lesson, need, FIELD_U64),
    FIELD(struct mc_lesson, cooldown_ms, FIELD_U64),
};

json_t *mc_recording_teach(const struct mc_lesson *lessons, size_t count, uint64_t now_ms)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, TO_JSON(lesson_fields, &lessons[i]));
    return json_pack("{s:s, s:I, s:o}", "event", "teach", "now_ms", (json_int_t)now_ms, "lessons",
                     list);
}

/* ---- reading ---- */

int mc_recording_read_lesson(const json_t *object, struct mc_lesson *lesson, struct mc_error *err)
{
    return FROM_JSON(lesson_fields, object, lesson, err);
}

static int read_part(const json_t *object, const char *key, const struct field *fields,
                     size_t count, void *into, struct mc_error *err)
{
    int rc = mc_fields_from_json(fields, count, json_object_get(object, key), into, err);

    if (rc < 0)
        mc_error_prefix(err, "%s: ", key);
    return rc;
}

#define READ_PART(object, key, table, into, err)                                                   \
    read_part(object, key, table, COUNT(table), into, err)

int mc_recording_read_config(const json_t *begin, struct mc_engine_config *config,
                             struct mc_error *err)
{
    const json_t *engine = json_object_get(begin, "engine");
    const json_t *budget = json_object_get(engine, "budget");
    json_int_t version = json_integer_value(json_object_get(begin, "version"));

    if (version != MC_RECORDING_VERSION)
        return mc_error_set(err, -EINVAL, "is of version %lld; this memctl replays version %d",
                            (long long)version, MC_RECORDING_VERSION);
    *config = mc_engine_config_default();
    if (READ_PART(begin, "engine", config_fields, config, err) < 0 ||
        READ_PART(engine, "budget", budget_fields, &config->budget, err) < 0 ||
        READ_PART(engine, "distress_reserve", amount_fields, &config->distress_reserve, err) < 0 ||
        READ_PART(budget, "size", amount_fields, &config->budget.size, err) < 0 ||
        READ_PART(budget, "reserve", amount_fields, &config->budget.reserve, err) < 0)
        return -EINVAL;
    return 0;
}

int mc_recording_read_policy(const json_t *begin, struct mc_policy_run **policy,
                             struct mc_error *err)
{
    const char *name = json_string_value(json_object_get(begin, "policy"));
    int rc;

    if (!name)
        return mc_error_set(err, -EINVAL, "policy: is missing");
    rc = mc_policy_load(name, policy, err);
    return rc < 0 ? rc : mc_params_from_json(*policy, json_object_get(begin, "params"), err);
}

static int read_guest(const json_t *object, struct mc_guest *guest, struct mc_error *err)
{
    guest->terms.cooldown_ms = MC_UNKNOWN;
    guest->agent.refaults = MC_UNKNOWN;
    if (FROM_JSON(guest_fields, object, guest, err) < 0 ||
        READ_PART(object, "stats", stats_fields, &guest->stats, err) < 0 ||
        READ_PART(object, "agent", agent_fields, &guest->agent, err) < 0 ||
        READ_PART(object, "terms", terms_fields, &guest->terms, err) < 0)
        return -EINVAL;
    if (json_object_get(object, "working_set") &&
        READ_PART(object, "working_set", working_set_fields, &guest->agent.working_set, err) < 0)
        return -EINVAL;
    if (json_object_get(object, "sample") &&
        READ_PART(object, "sample", sample_fields, &guest->sample, err) < 0)
        return -EINVAL;
    if (json_object_get(object, "stopped"))
        return READ_PART(object, "stopped", stopped_fields, &guest->stopped, err);
    return 0;
}

static int read_guests(const json_t *list, struct mc_snapshot *snapshot, struct mc_error *err)
{
    const json_t *object;
    size_t i;

    if (!json_is_array(list))
        return mc_error_set(err, -EINVAL, "guests: is not a list");
    json_array_foreach (list, i, object) {
        struct mc_guest *guest = mc_snapshot_add(snapshot);

        if (!guest)
            return mc_error_set(err, -ENOMEM, "out of memory");
        if (read_guest(object, guest, err) < 0) {
            mc_error_prefix(err, "guests[%zu]: ", i);
            return -EINVAL;
        }
    }
    return 0;
}

/* Older recordings have none. */
static int read_resort(const json_t *object, struct mc_resort *resort, struct mc_error *err)
{
    const json_t *last = json_object_get(object, "last");

    if (!object)
        return 0;
    if (FROM_JSON(resort_fields, object, resort, err) < 0 ||
        READ_PART(object, "last", saved_fields, &resort->last, err) < 0 ||
        READ_PART(last, "stopped", stopped_fields, &resort->last.stopped, err) < 0)
        return -EINVAL;
    return 0;
}

int mc_recording_read_snapshot(const json_t *step, struct mc_snapshot *snapshot,
                               struct mc_error *err)
{
    const json_t *host = json_object_get(step, "host");

    mc_snapshot_reset(snapshot);
    snapshot->now_ms = (uint64_t)json_integer_value(json_object_get(step, "now_ms"));
    snapshot->wall_s = json_integer_value(json_object_get(step, "wall_s"));
    snapshot->pledged = (uint64_t)json_integer_value(json_object_get(step, "pledged"));
    if (READ_PART(step, "host", host_fields, &snapshot->host, err) < 0 ||
        READ_PART(host, "pressure", pressure_fields, &snapshot->host.pressure, err) < 0 ||
        read_resort(json_object_get(step, "resort"), &snapshot->resort, err) < 0)
        return -EINVAL;
    return read_guests(json_object_get(step, "guests"), snapshot, err);
}
