/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asking an engine again what a recording says it was asked. */
#include "replay/recording.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct replay {
    struct mc_engine *engine;
    struct mc_policy_run *policy;
    struct mc_snapshot snapshot;
    struct mc_plan plan;
    struct mc_replay_result *result;
    size_t line;
};

static int begin(struct replay *replay, const json_t *event, struct mc_error *err)
{
    struct mc_policy_run *policy = NULL;
    struct mc_engine_config config;
    int rc = mc_recording_read_config(event, &config, err);

    if (rc == 0)
        rc = mc_recording_read_policy(event, &policy, err);
    if (rc == 0 && replay->engine)
        mc_engine_configure(replay->engine, &config, policy);
    else if (rc == 0 && !(replay->engine = mc_engine_new(&config, policy)))
        rc = mc_error_set(err, -ENOMEM, "out of memory");
    if (rc < 0) {
        mc_policy_unload(policy);
        return rc;
    }
    mc_policy_unload(replay->policy);
    replay->policy = policy;
    return 0;
}

/* An older memctl did not say all that is said now; what it said has to come out again. */
static bool agrees(const json_t *was, const json_t *is)
{
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_object(was) && json_is_object(is)) {
        json_object_foreach ((json_t *)was, key, value)
            if (!agrees(value, json_object_get(is, key)))
                return false;
        return true;
    }
    if (!json_is_array(was) || json_array_size(was) != json_array_size(is))
        return json_equal(was, is);
    json_array_foreach (was, i, value)
        if (!agrees(value, json_array_get(is, i)))
            return false;
    return true;
}

/* The name of the first guest whose step is another one; "" if it is the whole. */
static const char *find_difference(const struct replay *replay, const json_t *was, const json_t *is)
{
    const json_t *old_steps = json_object_get(was, "steps"), *new_steps;

    new_steps = json_object_get(is, "steps");
    for (size_t i = 0; i < replay->snapshot.count; i++)
        if (!agrees(json_array_get(old_steps, i), json_array_get(new_steps, i)))
            return replay->snapshot.guests[i].name;
    return "";
}

static void compare(struct replay *replay, const json_t *was, json_t *is)
{
    struct mc_replay_result *result = replay->result;

    if (!agrees(was, is) && result->differ++ == 0) {
        result->first_line = replay->line;
        snprintf(result->first, sizeof(result->first), "%s", find_difference(replay, was, is));
    }
    json_decref(is);
}

static int step(struct replay *replay, const json_t *event, struct mc_error *err)
{
    struct mc_replay_result *result = replay->result;
    struct mc_error failure;
    int rc = mc_recording_read_snapshot(event, &replay->snapshot, err);

    if (rc < 0)
        return rc;
    rc = mc_engine_step(replay->engine, &replay->snapshot, &replay->plan, &failure);
    result->steps++;
    if (replay->snapshot.count > result->guests)
        result->guests = replay->snapshot.count;
    for (size_t i = 0; rc == 0 && i < replay->plan.count; i++)
        result->commands += replay->plan.steps[i].send;
    compare(replay, json_object_get(event, "plan"),
            rc < 0 ? json_null() : mc_recording_plan(&replay->plan));
    return 0;
}

static int teach(struct replay *replay, const json_t *event, uint64_t now_ms, struct mc_error *err)
{
    const json_t *object;
    size_t i;

    json_array_foreach (json_object_get(event, "lessons"), i, object) {
        struct mc_lesson lesson;

        if (mc_recording_read_lesson(object, &lesson, err) < 0) {
            mc_error_prefix(err, "lessons[%zu]: ", i);
            return -EINVAL;
        }
        if (mc_engine_teach(replay->engine, &lesson, 1, now_ms) < 0)
            return mc_error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static int take(struct replay *replay, const json_t *event, struct mc_error *err)
{
    const char *kind = json_string_value(json_object_get(event, "event"));
    const char *uuid = json_string_value(json_object_get(event, "uuid"));
    uint64_t now_ms = (uint64_t)json_integer_value(json_object_get(event, "now_ms"));

    if (!kind)
        return mc_error_set(err, -EINVAL, "is no line of a recording");
    if (strcmp(kind, "begin") == 0)
        return begin(replay, event, err);
    if (!replay->engine)
        return mc_error_set(err, -EINVAL, "the recording does not start with 'begin'");
    if (strcmp(kind, "step") == 0)
        return step(replay, event, err);
    if (strcmp(kind, "teach") == 0)
        return teach(replay, event, now_ms, err);
    if (strcmp(kind, "unsettle") == 0)
        mc_engine_unsettle(replay->engine);
    else if (strcmp(kind, "withheld") == 0 && uuid)
        mc_engine_withheld(replay->engine, uuid);
    else if (strcmp(kind, "done") == 0 && uuid)
        mc_engine_done(replay->engine, uuid, now_ms);
    else if (strcmp(kind, "failed") == 0 && uuid)
        mc_engine_failed(replay->engine, uuid, now_ms);
    else
        return mc_error_set(err, -EINVAL, "'%.32s' is no event of a recording", kind);
    return 0;
}

static int take_line(struct replay *replay, const char *text, size_t length, struct mc_error *err)
{
    json_error_t error;
    json_t *event;
    int rc;

    if (text[length - 1] != '\n') {
        replay->result->cut = true;
        return 0;
    }
    event = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    rc = event ? take(replay, event, err) : mc_error_set(err, -EINVAL, "%s", error.text);
    json_decref(event);
    return rc;
}

int mc_replay(const char *file, struct mc_replay_result *result, struct mc_error *err)
{
    struct replay replay = {.result = result};
    FILE *in = fopen(file, "re");
    char *text = NULL;
    size_t room = 0;
    ssize_t length;
    int rc = 0;

    *result = (struct mc_replay_result){0};
    if (!in)
        return mc_error_set(err, -errno, "recording %s cannot be read: %s", file, strerror(errno));
    while (rc == 0 && (length = getline(&text, &room, in)) > 0) {
        replay.line++;
        rc = take_line(&replay, text, (size_t)length, err);
    }
    if (rc < 0)
        mc_error_prefix(err, "recording %s: line %zu: ", file, replay.line);
    else if (ferror(in))
        rc = mc_error_set(err, -EIO, "recording %s cannot be read: %s", file, strerror(errno));
    free(text);
    fclose(in);
    mc_engine_free(replay.engine);
    mc_policy_unload(replay.policy);
    mc_snapshot_free(&replay.snapshot);
    mc_plan_free(&replay.plan);
    return rc;
}
