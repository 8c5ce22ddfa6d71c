/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resort.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* To suspend and to resume; to save, and to start what was saved: both read or write all of it. */
#define QUICK_WITHIN_MS 10000
#define LONG_WITHIN_MS 600000

/* What was done is in all that is observed after so long. */
#define SETTLES_MS 2000

/* After a failure a guest is left as it is for so long. */
#define STOP_AGAIN_MS 600000
#define CONTINUE_AGAIN_MS 60000

/* Saved guests are looked for again: an operator may have dropped a saved state. */
#define FIND_EVERY_MS 60000
#define FIND_AGAIN_MS 5000
#define FIND_WITHIN_MS 5000

enum deed_kind { DEED_STOP, DEED_CONTINUE, DEED_FORGET };

struct deed {
    struct job job;
    struct daemon *daemon;
    enum deed_kind kind;
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    struct mc_stopped stopped;
};

struct find {
    struct job job;
    struct daemon *daemon;
    struct mc_snapshot found;
    uint64_t deeds; /* done when it was asked for */
};

struct hold {
    char uuid[MC_UUID_TEXT];
    uint64_t until_ms;
    struct hold *next;
};

struct resort {
    struct mc_snapshot saved; /* guests that memctl has saved */
    struct deed *under_way;   /* one at a time */
    uint64_t busy_until_ms;
    uint64_t deeds; /* done so far */
    struct hold *holds;
    bool finding, find_failed;
    uint64_t find_ms;            /* when to look for saved guests next */
    uint64_t losses;             /* of the connection, as counted when they were looked for last */
    size_t being_saved;          /* guests in the last snapshot that are noted as saved */
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
    while (resort->holds) {
        struct hold *next = resort->holds->next;

        free(resort->holds);
        resort->holds = next;
    }
    mc_snapshot_free(&resort->saved);
    free(resort);
}

/* ---- who is left as he is ---- */

static void hold(struct resort *resort, const char *uuid, uint64_t until_ms)
{
    struct hold *added = calloc(1, sizeof(*added));

    if (!added)
        return;
    snprintf(added->uuid, sizeof(added->uuid), "%s", uuid);
    added->until_ms = until_ms;
    added->next = resort->holds;
    resort->holds = added;
}

static bool is_held(const struct daemon *daemon, const char *uuid)
{
    for (const struct hold *hold = daemon->resort->holds; hold; hold = hold->next)
        if (strcmp(hold->uuid, uuid) == 0)
            return true;
    return pauses_has(&daemon->pauses, uuid);
}

static void drop_holds(struct resort *resort, uint64_t now_ms)
{
    struct hold **link = &resort->holds;

    while (*link) {
        struct hold *first = *link;

        if (now_ms < first->until_ms) {
            link = &first->next;
            continue;
        }
        *link = first->next;
        free(first);
    }
}

static void drop_saved(struct resort *resort, const char *uuid)
{
    struct mc_snapshot *saved = &resort->saved;

    for (size_t i = 0; i < saved->count; i++)
        if (strcmp(saved->guests[i].uuid, uuid) == 0)
            saved->guests[i--] = saved->guests[--saved->count];
}

/* ---- looking for saved guests ---- */

static int run_find(struct job *job, struct mc_session *session)
{
    struct find *find = (struct find *)job;

    mc_snapshot_reset(&find->found); /* it may run twice */
    return mc_session_find_stopped(session, &find->found, &job->err);
}

static void done_find(struct job *job)
{
    struct find *find = (struct find *)job;
    struct resort *resort = find->daemon->resort;

    resort->finding = false;
    resort->find_failed = job->rc < 0;
    if (job->rc == 0 && find->deeds != resort->deeds) {
        resort->find_ms = 0; /* it is old already */
    } else if (job->rc == 0) {
        struct mc_snapshot old = resort->saved;

        resort->saved = find->found;
        find->found = old;
        resort->find_ms = clock_now_ms() + FIND_EVERY_MS;
    } else {
        resort->find_ms = clock_now_ms() + FIND_AGAIN_MS;
    }
    mc_snapshot_free(&find->found);
    free(find);
}

static void find_saved(struct daemon *daemon)
{
    struct find *find = calloc(1, sizeof(*find));

    if (!find)
        return;
    find->job = (struct job){.run = run_find, .done = done_find, .within_ms = FIND_WITHIN_MS};
    find->daemon = daemon;
    find->deeds = daemon->resort->deeds;
    daemon->resort->finding = true;
    daemon->resort->losses = daemon->counters.observe_failures;
    lanes_submit(daemon->lanes, &find->job);
}

/* One that was being saved when this memctld began is saved when it is gone. */
static bool one_may_have_come(struct daemon *daemon)
{
    struct resort *resort = daemon->resort;
    size_t being_saved = 0, before = resort->being_saved;

    for (size_t i = 0; i < daemon->snapshot.count; i++)
        being_saved += daemon->snapshot.guests[i].stopped.how == MC_LAST_RESORT_SAVE;
    resort->being_saved = being_saved;
    return being_saved < before;
}

