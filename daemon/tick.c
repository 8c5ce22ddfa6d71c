/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rhythm: a tick begins with an observation on a lane and goes on when that is back. Ticks keep
 * to the interval; while memory is on its way between guests they come faster, and faster still
 * while a guest in trouble waits for it; after a failure with growing pauses. It is the lane that
 * waits for a tick's time, and the main loop sleeps until there is something to decide; its own
 * timer is for when things go wrong.
 */
#include "daemon.h"

#include <errno.h>
#include <stdlib.h>

#include "agents.h"
#include "dedupe.h"
#include "log.h"
#include "lookout.h"
#include "resort.h"
#include "sampling.h"
#include "steer.h"

#define MOVING_INTERVAL_MS 500
#define WAITING_INTERVAL_MS 100
#define WAKE_AFTER_MS 20
#define PAUSE_FIRST_MS 500
#define PAUSE_MOST_MS 30000

/* An observation that takes longer is overtaken by another one; see lanes.h. */
#define OBSERVE_LEAST_MS 500
#define OBSERVE_MOST_MS 10000

/* Observations that may be stuck before no more are begun. */
#define OUTSTANDING_MAX 5

static void schedule(struct daemon *daemon, uint64_t at_ms)
{
    uint64_t now = clock_now_ms();
    uint64_t wait = mc_less_u64(at_ms, now);
    const struct timeval interval = {.tv_sec = (time_t)(wait / 1000),
                                     .tv_usec = (suseconds_t)(wait % 1000 * 1000)};

    daemon->tick.due_ms = mc_max_u64(at_ms, now);
    event_add(daemon->tick.timer, &interval);
}

static void fall_behind(struct daemon *daemon, const struct mc_error *err)
{
    struct link_state *link = &daemon->link;

    daemon->counters.observe_failures++;
    daemon->tick.owed_ms = 0;
    record_link(daemon, err);
    link->pause_ms =
        link->pause_ms ? mc_min_u64(link->pause_ms * 2, PAUSE_MOST_MS) : PAUSE_FIRST_MS;
    schedule(daemon, clock_now_ms() + link->pause_ms);
}

/* A policy whose answer is no good is replaced within the same pass. */
static int plan(struct daemon *daemon, struct mc_error *err)
{
    int rc = mc_engine_step(daemon->engine, &daemon->snapshot, &daemon->plan, err);

    record_pass(daemon, rc == 0);
    if (rc < 0)
        daemon->counters.policy_failures++;
    if (rc < 0 && rc != -ENOMEM && policies_fall_back(&daemon->policies, err)) {
        events_add(daemon->events, EVENT_POLICY_REFUSED, NULL, "policy %.64s decides instead: %s",
                   mc_policy_of(daemon->policies.current)->name, err->text);
        mc_engine_configure(daemon->engine, &daemon->config.engine, daemon->policies.current);
        record_begin(daemon);
        rc = mc_engine_step(daemon->engine, &daemon->snapshot, &daemon->plan, err);
        record_pass(daemon, rc == 0);
    }
    daemon->policies.proven |= rc == 0;
    return rc;
}

static void decide_and_act(struct daemon *daemon)
{
    struct mc_error err;
    uint64_t began = clock_now_ms(), began_us = clock_now_us();

    observe_apply_config(&daemon->config, &daemon->snapshot);
    pauses_apply(&daemon->pauses, &daemon->snapshot);
    admissions_apply(&daemon->admissions, &daemon->snapshot);
    agents_follow(daemon->agents, &daemon->snapshot);
    sampling_follow(daemon->sampling, &daemon->snapshot);
    lookout_apply(daemon->lookout, &daemon->snapshot);
    watch_follow(&daemon->watch, &daemon->snapshot, daemon->events);
    reclaims_mark(daemon);
    resort_mark(daemon);
    act_mark_busy(daemon->act, &daemon->snapshot);
    dedupe_follow(daemon->dedupe);
    if (plan(daemon, &err) < 0) {
        if (daemon->has_plan || daemon->counters.policy_failures == 1)
            log_error("no plan, all guests stay as they are: %s", err.text);
        daemon->has_plan = false;
        return;
    }
    daemon->has_plan = true;
    watch_plan(&daemon->watch, &daemon->snapshot, &daemon->plan, daemon->events);
    act_run(daemon);
    reclaims_run(daemon);
    resort_run(daemon);
    steer_follow(daemon->steer);
    lookout_follow(daemon->lookout);
    admissions_answer(&daemon->admissions, &daemon->plan);
    daemon->counters.ticks++;
    /* Nothing is owed if this observation was overtaken by one that began after it. */
    if (daemon->tick.owed_ms)
        daemon->tick.lateness_ms = mc_less_u64(began, daemon->tick.owed_ms);
    daemon->tick.owed_ms = 0;
    histogram_add(&daemon->counters.decide_seconds, (double)(clock_now_us() - began_us) / 1e6);
    record_plan(daemon);
    trend_add(daemon->trend, &daemon->snapshot, &daemon->plan);
    record_history(daemon);
}

/* The next deadline follows how long observations really take: many guests, or a busy host. */
static void note_duration(struct daemon *daemon, const struct job *job)
{
    uint64_t took = mc_less_u64(clock_now_ms(), job->began_ms);

    histogram_add(&daemon->counters.observe_seconds, (double)took / 1000);
    daemon->tick.took_ms = took;
    daemon->tick.within_ms = mc_clamp_u64(3 * took, OBSERVE_LEAST_MS, OBSERVE_MOST_MS);
}

