/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be asked over the control socket: one small handler per verb. */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <memctl/wire.h>

#include "dedupe.h"
#include "lookup.h"
#include "resort.h"
#include "sampling.h"
#include "save.h"
#include "steer.h"

/* ---- reading ---- */

static json_t *link_json(const struct daemon *daemon)
{
    const struct link_state *link = &daemon->link;

    return json_pack("{s:s, s:b, s:s?, s:i}", "uri", daemon->config.connect, "up", link->up,
                     "error", link->up || !*link->last_error.text ? NULL : link->last_error.text,
                     "stuck_calls", (int)lanes_stuck(daemon->lanes));
}

static json_t *pressed_json(const struct counters *counters)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I}", "host_reclaims", (json_int_t)counters->host_reclaims,
        "host_reclaim_failures", (json_int_t)counters->host_reclaim_failures, "host_reclaimed",
        (json_int_t)counters->host_reclaimed, "stops", (json_int_t)counters->stops, "continues",
        (json_int_t)counters->continues, "resort_failures", (json_int_t)counters->resort_failures);
}

static json_t *counters_json(const struct counters *counters)
{
    json_t *object =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ticks", (json_int_t)counters->ticks,
                  "ticks_late", (json_int_t)counters->ticks_late, "observe_failures",
                  (json_int_t)counters->observe_failures, "policy_failures",
                  (json_int_t)counters->policy_failures, "commands", (json_int_t)counters->commands,
                  "command_failures", (json_int_t)counters->command_failures, "bytes_reclaimed",
                  (json_int_t)counters->bytes_reclaimed, "bytes_granted",
                  (json_int_t)counters->bytes_granted);

    json_object_update_new(object, pressed_json(counters));
    return object;
}

static json_t *history_json(struct daemon *daemon)
{
    struct keeper_state state;
    json_t *object;

    if (!daemon->keeper)
        return json_null();
    state = keeper_state(daemon->keeper);
    object = mc_store_facts_to_json(&state.facts);
    json_object_update_new(
        object, json_pack("{s:s, s:b, s:s?, s:I, s:I, s:I, s:I, s:f}", "file",
                          config_store(&daemon->config), "up", state.up, "error",
                          state.up ? NULL : state.why, "rows", (json_int_t)state.rows, "dropped",
                          (json_int_t)state.dropped, "failures", (json_int_t)state.failures,
                          "set_aside", (json_int_t)state.set_aside, "seconds", state.seconds));
    return object;
}

/* Null when it is switched off. */
static json_t *sampling_json(const struct daemon *daemon)
{
    struct sampling_state state = sampling_state(daemon->sampling);

    if (!state.on)
        return json_null();
    return json_pack("{s:s?, s:s?, s:I, s:i, s:I, s:f}", "method",
                     *state.method ? state.method : NULL, "error", *state.why ? state.why : NULL,
                     "window_ms", (json_int_t)daemon->config.sampling.window_ms, "guests",
                     (int)state.subjects, "rounds", (json_int_t)state.rounds, "seconds",
                     (double)state.cpu_us / 1e6);
}

static void handle_status(struct request *request, struct daemon *daemon, const json_t *args)
{
    size_t managed = 0;
    json_t *result;

    (void)args;
    for (size_t i = 0; i < daemon->snapshot.count; i++)
        managed += daemon->snapshot.guests[i].exempt == MC_EXEMPT_NO;
    result =
        json_pack("{s:s, s:I, s:I, s:s, s:o, s:i, s:i}", "version", MEMCTL_VERSION, "uptime_s",
                  (json_int_t)((clock_now_ms() - daemon->started_ms) / 1000), "interval_ms",
                  (json_int_t)daemon->config.engine.interval_ms, "policy",
                  mc_policy_of(daemon->policies.current)->name, "hypervisor", link_json(daemon),
                  "guests", (int)daemon->snapshot.count, "managed", (int)managed);
    json_object_set_new(result, "dry_run", json_boolean(daemon->config.dry_run));
    json_object_set_new(result, "paused", pauses_json(&daemon->pauses));
    json_object_set_new(result, "policy_params", mc_params_to_json(daemon->policies.current));
    json_object_set_new(result, "policy_refused", policies_refused_json(daemon));
    json_object_set_new(result, "host",
                        daemon->has_plan ? mc_host_to_json(&daemon->snapshot.host) : json_null());
    json_object_set_new(result, "plan",
                        daemon->has_plan ? mc_plan_to_json(&daemon->plan) : json_null());
    json_object_set_new(result, "stopped", resort_json(daemon));
    json_object_set_new(result, "history", history_json(daemon));
    json_object_set_new(result, "host_sampling", sampling_json(daemon));
    json_object_set_new(result, "counters", counters_json(&daemon->counters));
    request_reply(request, result);
}

