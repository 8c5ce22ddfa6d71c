/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs about policies: which there are, which decides, and what it is asked. */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/wire.h>

#include "log.h"

json_t *policies_refused_json(const struct daemon *daemon)
{
    const struct policies *policies = &daemon->policies;

    if (!*policies->refused)
        return json_null();
    return json_pack("{s:s, s:s}", "policy", policies->refused, "error", policies->refusal.text);
}

static json_t *current_json(const struct daemon *daemon)
{
    json_t *policy = mc_policy_to_json(daemon->policies.current);

    json_object_set_new(policy, "current", json_true());
    json_object_set_new(policy, "refused", policies_refused_json(daemon));
    return policy;
}

/* A module that cannot be loaded is listed too, with what is wrong. */
static json_t *one_policy(const struct daemon *daemon, const char *name)
{
    const struct mc_policy *current = mc_policy_of(daemon->policies.current);
    struct mc_policy_run *policy = NULL;
    struct mc_error err;
    json_t *object;

    if (mc_policy_load(name, &policy, &err) < 0)
        return json_pack("{s:s, s:s, s:b}", "name", name, "error", err.text, "current", 0);
    object =
        json_pack("{s:s, s:s, s:b}", "name", name, "description", mc_policy_of(policy)->description,
                  "current", strcmp(mc_policy_of(policy)->name, current->name) == 0);
    mc_policy_unload(policy);
    return object;
}

void handle_policy_list(struct request *request, struct daemon *daemon, const json_t *args)
{
    json_t *list;
    struct mc_error err;
    char **names;
    size_t count;

    (void)args;
    if (mc_policy_names(&names, &count, &err) < 0) {
        request_fail(request, &err);
        return;
    }
    list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, one_policy(daemon, names[i]));
    mc_policy_names_free(names, count);
    request_reply(request,
                  json_pack("{s:o, s:o}", "policies", list, "current", current_json(daemon)));
}

/*
 * Any other name is looked up among the modules: a reader may not have files loaded, which runs
 * their code.
 */
void handle_policy_show(struct request *request, struct daemon *daemon, const json_t *args)
{
    const char *name = json_string_value(json_object_get(args, "policy"));
    struct mc_policy_run *policy = NULL;
    struct mc_error err;
    json_t *object;

    if (!name || strcmp(name, mc_policy_of(daemon->policies.current)->name) == 0) {
        request_reply(request, current_json(daemon));
        return;
    }
    if (strchr(name, '/')) {
        mc_error_set(&err, -EINVAL, "'%.64s' is a path; name a policy of 'memctl policy list'",
                     name);
        request_fail(request, &err);
        return;
    }
    if (mc_policy_load(name, &policy, &err) < 0) {
        request_fail(request, &err);
        return;
    }
    object = mc_policy_to_json(policy);
    json_object_set_new(object, "current", json_false());
    mc_policy_unload(policy);
    request_reply(request, object);
}

static int set_params(struct mc_policy_run *policy, const json_t *params, struct mc_error *err)
{
    const char *key;
    json_t *value;

    if (params && !json_is_object(params))
        return mc_error_set(err, -EINVAL, "params: is not an object");
    json_object_foreach ((json_t *)params, key, value) {
        int rc;

        if (!json_is_string(value))
            return mc_error_set(err, -EINVAL, "%.32s: the value is not a text", key);
        rc = mc_policy_set_param(policy, key, json_string_value(value), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/*
 * A policy whose first answer is no good does not get to decide. A module runs with the daemon's
 * privileges, so the group that may change settings may choose only among the installed ones.
 */
static int load_tried(const struct daemon *daemon, const struct request *request, const char *name,
                      const json_t *params, struct mc_policy_run **policy, struct mc_error *err)
{
    struct mc_policy_input input = mc_engine_policy_input(daemon->engine, NULL);
    struct mc_policy_run *loaded;
    int rc;

    if (strchr(name, '/') && !request_is_own(request))
        return mc_error_set(err, -EACCES,
                            "'%.64s': only root may load a module by its path; 'memctl policy "
                            "list' shows the installed ones",
                            name);
    rc = mc_policy_load(name, &loaded, err);
    if (rc < 0)
        return rc;
    rc = set_params(loaded, params, err);
    if (rc == 0)
        rc = mc_policy_try(loaded, &input, err);
    if (rc < 0) {
        mc_policy_unload(loaded);
        return rc;
    }
    *policy = loaded;
    return 0;
}

void handle_policy_use(struct request *request, struct daemon *daemon, const json_t *args)
{
    const char *name = json_string_value(json_object_get(args, "policy"));
    struct mc_policy_run *policy = NULL;
    struct mc_error err;

    if (!name) {
        mc_error_set(&err, -EINVAL, "the request names no policy");
        request_fail(request, &err);
        return;
    }
    if (load_tried(daemon, request, name, json_object_get(args, "params"), &policy, &err) < 0) {
        request_fail(request, &err);
        return;
    }
    events_add(daemon->events, EVENT_POLICY, NULL, "policy %.64s decides, chosen by uid %u",
               mc_policy_of(policy)->name, request_uid(request));
    policies_take(&daemon->policies, policy);
    mc_engine_configure(daemon->engine, &daemon->config.engine, policy);
    record_begin(daemon);
    tick_wake(daemon);
    request_reply(request, current_json(daemon));
}

/* ---- what the policy is asked ---- */

static struct mc_question_name *names_of(const struct daemon *daemon,
                                         const struct mc_policy_input *input, const size_t *index)
{
    struct mc_question_name *names = calloc(input->count + 1, sizeof(*names));

    for (size_t i = 0; names && i < input->count; i++) {
        const struct mc_guest *guest = &daemon->snapshot.guests[index[i]];

        memcpy(names[i].name, guest->name, sizeof(names[i].name));
        memcpy(names[i].uuid, guest->uuid, sizeof(names[i].uuid));
    }
    return names;
}

void handle_snapshot(struct request *request, struct daemon *daemon, const json_t *args)
{
    struct mc_question_name *names;
    struct mc_policy_input input;
    struct mc_error err;
    const size_t *index;
    json_t *result;

    (void)args;
    if (!daemon->has_plan) {
        mc_error_set(&err, -EBUSY, "the guests were not seen yet: %.300s",
                     *daemon->link.last_error.text ? daemon->link.last_error.text : "try again");
        request_fail(request, &err);
        return;
    }
    input = mc_engine_policy_input(daemon->engine, &index);
    names = names_of(daemon, &input, index);
    result = names ? mc_question_to_json(&input, names) : NULL;
    free(names);
    if (result) {
        json_object_set_new(result, "policy",
                            json_string(mc_policy_of(daemon->policies.current)->name));
        json_object_set_new(result, "params", mc_params_to_json(daemon->policies.current));
    }
    request_reply(request, result);
}
