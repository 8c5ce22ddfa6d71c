/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A look is one read of /proc/PID/stat, which blocks for nobody, so it is done on the main loop, of
 * so many guests at a time; the asking may block, so it is a job on a lane.
 */
#include "lookout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/filling.h>

#include "daemon.h"

/* Looks in one go; those that are due so soon are done as well. */
#define LOOKS_MOST 64
#define LOOKS_TOGETHER_MS 20

#define ASK_WITHIN_MS 1000

/* A guest that did not let itself be asked. */
#define RETRY_MS 2000

/* What was found out of a guest that is not exposed any more is kept for so long. */
#define ALARM_KEPT_MS 5000

struct subject {
    char uuid[MC_UUID_TEXT];
    int run_id;
    pid_t pid;
    unsigned period_s;
    struct mc_filling filling;
    uint64_t alarm_ms; /* when it was seen to run out, 0 for never */
    uint64_t look_ms;  /* the next look at it */
    uint64_t hold_ms;  /* it is not asked before that */
    bool exposed;
    bool due;   /* to be asked */
    bool asked; /* the answer is not back */
};

struct lookout {
    struct daemon *daemon;
    struct event *timer;
    struct subject *list; /* in the order of the UUIDs */
    size_t count;
    size_t next; /* to be looked at first, so that each has his turn */
    bool asks;   /* somebody: one at a time, since lanes are for those who act */
};

struct ask {
    struct job job;
    struct daemon *daemon;
    char uuid[MC_UUID_TEXT];
    int run_id;
    unsigned period_s;
    struct mc_sight sight;
    bool is_missed; /* others were asked meanwhile */
};

static void on_timer(evutil_socket_t fd, short what, void *opaque);

struct lookout *lookout_new(struct daemon *daemon)
{
    struct lookout *lookout = calloc(1, sizeof(*lookout));

    if (!lookout)
        return NULL;
    lookout->daemon = daemon;
    lookout->timer = evtimer_new(daemon->base, on_timer, lookout);
    if (lookout->timer)
        return lookout;
    free(lookout);
    return NULL;
}

void lookout_stop(struct lookout *lookout)
{
    if (lookout && lookout->timer)
        event_free(lookout->timer);
    if (lookout)
        lookout->timer = NULL;
}

void lookout_free(struct lookout *lookout)
{
    if (!lookout)
        return;
    lookout_stop(lookout);
    free(lookout->list);
    free(lookout);
}

static int by_uuid(const void *uuid, const void *subject)
{
    return strcmp(uuid, ((const struct subject *)subject)->uuid);
}

static struct subject *find(const struct lookout *lookout, const char *uuid, int run_id)
{
    struct subject *subject = lookout->count ? bsearch(uuid, lookout->list, lookout->count,
                                                       sizeof(*lookout->list), by_uuid)
                                             : NULL;

    return subject && subject->run_id == run_id ? subject : NULL;
}

void lookout_apply(const struct lookout *lookout, struct mc_snapshot *snapshot)
{
    for (size_t i = 0; lookout->count && i < snapshot->count; i++) {
        struct mc_guest *guest = &snapshot->guests[i];
        const struct subject *subject = find(lookout, guest->uuid, guest->run_id);

        if (subject) {
            guest->filling_ms = subject->alarm_ms;
            guest->filling_rate = subject->filling.rate;
        }
    }
}

/* ---- asking ---- */

static int run(struct job *job, struct mc_session *session)
{
    struct ask *ask = (struct ask *)job;
    int rc = mc_session_ask_stats(session, ask->uuid, ask->period_s, &ask->sight, &job->err);

    ask->sight.at_ms = clock_now_ms();
    return rc;
}

static void ask_next(struct lookout *lookout);

/* It hangs, and the others go on. */
static void late(struct job *job)
{
    struct ask *ask = (struct ask *)job;

    ask->is_missed = true;
    ask->daemon->lookout->asks = false;
}

static void done(struct job *job)
{
    struct ask *ask = (struct ask *)job;
    struct daemon *daemon = ask->daemon;
    struct lookout *lookout = daemon->lookout;
    struct subject *subject = find(lookout, ask->uuid, ask->run_id);
    int rc = job->rc;

    if (!ask->is_missed)
        lookout->asks = false;
    if (subject)
        subject->asked = false;
    /* A guest that works and takes no memory has nothing new to say. */
    if (subject && rc < 0 && rc != -EAGAIN)
        subject->hold_ms = clock_now_ms() + RETRY_MS;
    if (subject && rc == 0 &&
        mc_filling_see(&daemon->config.engine, &subject->filling, &ask->sight)) {
        subject->alarm_ms = ask->sight.at_ms;
        tick_wake(daemon);
    }
    free(ask);
    if (lookout->timer)
        ask_next(lookout);
}

