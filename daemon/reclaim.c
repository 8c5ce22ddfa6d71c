/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Host reclaim. A call blocks for as long as the disk takes, so each is a job that is known to take
 * long; a guest has at most one under way. Where it cannot be done, that is said once, and tried
 * again after a while: libvirt may have been configured anew.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define RECLAIM_WITHIN_MS 30000

/* After it failed; and after it turned out to be impossible. */
#define RETRY_MS 30000
#define RETRY_IMPOSSIBLE_MS 600000

/* A guest's share of the events: what is taken meanwhile is told in one sum. */
#define TELL_EVERY_MS 60000

struct call {
    struct job job;
    struct daemon *daemon;
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    uint64_t bytes;
    struct call *next;
};

struct refusal {
    char uuid[MC_UUID_TEXT];
    uint64_t until_ms;
    struct refusal *next;
};

struct reclaims {
    struct call *under_way;
    struct refusal *refusals;
    bool said_impossible, said_no_swap;
};

struct reclaims *reclaims_new(void)
{
    return calloc(1, sizeof(struct reclaims));
}

void reclaims_free(struct reclaims *reclaims)
{
    while (reclaims && reclaims->refusals) {
        struct refusal *next = reclaims->refusals->next;

        free(reclaims->refusals);
        reclaims->refusals = next;
    }
    free(reclaims);
}

static void refuse(struct reclaims *reclaims, const char *uuid, uint64_t until_ms)
{
    struct refusal *refusal = calloc(1, sizeof(*refusal));

    if (!refusal)
        return;
    snprintf(refusal->uuid, sizeof(refusal->uuid), "%s", uuid);
    refusal->until_ms = until_ms;
    refusal->next = reclaims->refusals;
    reclaims->refusals = refusal;
}

/* Drops what is over. */
static bool is_refused(struct reclaims *reclaims, const char *uuid, uint64_t now_ms)
{
    struct refusal **link = &reclaims->refusals;
    bool found = false;

    while (*link) {
        struct refusal *refusal = *link;

        if (now_ms < refusal->until_ms) {
            found = found || strcmp(refusal->uuid, uuid) == 0;
            link = &refusal->next;
            continue;
        }
        *link = refusal->next;
        free(refusal);
    }
    return found;
}

static bool is_under_way(const struct reclaims *reclaims, const char *uuid)
{
    for (const struct call *call = reclaims->under_way; call; call = call->next)
        if (strcmp(call->uuid, uuid) == 0)
            return true;
    return false;
}

void reclaims_mark(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->snapshot.count; i++) {
        struct mc_guest *guest = &daemon->snapshot.guests[i];

        if (is_under_way(daemon->reclaims, guest->uuid))
            guest->reclaim = MC_RECLAIM_UNDER_WAY;
        else if (pauses_has(&daemon->pauses, guest->uuid) ||
                 is_refused(daemon->reclaims, guest->uuid, daemon->snapshot.now_ms))
            guest->reclaim = MC_RECLAIM_IMPOSSIBLE;
    }
}

/* ---- the job ---- */

static int run(struct job *job, struct mc_session *session)
{
    struct call *call = (struct call *)job;

    return mc_session_reclaim(session, call->uuid, call->bytes, &job->err);
}

static void note_failure(struct call *call)
{
    struct daemon *daemon = call->daemon;
    struct reclaims *reclaims = daemon->reclaims;
    struct watched *watched = watch_find(&daemon->watch, call->uuid);
    const struct event_facts facts = {.uuid = call->uuid, .name = call->name};
    bool impossible = call->job.rc == -ENOTSUP;

    daemon->counters.host_reclaim_failures++;
    refuse(reclaims, call->uuid, clock_now_ms() + (impossible ? RETRY_IMPOSSIBLE_MS : RETRY_MS));
    if (watched)
        snprintf(watched->took.error, sizeof(watched->took.error), "%.255s", call->job.err.text);
    if (impossible && reclaims->said_impossible)
        return;
    reclaims->said_impossible |= impossible;
    log_warning("guest '%s': the host cannot take memory from it: %s", call->name,
                call->job.err.text);
    events_add(daemon->events, EVENT_RECLAIM_FAILED, &facts,
               "the host cannot take memory from it: %s", call->job.err.text);
}

static void done(struct job *job)
{
    struct call *call = (struct call *)job;
    struct daemon *daemon = call->daemon;
    struct call **link = &daemon->reclaims->under_way;

    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    if (job->rc >= 0) {
        daemon->counters.host_reclaims++;
        daemon->counters.host_reclaimed += call->bytes;
    } else if (job->rc != -ECANCELED) {
        note_failure(call);
    }
    free(call);
}

/* The first time at once, then now and then what it came to. */
static void tell(struct daemon *daemon, const struct mc_guest *guest, uint64_t bytes)
{
    struct watched *watched = watch_find(&daemon->watch, guest->uuid);
    uint64_t now_ms = clock_now_ms();
    char size[MC_SIZE_TEXT];

    if (!watched)
        return;
    watched->took.bytes += bytes;
    watched->took.untold += bytes;
    watched->took.last_ms = now_ms;
    watched->took.error[0] = '\0';
    if (watched->took.told_ms && now_ms - watched->took.told_ms < TELL_EVERY_MS)
        return;
    mc_size_format(size, watched->took.untold);
    log_info("guest '%s': the host %s %s of its idle memory into swap", guest->name,
             daemon->config.dry_run ? "would take" : "takes", size);
    events_add_guest(daemon->events, EVENT_RECLAIM, guest, "host-reclaim",
                     "the host %s %s of its idle memory into swap",
                     daemon->config.dry_run ? "would take" : "takes", size);
    watched->took.told_ms = now_ms;
    watched->took.untold = 0;
}

static void submit(struct daemon *daemon, const struct mc_guest *guest, uint64_t bytes)
{
    struct call *call = calloc(1, sizeof(*call));

    if (!call)
        return;
    call->job = (struct job){.run = run, .done = done, .within_ms = RECLAIM_WITHIN_MS};
    call->daemon = daemon;
    memcpy(call->uuid, guest->uuid, sizeof(call->uuid));
    memcpy(call->name, guest->name, sizeof(call->name));
    call->bytes = bytes;
    call->next = daemon->reclaims->under_way;
    daemon->reclaims->under_way = call;
    lanes_submit(daemon->lanes, &call->job);
}

static void tell_no_swap(struct daemon *daemon)
{
    static const char text[] = "the host is short, and has no free swap that guests' idle memory "
                               "could go to: host reclaim does nothing";

    if (daemon->plan.reclaim_verdict != MC_RECLAIM_NO_SWAP || daemon->reclaims->said_no_swap)
        return;
    daemon->reclaims->said_no_swap = true;
    log_warning("%s", text);
    events_add(daemon->events, EVENT_RECLAIM_FAILED, NULL, "%s", text);
}

void reclaims_run(struct daemon *daemon)
{
    tell_no_swap(daemon);
    for (size_t i = 0; i < daemon->plan.count; i++) {
        const struct mc_guest *guest = &daemon->snapshot.guests[i];
        uint64_t bytes = daemon->plan.steps[i].reclaim;

        if (!bytes)
            continue;
        tell(daemon, guest, bytes);
        if (!daemon->config.dry_run)
            submit(daemon, guest, bytes);
    }
}
