/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pause.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "lookup.h"

/* More than this is not "some guests": then all of them can be paused. */
#define PAUSED_MAX 4096

void pauses_free(struct pauses *pauses)
{
    free(pauses->guests);
    *pauses = (struct pauses){0};
}

static struct paused_guest *find(const struct pauses *pauses, const char *uuid)
{
    for (size_t i = 0; i < pauses->count; i++)
        if (strcmp(pauses->guests[i].uuid, uuid) == 0)
            return &pauses->guests[i];
    return NULL;
}

bool pauses_has(const struct pauses *pauses, const char *uuid)
{
    return pauses->all || find(pauses, uuid);
}

void pauses_apply(const struct pauses *pauses, struct mc_snapshot *snapshot)
{
    for (size_t i = 0; (pauses->all || pauses->count) && i < snapshot->count; i++) {
        struct mc_guest *guest = &snapshot->guests[i];

        if (guest->exempt == MC_EXEMPT_NO && pauses_has(pauses, guest->uuid))
            guest->exempt = MC_EXEMPT_OPERATOR;
    }
}

json_t *pauses_json(const struct pauses *pauses)
{
    json_t *names = json_array();

    for (size_t i = 0; i < pauses->count; i++)
        json_array_append_new(names, json_string(pauses->guests[i].name));
    return json_pack("{s:b, s:o}", "all", pauses->all, "guests", names);
}

/* Returns 1, or 0 if it was paused already, or -errno. */
static int add(struct pauses *pauses, const struct mc_guest *guest, struct mc_error *err)
{
    struct paused_guest *guests;

    if (find(pauses, guest->uuid))
        return 0;
    if (pauses->count == PAUSED_MAX)
        return mc_error_set(
            err, -EBUSY, "%d guests are paused already; 'memctl pause' without a name pauses all",
            PAUSED_MAX);
    guests = reallocarray(pauses->guests, pauses->count + 1, sizeof(*guests));
    if (!guests)
        return mc_error_set(err, -ENOMEM, "out of memory");
    pauses->guests = guests;
    memcpy(guests[pauses->count].uuid, guest->uuid, sizeof(guest->uuid));
    memcpy(guests[pauses->count].name, guest->name, sizeof(guest->name));
    pauses->count++;
    return 1;
}

static bool drop(struct pauses *pauses, const char *uuid)
{
    struct paused_guest *paused = find(pauses, uuid);

    if (!paused)
        return false;
    *paused = pauses->guests[--pauses->count];
    return true;
}

/* ---- the verbs ---- */

/* What is shown agrees at once; the next tick says the rest. */
static void take_effect(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->snapshot.count; i++)
        if (daemon->snapshot.guests[i].exempt == MC_EXEMPT_OPERATOR)
            daemon->snapshot.guests[i].exempt = MC_EXEMPT_NO;
    pauses_apply(&daemon->pauses, &daemon->snapshot);
    tick_wake(daemon);
}

static void reply(struct request *request, struct daemon *daemon, const char *guest, bool changed)
{
    request_reply(request, json_pack("{s:s?, s:b, s:o}", "guest", guest, "changed", changed,
                                     "paused", pauses_json(&daemon->pauses)));
}

static void note(struct request *request, struct daemon *daemon, const struct mc_guest *guest,
                 bool pause)
{
    if (guest)
        events_add_guest(daemon->events, pause ? EVENT_PAUSED : EVENT_RESUMED, guest, NULL,
                         "%s by uid %u", pause ? "paused" : "resumed", request_uid(request));
    else
        events_add(daemon->events, pause ? EVENT_PAUSED : EVENT_RESUMED, NULL,
                   "all guests %s by uid %u", pause ? "paused" : "resumed", request_uid(request));
    take_effect(daemon);
}

static void pause_guest(struct request *request, struct daemon *daemon, struct mc_guest *guest,
                        const json_t *args)
{
    char name[MC_NAME_TEXT];
    struct mc_error err;
    int rc = add(&daemon->pauses, guest, &err);

    (void)args;
    if (rc < 0) {
        request_fail(request, &err);
        return;
    }
    memcpy(name, guest->name, sizeof(name));
    if (rc)
        note(request, daemon, guest, true);
    reply(request, daemon, name, rc);
}

static void resume_guest(struct request *request, struct daemon *daemon, struct mc_guest *guest,
                         const json_t *args)
{
    struct mc_error err;
    bool changed;

    (void)args;
    if (daemon->pauses.all) {
        mc_error_set(&err, -EBUSY,
                     "guest '%.64s' is paused with all others; 'memctl resume' resumes them",
                     guest->name);
        request_fail(request, &err);
        return;
    }
    changed = drop(&daemon->pauses, guest->uuid);
    if (changed)
        note(request, daemon, guest, false);
    reply(request, daemon, guest->name, changed);
}

static void pause_found(struct request *request, struct daemon *daemon, struct mc_snapshot *found,
                        const json_t *args)
{
    pause_guest(request, daemon, &found->guests[0], args);
}

static void resume_found(struct request *request, struct daemon *daemon, struct mc_snapshot *found,
                         const json_t *args)
{
    resume_guest(request, daemon, &found->guests[0], args);
}

static void switch_all(struct request *request, struct daemon *daemon, bool pause)
{
    bool changed = daemon->pauses.all != pause;

    daemon->pauses.all = pause;
    if (changed)
        note(request, daemon, NULL, pause);
    reply(request, daemon, NULL, changed);
}

void handle_pause(struct request *request, struct daemon *daemon, const json_t *args)
{
    if (json_object_get(args, "guest"))
        lookup_guest(request, daemon, args, pause_guest, pause_found);
    else
        switch_all(request, daemon, true);
}

void handle_resume(struct request *request, struct daemon *daemon, const json_t *args)
{
    if (json_object_get(args, "guest"))
        lookup_guest(request, daemon, args, resume_guest, resume_found);
    else
        switch_all(request, daemon, false);
}