json_t *guest_json(const struct daemon *daemon, const struct mc_guest *guest)
{
    size_t index = (size_t)(guest - daemon->snapshot.guests);
    bool planned = daemon->has_plan && index < daemon->plan.count;
    json_t *object = mc_guest_to_json(guest, planned ? &daemon->plan.steps[index] : NULL);

    if (daemon->config.dry_run && planned)
        json_object_set_new(json_object_get(object, "plan"), "sent", json_false());
    json_object_set_new(object, "equal_pages", dedupe_brief_json(daemon, guest->uuid, index));
    return object;
}

/* The running guests, and behind them those that were found; these may be NULL. */
static void reply_list(struct request *request, const struct daemon *daemon,
                       const struct mc_snapshot *stopped)
{
    json_t *guests = json_array();

    for (size_t i = 0; i < daemon->snapshot.count; i++)
        json_array_append_new(guests, guest_json(daemon, &daemon->snapshot.guests[i]));
    /* One that stopped since the last snapshot is in both. */
    for (size_t i = 0; stopped && i < stopped->count; i++)
        if (!mc_snapshot_find(&daemon->snapshot, stopped->guests[i].uuid))
            json_array_append_new(guests, mc_guest_to_json(&stopped->guests[i], NULL));
    request_reply(request,
                  json_pack("{s:o, s:b, s:b, s:b}", "guests", guests, "connected", daemon->link.up,
                            "dry_run", daemon->config.dry_run, "paused", daemon->pauses.all));
}

static void list_found(struct request *request, struct daemon *daemon, struct mc_snapshot *found,
                       const json_t *args)
{
    (void)args;
    reply_list(request, daemon, found);
}

static void handle_list(struct request *request, struct daemon *daemon, const json_t *args)
{
    if (json_is_true(json_object_get(args, "all")))
        lookup_start(request, daemon, NULL, args, list_found);
    else
        reply_list(request, daemon, NULL);
}

static void show_running(struct request *request, struct daemon *daemon, struct mc_guest *guest,
                         const json_t *args)
{
    json_t *object = guest_json(daemon, guest);

    (void)args;
    json_object_set_new(object, "merging", steer_guest_json(daemon, guest->uuid));
    request_reply(request, object);
}

static void show_found(struct request *request, struct daemon *daemon, struct mc_snapshot *found,
                       const json_t *args)
{
    (void)daemon;
    (void)args;
    request_reply(request, mc_guest_to_json(&found->guests[0], NULL));
}

static void handle_show(struct request *request, struct daemon *daemon, const json_t *args)
{
    lookup_guest(request, daemon, args, show_running, show_found);
}

static void handle_version(struct request *request, struct daemon *daemon, const json_t *args)
{
    (void)daemon;
    (void)args;
    request_reply(request,
                  json_pack("{s:s, s:i}", "version", MEMCTL_VERSION, "protocol", MC_WIRE_VERSION));
}

/* ---- changing ---- */

static void set_found(struct request *request, struct daemon *daemon, struct mc_snapshot *found,
                      const json_t *args)
{
    save_settings(request, daemon, &found->guests[0], args);
}

static void handle_set(struct request *request, struct daemon *daemon, const json_t *args)
{
    struct mc_error err;

    if (daemon->config.dry_run) {
        mc_error_set(&err, -EACCES,
                     "memctld makes a dry run and writes nothing into a guest's definition; "
                     "start it without --dry-run to change settings");
        request_fail(request, &err);
        return;
    }
    lookup_guest(request, daemon, args, save_settings, set_found);
}

static void handle_reload(struct request *request, struct daemon *daemon, const json_t *args)
{
    struct mc_error err;
    char by[32];

    (void)args;
    snprintf(by, sizeof(by), "uid %u", request_uid(request));
    if (daemon_reload(daemon, by, &err) < 0)
        request_fail(request, &err);
    else
        request_reply(request, json_object());
}

static const struct verb verbs[] = {
    {"admit", true, handle_admit},
    {"agent-enable", true, handle_agent_enable},
    {"dedupe", false, handle_dedupe},
    {"dedupe-sketch", true, handle_dedupe_sketch},
    {"events", false, handle_events},
    {"explain", false, handle_explain},
    {"history", false, handle_history},
    {"list", false, handle_list},
    {"pause", true, handle_pause},
    {"policy-list", false, handle_policy_list},
    {"policy-show", false, handle_policy_show},
    {"policy-use", true, handle_policy_use},
    {"reload", true, handle_reload},
    {"resume", true, handle_resume},
    {"set", true, handle_set},
    {"show", false, handle_show},
    {"snapshot", false, handle_snapshot},
    {"status", false, handle_status},
    {"version", false, handle_version},
};

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}
