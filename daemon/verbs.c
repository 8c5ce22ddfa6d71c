/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be asked over the control socket: one small handler per verb. */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/wire.h>

#include "log.h"

#define SAVE_WITHIN_MS 10000

/* ---- reading ---- */

static json_t *link_json(const struct daemon *daemon)
{
    const struct link_state *link = &daemon->link;

    return json_pack("{s:s, s:b, s:s?, s:i}", "uri", daemon->config.connect, "up", link->up,
                     "error", link->up || !*link->last_error.text ? NULL : link->last_error.text,
                     "stuck_calls", (int)lanes_stuck(daemon->lanes));
}

static json_t *counters_json(const struct counters *counters)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ticks",
                     (json_int_t)counters->ticks, "ticks_late", (json_int_t)counters->ticks_late,
                     "observe_failures", (json_int_t)counters->observe_failures, "policy_failures",
                     (json_int_t)counters->policy_failures, "commands",
                     (json_int_t)counters->commands, "command_failures",
                     (json_int_t)counters->command_failures, "bytes_reclaimed",
                     (json_int_t)counters->bytes_reclaimed, "bytes_granted",
                     (json_int_t)counters->bytes_granted);
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
    json_object_set_new(result, "policy_params", mc_params_to_json(daemon->policies.current));
    json_object_set_new(result, "policy_refused", policies_refused_json(daemon));
    json_object_set_new(result, "host",
                        daemon->has_plan ? mc_host_to_json(&daemon->snapshot.host) : json_null());
    json_object_set_new(result, "plan",
                        daemon->has_plan ? mc_plan_to_json(&daemon->plan) : json_null());
    json_object_set_new(result, "counters", counters_json(&daemon->counters));
    request_reply(request, result);
}

static const struct mc_step *step_of(const struct daemon *daemon, size_t index)
{
    return daemon->has_plan && index < daemon->plan.count ? &daemon->plan.steps[index] : NULL;
}

static void handle_list(struct request *request, struct daemon *daemon, const json_t *args)
{
    json_t *guests = json_array();

    (void)args;
    for (size_t i = 0; i < daemon->snapshot.count; i++)
        json_array_append_new(guests,
                              mc_guest_to_json(&daemon->snapshot.guests[i], step_of(daemon, i)));
    request_reply(request, json_pack("{s:o, s:b}", "guests", guests, "connected", daemon->link.up));
}

/* The guest that the request names, or NULL with the request already refused. */
static struct mc_guest *named_guest(struct request *request, struct daemon *daemon,
                                    const json_t *args)
{
    const char *name = json_string_value(json_object_get(args, "guest"));
    struct mc_guest *guest = name ? mc_snapshot_find_named(&daemon->snapshot, name) : NULL;
    struct mc_error err;

    if (guest)
        return guest;
    if (!name)
        mc_error_set(&err, -EINVAL, "the request names no guest");
    else if (!daemon->link.up)
        mc_error_set(&err, -ENOENT, "guest '%.64s' is not known: %.300s", name,
                     *daemon->link.last_error.text ? daemon->link.last_error.text
                                                   : "memctld has not seen any guest yet");
    else
        mc_error_set(&err, -ENOENT,
                     "no running guest is named '%.64s'; 'memctl list' shows them all", name);
    request_fail(request, &err);
    return NULL;
}

static void handle_show(struct request *request, struct daemon *daemon, const json_t *args)
{
    struct mc_guest *guest = named_guest(request, daemon, args);

    if (guest)
        request_reply(
            request,
            mc_guest_to_json(guest, step_of(daemon, (size_t)(guest - daemon->snapshot.guests))));
}

static void handle_version(struct request *request, struct daemon *daemon, const json_t *args)
{
    (void)daemon;
    (void)args;
    request_reply(request,
                  json_pack("{s:s, s:i}", "version", MEMCTL_VERSION, "protocol", MC_WIRE_VERSION));
}

/* ---- changing ---- */

struct save {
    struct job job;
    struct daemon *daemon;
    struct request *request; /* NULL once answered */
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    struct mc_settings settings;
    struct save *next; /* of those under way */
};

static int save_run(struct job *job, struct mc_session *session)
{
    struct save *save = (struct save *)job;

    return mc_session_save_settings(session, save->uuid, &save->settings, &job->err);
}

static void save_late(struct job *job)
{
    struct save *save = (struct save *)job;
    struct mc_error err;

    mc_error_set(&err, -ETIMEDOUT,
                 "guest '%.64s' does not answer; the settings are not stored yet, look with "
                 "'memctl show' later",
                 save->name);
    request_fail(save->request, &err);
    save->request = NULL;
}