static void on_observed(struct observation *observation);
static void on_late(struct observation *observation);

static uint64_t interval_of(struct daemon *daemon, uint64_t now_ms)
{
    /* Half of the time is for others to ask libvirt. */
    uint64_t waiting = mc_max_u64(WAITING_INTERVAL_MS, 2 * daemon->tick.took_ms);
    const uint64_t most[] = {
        [MC_URGENCY_NONE] = UINT64_MAX,
        [MC_URGENCY_MOVING] = MOVING_INTERVAL_MS,
        [MC_URGENCY_WAITING] = mc_min_u64(waiting, MOVING_INTERVAL_MS),
    };

    /* In a dry run nothing is on its way, whatever was planned. */
    if (daemon->config.dry_run)
        return daemon->config.engine.interval_ms;
    return mc_min_u64(daemon->config.engine.interval_ms,
                      most[mc_engine_urgency(daemon->engine, now_ms)]);
}

/* The tick that is due at this time, or now if that is over. */
static void begin(struct daemon *daemon, uint64_t due_ms)
{
    struct tick *tick = &daemon->tick;
    uint64_t now = clock_now_ms();
    struct job when = {.within_ms = mc_max_u64(tick->within_ms, OBSERVE_LEAST_MS)};
    struct mc_error err;

    http_revive(daemon->http);
    if (tick->outstanding >= OUTSTANDING_MAX) {
        mc_error_set(&err, -ETIMEDOUT, "%u calls to the hypervisor are not back; waiting for them",
                     tick->outstanding);
        fall_behind(daemon, &err);
        return;
    }
    tick->due_ms = when.at_ms = mc_max_u64(due_ms, now);
    if (!tick->owed_ms) /* or else it is another try, since somebody hangs */
        tick->owed_ms = tick->due_ms;
    when.again_ms = tick->due_ms + interval_of(daemon, now);
    tick->awaited = observe_start(daemon, &when, on_observed, on_late);
    if (!tick->awaited) {
        schedule(daemon, now + PAUSE_FIRST_MS);
        return;
    }
    tick->outstanding++;
    tick->waiting = true;
}

/* The next tick is due one interval after this one was, not after it was done. */
static void begin_next(struct daemon *daemon)
{
    uint64_t interval = interval_of(daemon, clock_now_ms());

    if (daemon->tick.again) {
        daemon->tick.again = false;
        interval = mc_min_u64(interval, WAKE_AFTER_MS);
    }
    begin(daemon, daemon->tick.due_ms + interval);
}

static void on_observed(struct observation *observation)
{
    struct daemon *daemon = observation->daemon;
    struct mc_snapshot old = daemon->snapshot;
    bool overtaken = observation->job.is_late;

    daemon->tick.outstanding--;
    if (!overtaken)
        daemon->tick.waiting = false;
    if (observation->job.rc == -ECANCELED || !daemon->tick.timer)
        return; /* the process is ending, and parts of the daemon are gone */
    note_duration(daemon, &observation->job);
    if (overtaken &&
        (observation->job.rc < 0 || observation->snapshot.now_ms <= daemon->snapshot.now_ms))
        return; /* a newer one is on its way, or was here already */
    if (observation->job.rc < 0) {
        fall_behind(daemon, &observation->job.err);
        return;
    }
    record_link(daemon, NULL);
    daemon->link.pause_ms = 0;
    daemon->snapshot = observation->snapshot;
    observation->snapshot = old;
    decide_and_act(daemon);
    if (!daemon->tick.waiting)
        begin_next(daemon);
}

/* Somebody hangs. The call stays where it is; try again on another lane. */
static void on_late(struct observation *observation)
{
    struct daemon *daemon = observation->daemon;

    daemon->counters.ticks_late++;
    daemon->tick.waiting = false;
    log_warning("the guests' statistics are not back after %lu ms; asking again on another "
                "connection",
                (unsigned long)observation->job.within_ms);
    schedule(daemon, clock_now_ms());
}

static void on_timer(evutil_socket_t fd, short what, void *opaque)
{
    struct daemon *daemon = opaque;

    (void)fd;
    (void)what;
    if (!daemon->tick.waiting)
        begin(daemon, clock_now_ms());
}

int tick_start(struct daemon *daemon)
{
    daemon->tick.timer = evtimer_new(daemon->base, on_timer, daemon);
    if (!daemon->tick.timer)
        return -ENOMEM;
    schedule(daemon, clock_now_ms());
    return 0;
}

void tick_stop(struct daemon *daemon)
{
    if (daemon->tick.timer)
        event_free(daemon->tick.timer);
    daemon->tick.timer = NULL;
}

void tick_wake(struct daemon *daemon)
{
    struct tick *tick = &daemon->tick;
    uint64_t soon = mc_min_u64(tick->due_ms, clock_now_ms() + WAKE_AFTER_MS);

    if (!tick->timer || !daemon->link.up)
        return;
    if (!tick->waiting)
        schedule(daemon, soon);
    else if (lanes_hurry(&tick->awaited->job, soon))
        tick->due_ms = tick->owed_ms = soon;
    else
        tick->again = true;
}