static void submit(struct lookout *lookout, struct subject *subject)
{
    struct ask *ask = calloc(1, sizeof(*ask));

    if (!ask)
        return;
    ask->job = (struct job){.run = run, .done = done, .late = late, .within_ms = ASK_WITHIN_MS};
    ask->daemon = lookout->daemon;
    memcpy(ask->uuid, subject->uuid, sizeof(ask->uuid));
    ask->run_id = subject->run_id;
    ask->period_s = subject->period_s;
    subject->due = false;
    subject->asked = true;
    subject->filling.asked_ms = clock_now_ms();
    lookout->asks = true;
    lookout->daemon->counters.stats_asks++;
    lanes_submit(lookout->daemon->lanes, &ask->job);
}

/* Of those that are due the one that has least left. */
static void ask_next(struct lookout *lookout)
{
    struct subject *first = NULL;

    for (size_t i = 0; i < lookout->count; i++) {
        struct subject *subject = &lookout->list[i];

        if (subject->due && (!first || subject->filling.usable < first->filling.usable))
            first = subject;
    }
    if (first && !lookout->asks && lookout->daemon->link.up)
        submit(lookout, first);
}

/* ---- looking ---- */

static void look(struct subject *subject, uint64_t now_ms)
{
    uint64_t cpu_ms;

    subject->look_ms = now_ms + mc_filling_pause_ms(&subject->filling);
    subject->due = mc_qemu_cpu_ms(subject->pid, &cpu_ms) == 0 &&
                   mc_filling_look(&subject->filling, cpu_ms, now_ms) && !subject->asked &&
                   now_ms >= subject->hold_ms;
}

/* Wake up for the next look, or not at all. */
static void schedule(struct lookout *lookout, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX, wait_ms;
    struct timeval wait;

    for (size_t i = 0; i < lookout->count; i++)
        if (lookout->list[i].exposed)
            next_ms = mc_min_u64(next_ms, lookout->list[i].look_ms);
    if (next_ms == UINT64_MAX || !lookout->timer) {
        if (lookout->timer)
            event_del(lookout->timer);
        return;
    }
    wait_ms = mc_max_u64(mc_less_u64(next_ms, now_ms), LOOKS_TOGETHER_MS);
    wait = (struct timeval){.tv_sec = (time_t)(wait_ms / 1000),
                            .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};
    event_add(lookout->timer, &wait);
}

static void on_timer(evutil_socket_t fd, short what, void *opaque)
{
    struct lookout *lookout = opaque;
    uint64_t now_ms = clock_now_ms();
    unsigned looks = 0;
    size_t i = 0;

    (void)fd;
    (void)what;
    for (; i < lookout->count && looks < LOOKS_MOST; i++) {
        struct subject *subject = &lookout->list[(lookout->next + i) % lookout->count];

        if (!subject->exposed || subject->look_ms > now_ms + LOOKS_TOGETHER_MS)
            continue;
        look(subject, now_ms);
        looks++;
    }
    if (lookout->count)
        lookout->next = (lookout->next + i) % lookout->count;
    ask_next(lookout);
    schedule(lookout, now_ms);
}

/* ---- who ---- */

static struct subject begin(const struct mc_guest *guest, uint64_t now_ms)
{
    struct subject subject = {.run_id = guest->run_id, .look_ms = now_ms};

    memcpy(subject.uuid, guest->uuid, sizeof(subject.uuid));
    return subject;
}

/* In the same run; *old goes to where it is or would be, since both are in the order of UUIDs. */
static const struct subject *find_next(const struct lookout *lookout, size_t *old,
                                       const struct mc_guest *guest)
{
    const struct subject *list = lookout->list;

    while (*old < lookout->count && strcmp(list[*old].uuid, guest->uuid) < 0)
        (*old)++;
    return *old < lookout->count && strcmp(list[*old].uuid, guest->uuid) == 0 &&
                   list[*old].run_id == guest->run_id
               ? &list[*old]
               : NULL;
}

/* One that is in the middle of something is kept over a tick without an answer. */
static bool is_kept(const struct subject *known, uint64_t now_ms)
{
    return known && (known->asked || now_ms - known->alarm_ms < ALARM_KEPT_MS);
}

void lookout_follow(struct lookout *lookout)
{
    struct daemon *daemon = lookout->daemon;
    const struct mc_snapshot *snapshot = &daemon->snapshot;
    struct subject *list = calloc(snapshot->count + 1, sizeof(*list)), *new = list;
    uint64_t now_ms = clock_now_ms();
    size_t old = 0;

    for (size_t i = 0; list && i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        bool exposed = !daemon->config.dry_run && mc_is_exposed(&daemon->config.engine, guest);
        const struct subject *known = find_next(lookout, &old, guest);

        if (!exposed && !is_kept(known, now_ms))
            continue;
        *new = known ? *known : begin(guest, now_ms);
        new->exposed = exposed;
        new->due &= exposed;
        new->pid = guest->pid;
        new->period_s = guest->stats_period_s;
        if (exposed)
            mc_filling_follow(&new->filling, guest, snapshot->now_ms);
        new->look_ms = mc_min_u64(new->look_ms, now_ms + mc_filling_pause_ms(&new->filling));
        new ++;
    }
    free(lookout->list);
    lookout->list = list;
    lookout->count = (size_t)(new - list);
    schedule(lookout, now_ms);
}