static void save_done(struct job *job)
{
    struct save *save = (struct save *)job;
    struct daemon *daemon = save->daemon;
    struct save **link = &daemon->saves;
    struct mc_guest *guest = mc_snapshot_find(&daemon->snapshot, save->uuid);

    while (*link != save)
        link = &(*link)->next;
    *link = save->next;
    if (job->rc == 0 && guest) {
        guest->own = save->settings;
        observe_apply_config(&daemon->config, &daemon->snapshot);
        mc_engine_unsettle(daemon->engine);
        record_unsettle(daemon);
        tick_wake(daemon);
    }
    if (save->request && job->rc < 0) {
        request_fail(save->request, &job->err);
    } else if (save->request) {
        request_reply(save->request, guest ? mc_guest_to_json(guest, NULL) : json_null());
    }
    free(save);
}

/* {"shares": "2000", "min": ""} said over the guest's own settings. */
static int read_changes(const json_t *changes, struct mc_settings *settings, struct mc_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(changes) || json_object_size(changes) == 0)
        return mc_error_set(err, -EINVAL, "nothing to set; give shares=N, min=SIZE or max=SIZE");
    json_object_foreach ((json_t *)changes, key, value) {
        int rc;

        if (!json_is_string(value))
            return mc_error_set(err, -EINVAL, "%.32s: the value is not a text", key);
        rc = mc_settings_say(settings, key, json_string_value(value), err);
        if (rc < 0) {
            mc_error_prefix(err, "%.32s: ", key);
            return rc;
        }
    }
    return 0;
}

/* Two changes at a time could store the older one last. */
static int check_no_save(const struct daemon *daemon, const struct mc_guest *guest,
                         struct mc_error *err)
{
    for (const struct save *save = daemon->saves; save; save = save->next)
        if (strcmp(save->uuid, guest->uuid) == 0)
            return mc_error_set(err, -EBUSY, "another change is being stored; try again");
    if (!guest->known)
        return mc_error_set(err, -EBUSY, "its settings were not read yet; try again");
    return 0;
}

static int check_changes(const struct daemon *daemon, const struct mc_guest *guest,
                         const struct mc_settings *own, struct mc_error *err)
{
    struct mc_settings all = config_settings_for(&daemon->config, guest->name, own);

    return mc_settings_check(&all, guest->memory, err);
}

static void handle_set(struct request *request, struct daemon *daemon, const json_t *args)
{
    const struct mc_guest *guest = named_guest(request, daemon, args);
    char line[MC_NAME_TEXT + 32];
    struct mc_settings settings;
    struct mc_error err;
    struct save *save;

    if (!guest)
        return;
    settings = guest->own;
    if (check_no_save(daemon, guest, &err) < 0 ||
        read_changes(json_object_get(args, "settings"), &settings, &err) < 0 ||
        check_changes(daemon, guest, &settings, &err) < 0) {
        mc_error_prefix(&err, "guest '%.64s': ", guest->name);
        request_fail(request, &err);
        return;
    }
    save = calloc(1, sizeof(*save));
    if (!save) {
        mc_error_set(&err, -ENOMEM, "out of memory");
        request_fail(request, &err);
        return;
    }
    save->job = (struct job){
        .run = save_run, .done = save_done, .late = save_late, .within_ms = SAVE_WITHIN_MS};
    save->daemon = daemon;
    save->request = request;
    save->settings = settings;
    memcpy(save->uuid, guest->uuid, sizeof(save->uuid));
    memcpy(save->name, guest->name, sizeof(save->name));
    snprintf(line, sizeof(line), "sets guest '%s'", guest->name);
    request_log(request, line);
    save->next = daemon->saves;
    daemon->saves = save;
    lanes_submit(daemon->lanes, &save->job);
}

static void handle_reload(struct request *request, struct daemon *daemon, const json_t *args)
{
    struct mc_error err;

    (void)args;
    request_log(request, "reloads the configuration");
    if (daemon_reload(daemon, &err) < 0)
        request_fail(request, &err);
    else
        request_reply(request, json_object());
}

static const struct verb verbs[] = {
    {"list", false, handle_list},
    {"policy-list", false, handle_policy_list},
    {"policy-show", false, handle_policy_show},
    {"policy-use", true, handle_policy_use},
    {"reload", true, handle_reload},
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
