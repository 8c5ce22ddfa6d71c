/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include <memctl/client.h>
#include <memctl/units.h>
#include <memctl/wire.h>

static uint64_t size_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : MC_UNKNOWN;
}

static uint64_t count_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static bool is(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static void copy(char *text, size_t size, const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    snprintf(text, size, "%s", value ? value : "");
}

static void look_at_socket(const char *path, struct doctor_daemon *daemon)
{
    struct stat info;

    snprintf(daemon->socket, sizeof(daemon->socket), "%s", path);
    daemon->has_socket = stat(path, &info) == 0;
    if (!daemon->has_socket)
        return;
    daemon->socket_mode = info.st_mode & 0777;
    daemon->socket_of_root = info.st_gid == 0;
}

static void read_status(const json_t *status, struct doctor_daemon *daemon)
{
    const json_t *link = json_object_get(status, "hypervisor");
    const json_t *plan = json_object_get(status, "plan");
    const json_t *counters = json_object_get(status, "counters");
    const json_t *history = json_object_get(status, "history");

    copy(daemon->version, sizeof(daemon->version), status, "version");
    copy(daemon->policy, sizeof(daemon->policy), status, "policy");
    copy(daemon->refused, sizeof(daemon->refused), json_object_get(status, "policy_refused"),
         "policy");
    copy(daemon->uri, sizeof(daemon->uri), link, "uri");
    copy(daemon->link_error, sizeof(daemon->link_error), link, "error");
    daemon->link_up = is(link, "up");
    daemon->stuck_calls = (unsigned)count_of(link, "stuck_calls");
    daemon->dry_run = is(status, "dry_run");
    daemon->paused_all = is(json_object_get(status, "paused"), "all");
    daemon->ticks = count_of(counters, "ticks");
    daemon->ticks_late = count_of(counters, "ticks_late");
    daemon->observe_failures = count_of(counters, "observe_failures");
    daemon->has_plan = json_is_object(plan);
    copy(daemon->host_state, sizeof(daemon->host_state), plan, "state");
    daemon->budget = size_of(plan, "budget");
    daemon->strict = size_of(plan, "strict");
    daemon->headroom = size_of(plan, "headroom");
    daemon->deficit = count_of(plan, "deficit");
    daemon->keeps_history = json_is_object(history);
    daemon->history_up = is(history, "up");
    daemon->history_shortened = json_is_integer(json_object_get(history, "shortened_ms"));
    daemon->history_size = size_of(history, "size");
    daemon->history_max = size_of(history, "size_max");
    copy(daemon->history_error, sizeof(daemon->history_error), history, "error");
}

static int read_guest(const json_t *json, struct doctor_facts *facts)
{
    const char *uuid = json_string_value(json_object_get(json, "uuid"));
    const json_t *balloon = json_object_get(json, "balloon");
    struct doctor_guest *guest = uuid ? doctor_guest_of(facts, uuid) : NULL;

    if (!guest)
        return uuid ? -ENOMEM : 0;
    guest->seen = true;
    copy(guest->name, sizeof(guest->name), json, "name");
    copy(guest->exempt, sizeof(guest->exempt), json, "exempt");
    guest->memory = size_of(json, "memory");
    guest->min = size_of(json, "min");
    guest->max = size_of(json, "max");
    guest->answers = is(json, "answers");
    guest->fresh = is(json, "fresh");
    guest->stuck = is(json, "stuck");
    guest->foreign = is(json, "foreign");
    guest->agent_speaks = json_is_object(json_object_get(json, "agent"));
    guest->distress = json_object_get(json, "distress") &&
                      strcmp(json_string_value(json_object_get(json, "distress")), "no") != 0;
    guest->has_statistics = json_is_object(balloon);
    guest->last_update = count_of(balloon, "last_update");
    return 0;
}

static int ask(struct mc_client *client, struct doctor_facts *facts)
{
    struct doctor_daemon *daemon = &facts->daemon;
    json_t *status = NULL, *list = NULL;
    struct mc_error err = {0};
    const json_t *guests;
    int rc = 0;

    if (mc_client_call(client, "status", NULL, &status, &err) < 0 ||
        mc_client_call(client, "list", NULL, &list, &err) < 0) {
        snprintf(daemon->error, sizeof(daemon->error), "%s", err.text);
        json_decref(status);
        return 0;
    }
    daemon->answers = true;
    read_status(status, daemon);
    guests = json_object_get(list, "guests");
    for (size_t i = 0; i < json_array_size(guests) && rc == 0; i++)
        rc = read_guest(json_array_get(guests, i), facts);
    json_decref(status);
    json_decref(list);
    return rc;
}

int doctor_ask_daemon(const char *socket, struct doctor_facts *facts)
{
    struct doctor_daemon *daemon = &facts->daemon;
    const char *named = socket ? socket : secure_getenv("MEMCTL_SOCKET");
    struct mc_client *client;
    struct mc_error err = {0};
    int rc;

    daemon->asked = true;
    look_at_socket(named ? named : MC_SOCKET_DEFAULT, daemon);
    rc = mc_client_open(socket, &client, &err);
    if (rc < 0) {
        daemon->denied = rc == -EACCES;
        snprintf(daemon->error, sizeof(daemon->error), "%s", err.text);
        return rc == -ENOMEM ? rc : 0;
    }
    rc = ask(client, facts);
    mc_client_close(client);
    return rc;
}
