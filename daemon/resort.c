/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resort.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holds.h"
#include "saved.h"

/* To suspend and to resume; to save, and to start what was saved: both read or write all of it. */
#define QUICK_WITHIN_MS 10000
#define LONG_WITHIN_MS 600000

/* What was done is in all that is observed after so long. */
#define SETTLES_MS 2000

/* After a failure a guest is left as it is for so long. */
#define STOP_AGAIN_MS 600000
#define CONTINUE_AGAIN_MS 60000

enum deed_kind { DEED_STOP, DEED_CONTINUE, DEED_FORGET };

struct deed {
    struct job job;
    struct daemon *daemon;
    enum deed_kind kind;
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    struct mc_stopped stopped;
};

struct resort {
    struct saved saved;
    struct deed *under_way; /* one at a time */
    uint64_t busy_until_ms;
    struct holds holds;
    char withheld[MC_UUID_TEXT]; /* in a dry run: who would have been stopped */
};

struct resort *resort_new(void)
{
    return calloc(1, sizeof(struct resort));
}

void resort_free(struct resort *resort)
{
    if (!resort)
        return;
    holds_free(&resort->holds);
    mc_snapshot_free(&resort->saved.list);
    free(resort);
}

static bool is_held(struct daemon *daemon, const char *uuid)
{
    return pauses_has(&daemon->pauses, uuid) ||
           holds_has(&daemon->resort->holds, uuid, daemon->snapshot.now_ms);
}

/* ---- deeds ---- */

static int run(struct job *job, struct mc_session *session)
{
    struct deed *deed = (struct deed *)job;

    switch (deed->kind) {
    case DEED_STOP:
        return mc_session_stop(session, deed->uuid, &deed->stopped, &job->err);
    case DEED_CONTINUE:
        return mc_session_continue(session, deed->uuid, &job->err);
    default:
        return mc_session_forget_stop(session, deed->uuid, &job->err);
    }
}

static struct event_facts facts_of(const struct deed *deed)
{
    return (struct event_facts){.uuid = deed->uuid, .name = deed->name, .reason = "last-resort"};
}

static void late(struct job *job)
{
    struct deed *deed = (struct deed *)job;
    const struct event_facts facts = facts_of(deed);

    events_add(deed->daemon->events, EVENT_COMMAND_LATE, &facts,
               "what the last resort does to it does not come to an end");
}

static void done_well(struct daemon *daemon, const struct deed *deed)
{
    const struct event_facts facts = facts_of(deed);
    bool saved = deed->stopped.how == MC_LAST_RESORT_SAVE;

    if (deed->kind == DEED_STOP) {
        daemon->counters.stops++;
        if (saved)
            saved_add(&daemon->resort->saved, deed->uuid, deed->name, &deed->stopped);
        events_add(daemon->events, EVENT_STOPPED, &facts,
                   "%s as a last resort; goes on when the host has memory again",
                   saved ? "saved" : "suspended");
    } else if (deed->kind == DEED_CONTINUE) {
        daemon->counters.continues++;
        saved_drop(&daemon->resort->saved, deed->uuid);
        events_add(daemon->events, EVENT_CONTINUED, &facts, "goes on; the host has memory again");
    } else {
        events_add(daemon->events, EVENT_CONTINUED, &facts,
                   "goes on by another hand; not stopped again for a while");
    }
}

static void failed(struct daemon *daemon, const struct deed *deed)
{
    const struct event_facts facts = facts_of(deed);
    uint64_t pause_ms = deed->kind == DEED_STOP ? STOP_AGAIN_MS : CONTINUE_AGAIN_MS;
    const char *what = deed->kind == DEED_STOP ? "cannot be stopped as a last resort"
                                               : "does not go on after the last resort";

    daemon->counters.resort_failures++;
    holds_add(&daemon->resort->holds, deed->uuid, clock_now_ms() + pause_ms);
    if (deed->job.rc == -ENOENT)
        saved_drop(&daemon->resort->saved, deed->uuid);
    events_add(daemon->events, EVENT_RESORT_FAILED, &facts, "%s: %s", what, deed->job.err.text);
}

static void done(struct job *job)
{
    struct deed *deed = (struct deed *)job;
    struct daemon *daemon = deed->daemon;

    daemon->resort->under_way = NULL;
    daemon->resort->busy_until_ms = clock_now_ms() + SETTLES_MS;
    if (job->rc == 0)
        done_well(daemon, deed);
    else if (job->rc != -ECANCELED)
        failed(daemon, deed);
    free(deed);
    tick_wake(daemon);
}

static void submit(struct daemon *daemon, enum deed_kind kind, const char *uuid, const char *name,
                   const struct mc_stopped *stopped)
{
    bool takes_long = kind != DEED_FORGET && stopped->how == MC_LAST_RESORT_SAVE;
    struct deed *deed = calloc(1, sizeof(*deed));

    if (!deed)
        return;
    deed->job = (struct job){.run = run,
                             .done = done,
                             .late = late,
                             .within_ms = takes_long ? LONG_WITHIN_MS : QUICK_WITHIN_MS};
    deed->daemon = daemon;
    deed->kind = kind;
    snprintf(deed->uuid, sizeof(deed->uuid), "%s", uuid);
    snprintf(deed->name, sizeof(deed->name), "%s", name);
    deed->stopped = *stopped;
    daemon->resort->under_way = deed;
    lanes_submit(daemon->lanes, &deed->job);
}

/* ---- around the engine ---- */