static void keep_looking(struct daemon *daemon, uint64_t now_ms)
{
    struct resort *resort = daemon->resort;
    bool lost = resort->losses != daemon->counters.observe_failures;

    if (one_may_have_come(daemon) || lost)
        resort->find_ms = 0; /* at once */
    if (resort->find_ms && !resort->saved.count && !resort->find_failed)
        return;
    if (!resort->finding && !resort->under_way && now_ms >= resort->find_ms)
        find_saved(daemon);
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

    log_warning("guest '%s': what the last resort does to it does not come to an end", deed->name);
    events_add(deed->daemon->events, EVENT_COMMAND_LATE, &facts,
               "what the last resort does to it does not come to an end");
}

static void note_saved(struct resort *resort, const struct deed *deed)
{
    struct mc_guest *guest = mc_snapshot_add(&resort->saved);

    if (!guest) {
        resort->find_ms = 0;
        return;
    }
    memcpy(guest->uuid, deed->uuid, sizeof(guest->uuid));
    memcpy(guest->name, deed->name, sizeof(guest->name));
    guest->stopped = deed->stopped;
    guest->state = MC_GUEST_STOPPED;
    resort->find_ms = clock_now_ms() + FIND_EVERY_MS;
}

static void done_well(struct daemon *daemon, const struct deed *deed)
{
    const struct event_facts facts = facts_of(deed);
    bool saved = deed->stopped.how == MC_LAST_RESORT_SAVE;

    if (deed->kind == DEED_STOP) {
        daemon->counters.stops++;
        if (saved)
            note_saved(daemon->resort, deed);
        log_warning("guest '%s': %s as a last resort; it goes on when the host has memory again",
                    deed->name, saved ? "saved" : "suspended");
        events_add(daemon->events, EVENT_STOPPED, &facts,
                   "%s as a last resort; goes on when the host has memory again",
                   saved ? "saved" : "suspended");
    } else if (deed->kind == DEED_CONTINUE) {
        daemon->counters.continues++;
        drop_saved(daemon->resort, deed->uuid);
        log_info("guest '%s': goes on; the host has memory again", deed->name);
        events_add(daemon->events, EVENT_CONTINUED, &facts, "goes on; the host has memory again");
    } else {
        log_info("guest '%s': goes on by another hand; it is not stopped again for a while",
                 deed->name);
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
    hold(daemon->resort, deed->uuid, clock_now_ms() + pause_ms);
    if (deed->job.rc == -ENOENT)
        drop_saved(daemon->resort, deed->uuid);
    log_warning("guest '%s': %s: %s", deed->name, what, deed->job.err.text);
    events_add(daemon->events, EVENT_RESORT_FAILED, &facts, "%s: %s", what, deed->job.err.text);
}

static void done(struct job *job)
{
    struct deed *deed = (struct deed *)job;
    struct daemon *daemon = deed->daemon;

    daemon->resort->under_way = NULL;
    daemon->resort->deeds++;
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

/* A saved guest that runs was started by somebody else. */
static void follow_saved(struct daemon *daemon)
{
    struct mc_snapshot *saved = &daemon->resort->saved;

    for (size_t i = 0; i < saved->count; i++) {
        if (mc_snapshot_find(&daemon->snapshot, saved->guests[i].uuid))
            saved->guests[i--] = saved->guests[--saved->count];
        else
            saved->guests[i].resort_hold = is_held(daemon, saved->guests[i].uuid);
    }
}

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

    drop_holds(resort, snapshot->now_ms);
    keep_looking(daemon, snapshot->now_ms);
    follow_saved(daemon);
    for (size_t i = 0; i < snapshot->count; i++) {
        struct mc_guest *guest = &snapshot->guests[i];

        guest->resort_hold = is_held(daemon, guest->uuid);
        if (resort->under_way && strcmp(resort->under_way->uuid, guest->uuid) == 0)
            guest->answers = false; /* a command would have to wait */
    }
    mc_snapshot_note_saved(snapshot, &resort->saved);
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
    log_info("guest '%s': the last resort would be to %s it", name, what);
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
    log_info("guest '%s': last resort: %s", guest->name, mc_resort_step_name(step));
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
    log_warning("guest '%s' stays stopped; the next memctld lets it go on when there is memory, or "
                "'%s %s' at once",
                guest->name, way_out(guest->stopped.how), guest->name);
    events_add_guest(daemon->events, EVENT_STOPPED, guest, "last-resort",
                     "stays stopped while memctld does not run");
}

void resort_tell_stopped(const struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->snapshot.count; i++)
        if (daemon->snapshot.guests[i].exempt == MC_EXEMPT_LAST_RESORT)
            tell_one(daemon, &daemon->snapshot.guests[i]);
    for (size_t i = 0; i < daemon->resort->saved.count; i++)
        tell_one(daemon, &daemon->resort->saved.guests[i]);
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
    for (size_t i = 0; i < daemon->resort->saved.count; i++)
        json_array_append_new(list, stopped_json(&daemon->resort->saved.guests[i]));
    return list;
}
