/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/wire.h>

#define SAVE_WITHIN_MS 10000

struct save {
    struct job job;
    struct daemon *daemon;
    struct request *request; /* NULL once answered */
    struct mc_guest guest;   /* as it was when it was asked for */
    struct mc_settings settings;
    unsigned uid;      /* who asked */
    char said[128];    /* what, as "shares=2000 min=4G" */
    struct save *next; /* of those under way */
};

static int save_run(struct job *job, struct mc_session *session)
{
    struct save *save = (struct save *)job;

    return mc_session_save_settings(session, save->guest.uuid, &save->settings, &job->err);
}

static void save_late(struct job *job)
{
    struct save *save = (struct save *)job;
    struct mc_error err;

    mc_error_set(&err, -ETIMEDOUT,
                 "guest '%.64s' does not answer; the settings are not stored yet, look with "
                 "'memctl show' later",
                 save->guest.name);
    request_fail(save->request, &err);
    save->request = NULL;
}

/* A running guest, or one that runs meanwhile, has the new settings at once. */
static struct mc_guest *take_over(struct save *save)
{
    struct daemon *daemon = save->daemon;
    struct mc_guest *running = mc_snapshot_find(&daemon->snapshot, save->guest.uuid);
    struct mc_guest *guest = running ? running : &save->guest;

    guest->own = save->settings;
    observe_apply_config_to(&daemon->config, guest);
    if (running) {
        mc_engine_unsettle(daemon->engine);
        record_unsettle(daemon);
        tick_wake(daemon);
    }
    return guest;
}

static void save_done(struct job *job)
{
    struct save *save = (struct save *)job;
    struct save **link = &save->daemon->saves;

    while (*link != save)
        link = &(*link)->next;
    *link = save->next;
    if (job->rc == 0) {
        const struct mc_guest *guest = take_over(save);

        save->daemon->stores++;
        events_add_guest(save->daemon->events, EVENT_SETTINGS, guest, NULL, "set by uid %u: %s",
                         save->uid, save->said);
        if (save->request)
            request_reply(save->request, mc_guest_to_json(guest, NULL));
    } else if (save->request) {
        request_fail(save->request, &job->err);
    }
    free(save);
}

/* {"shares": "2000", "min": ""} said over the guest's own settings. */
static int read_changes(const json_t *changes, struct mc_settings *settings, struct mc_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(changes) || json_object_size(changes) == 0)
        return mc_error_set(err, -EINVAL, "nothing to set; give KEY=VALUE, as in shares=2000");
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
        if (strcmp(save->guest.uuid, guest->uuid) == 0)
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

static void say_changes(const json_t *changes, char *said, size_t size)
{
    const char *key;
    json_t *value;
    size_t length = 0;

    json_object_foreach ((json_t *)changes, key, value)
        if (length < size)
            length += (size_t)snprintf(said + length, size - length, "%s%s=%s", length ? " " : "",
                                       key, json_string_value(value));
}

static struct save *save_new(struct request *request, struct daemon *daemon,
                             const struct mc_guest *guest, const struct mc_settings *settings)
{
    struct save *save = calloc(1, sizeof(*save));

    if (!save)
        return NULL;
    save->job = (struct job){
        .run = save_run, .done = save_done, .late = save_late, .within_ms = SAVE_WITHIN_MS};
    save->daemon = daemon;
    save->request = request;
    save->guest = *guest;
    save->settings = *settings;
    save->uid = request_uid(request);
    save->next = daemon->saves;
    daemon->saves = save;
    return save;
}

void save_settings(struct request *request, struct daemon *daemon, struct mc_guest *guest,
                   const json_t *args)
{
    struct mc_settings settings = guest->own;
    struct mc_error err;
    struct save *save;

    if (check_no_save(daemon, guest, &err) < 0 ||
        read_changes(json_object_get(args, "settings"), &settings, &err) < 0 ||
        check_changes(daemon, guest, &settings, &err) < 0) {
        mc_error_prefix(&err, "guest '%.64s': ", guest->name);
        request_fail(request, &err);
        return;
    }
    save = save_new(request, daemon, guest, &settings);
    if (!save) {
        mc_error_set(&err, -ENOMEM, "out of memory");
        request_fail(request, &err);
        return;
    }
    say_changes(json_object_get(args, "settings"), save->said, sizeof(save->said));
    lanes_submit(daemon->lanes, &save->job);
}