/* A note on a guest that runs is over. */
static void forget_one(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->snapshot.count; i++) {
        const struct mc_guest *guest = &daemon->snapshot.guests[i];

        if (guest->stopped.how == MC_LAST_RESORT_NONE || guest->state != MC_GUEST_RUNNING ||
            !guest->known || !guest->answers || is_held(daemon, guest->uuid))
            continue;
        submit(daemon, DEED_FORGET, guest->uuid, guest->name, &guest->stopped);
        return;
    }
}

void resort_mark(struct daemon *daemon)
{
    struct mc_snapshot *snapshot = &daemon->snapshot;
    struct resort *resort = daemon->resort;

    saved_look(daemon, &resort->saved, resort->under_way);
    saved_drop_running(&resort->saved, snapshot);
    for (size_t i = 0; i < resort->saved.list.count; i++)
        resort->saved.list.guests[i].resort_hold =
            is_held(daemon, resort->saved.list.guests[i].uuid);
    for (size_t i = 0; i < snapshot->count; i++) {
        struct mc_guest *guest = &snapshot->guests[i];

        guest->resort_hold = is_held(daemon, guest->uuid);
        if (resort->under_way && strcmp(resort->under_way->uuid, guest->uuid) == 0)
            guest->answers = false; /* a command would have to wait */
    }
    mc_snapshot_note_saved(snapshot, &resort->saved.list);
    snapshot->resort.busy = resort->under_way || snapshot->now_ms < resort->busy_until_ms;
}

/* In a dry run the same is planned again and again: it is told once. */
static void withhold(struct daemon *daemon, const char *uuid, const char *name, const char *what)
{
    const struct event_facts facts = {.uuid = uuid, .name = name, .reason = "last-resort"};
    struct resort *resort = daemon->resort;

    if (strcmp(resort->withheld, uuid) == 0)
        return;
    snprintf(resort->withheld, sizeof(resort->withheld), "%s", uuid);
    events_add(daemon->events, EVENT_STOPPED, &facts, "the last resort would be to %s it", what);
}

static void run_step(struct daemon *daemon, const struct mc_guest *guest, enum mc_resort_step step)
{
    struct mc_stopped stopped = guest->stopped;

    if (daemon->config.dry_run) {
        withhold(daemon, guest->uuid, guest->name, mc_resort_step_name(step));
        return;
    }
    if (step != MC_RESORT_CONTINUE) {
        bool save = step == MC_RESORT_SAVE;

        stopped = (struct mc_stopped){
            .how = save ? MC_LAST_RESORT_SAVE : MC_LAST_RESORT_SUSPEND,
            .at_s = (uint64_t)daemon->snapshot.wall_s,
            .size = save && guest->rss != MC_UNKNOWN ? guest->rss : guest->held,
        };
    }
    submit(daemon, step == MC_RESORT_CONTINUE ? DEED_CONTINUE : DEED_STOP, guest->uuid, guest->name,
           &stopped);
}

void resort_run(struct daemon *daemon)
{
    const struct mc_saved *last = &daemon->snapshot.resort.last;

    if (daemon->resort->under_way)
        return;
    for (size_t i = 0; i < daemon->plan.count; i++) {
        if (daemon->plan.steps[i].resort == MC_RESORT_LEAVE)
            continue;
        run_step(daemon, &daemon->snapshot.guests[i], daemon->plan.steps[i].resort);
        return;
    }
    if (daemon->plan.start_saved && daemon->config.dry_run)
        withhold(daemon, last->uuid, last->name, "start");
    else if (daemon->plan.start_saved)
        submit(daemon, DEED_CONTINUE, last->uuid, last->name, &last->stopped);
    else if (!daemon->config.dry_run && !daemon->snapshot.resort.busy)
        forget_one(daemon);
}

/* ---- telling ---- */

static const char *way_out(enum mc_last_resort how)
{
    return how == MC_LAST_RESORT_SAVE ? "virsh start" : "virsh resume";
}

static void tell_one(const struct daemon *daemon, const struct mc_guest *guest)
{
    events_add_guest(daemon->events, EVENT_STOPPED, guest, "last-resort",
                     "stays stopped; the next memctld lets it go on when there is memory, or "
                     "'%s %.64s' at once",
                     way_out(guest->stopped.how), guest->name);
}

void resort_tell_stopped(const struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->snapshot.count; i++)
        if (daemon->snapshot.guests[i].exempt == MC_EXEMPT_LAST_RESORT)
            tell_one(daemon, &daemon->snapshot.guests[i]);
    for (size_t i = 0; i < daemon->resort->saved.list.count; i++)
        tell_one(daemon, &daemon->resort->saved.list.guests[i]);
}

static json_t *stopped_json(const struct mc_guest *guest)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:I}", "name", guest->name, "uuid", guest->uuid, "how",
                     mc_last_resort_name(guest->stopped.how), "at_s",
                     (json_int_t)guest->stopped.at_s, "size", (json_int_t)guest->stopped.size);
}

json_t *resort_json(const struct daemon *daemon)
{
    json_t *list = json_array();

    for (size_t i = 0; i < daemon->snapshot.count; i++)
        if (daemon->snapshot.guests[i].exempt == MC_EXEMPT_LAST_RESORT)
            json_array_append_new(list, stopped_json(&daemon->snapshot.guests[i]));
    for (size_t i = 0; i < daemon->resort->saved.list.count; i++)
        json_array_append_new(list, stopped_json(&daemon->resort->saved.list.guests[i]));
    return list;
}
