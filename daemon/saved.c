/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "saved.h"

#include <stdlib.h>
#include <string.h>

/* Looked for again while there are some: an operator may have dropped a saved state. */
#define FIND_EVERY_MS 60000
#define FIND_AGAIN_MS 5000
#define FIND_WITHIN_MS 5000

struct find {
    struct job job;
    struct saved *saved;
    struct mc_snapshot found;
    uint64_t changes; /* when it was asked for */
};

static int run(struct job *job, struct mc_session *session)
{
    struct find *find = (struct find *)job;

    mc_snapshot_reset(&find->found); /* it may run twice */
    return mc_session_find_stopped(session, &find->found, &job->err);
}

static void done(struct job *job)
{
    struct find *find = (struct find *)job;
    struct saved *saved = find->saved;
    uint64_t now_ms = clock_now_ms();

    saved->finding = false;
    saved->find_failed = job->rc < 0;
    if (job->rc < 0) {
        saved->find_ms = now_ms + FIND_AGAIN_MS;
    } else if (find->changes != saved->changes) {
        saved->find_ms = 0; /* it is old already */
    } else {
        struct mc_snapshot old = saved->list;

        saved->list = find->found;
        find->found = old;
        saved->find_ms = now_ms + FIND_EVERY_MS;
    }
    mc_snapshot_free(&find->found);
    free(find);
}

static void start(struct daemon *daemon, struct saved *saved)
{
    struct find *find = calloc(1, sizeof(*find));

    if (!find)
        return;
    find->job = (struct job){.run = run, .done = done, .within_ms = FIND_WITHIN_MS};
    find->saved = saved;
    find->changes = saved->changes;
    saved->finding = true;
    saved->losses = daemon->counters.observe_failures;
    lanes_submit(daemon->lanes, &find->job);
}

/* One that was being saved when this memctld began is saved when it is gone. */
static bool one_may_have_come(const struct mc_snapshot *snapshot, struct saved *saved)
{
    size_t being_saved = 0, before = saved->being_saved;

    for (size_t i = 0; i < snapshot->count; i++)
        being_saved += snapshot->guests[i].stopped.how == MC_LAST_RESORT_SAVE;
    saved->being_saved = being_saved;
    return being_saved < before;
}

void saved_look(struct daemon *daemon, struct saved *saved, bool busy)
{
    bool lost = saved->losses != daemon->counters.observe_failures;

    if (one_may_have_come(&daemon->snapshot, saved) || lost)
        saved->find_ms = 0; /* at once */
    if (saved->find_ms && !saved->list.count && !saved->find_failed)
        return;
    if (!saved->finding && !busy && daemon->snapshot.now_ms >= saved->find_ms)
        start(daemon, saved);
}

static void drop_at(struct saved *saved, size_t i)
{
    saved->list.guests[i] = saved->list.guests[--saved->list.count];
    saved->changes++;
}

void saved_drop_running(struct saved *saved, const struct mc_snapshot *snapshot)
{
    for (size_t i = saved->list.count; i-- > 0;)
        if (mc_snapshot_find(snapshot, saved->list.guests[i].uuid))
            drop_at(saved, i);
}

void saved_drop(struct saved *saved, const char *uuid)
{
    for (size_t i = saved->list.count; i-- > 0;)
        if (strcmp(saved->list.guests[i].uuid, uuid) == 0)
            drop_at(saved, i);
}

void saved_add(struct saved *saved, const char *uuid, const char *name,
               const struct mc_stopped *stopped)
{
    struct mc_guest *guest = mc_snapshot_add(&saved->list);

    saved->changes++;
    saved->find_ms = guest ? clock_now_ms() + FIND_EVERY_MS : 0;
    if (!guest)
        return;
    memcpy(guest->uuid, uuid, sizeof(guest->uuid));
    memcpy(guest->name, name, sizeof(guest->name));
    guest->stopped = *stopped;
    guest->state = MC_GUEST_STOPPED;
}
