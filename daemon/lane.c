/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lane.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/* With the lock held: may another lane take a job that does not go first? */
static bool may_take(const struct lanes *lanes)
{
    unsigned others = 0;

    for (size_t i = 0; i < LANES_MAX; i++)
        others +=
            lanes->lanes[i].state == LANE_BUSY && lanes->lanes[i].began_ms && !lanes->lanes[i].kept;
    return others < LANES_MAX - LANES_KEPT;
}

bool lane_has_work(const struct lanes *lanes)
{
    return lanes->backlog.first.head || (lanes->backlog.others.head && may_take(lanes));
}

void lane_init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attr);
    pthread_condattr_destroy(&attr);
}

int lane_wait(pthread_cond_t *condition, struct lanes *lanes, uint64_t until_ms)
{
    const struct timespec time = {.tv_sec = (time_t)(until_ms / 1000),
                                  .tv_nsec = (long)(until_ms % 1000 * 1000000)};

    if (until_ms == BACKLOG_NEVER)
        return pthread_cond_wait(condition, &lanes->lock);
    return pthread_cond_timedwait(condition, &lanes->lock, &time);
}

static void drop_session(struct lane *lane)
{
    mc_session_close(lane->session);
    lane->session = NULL;
    pthread_mutex_lock(&lane->lanes->lock);
    if (lane->has_events)
        lane->lanes->events_taken = false;
    lane->has_events = false;
    pthread_mutex_unlock(&lane->lanes->lock);
}

static int need_session(struct lane *lane, struct mc_error *err)
{
    struct lanes *lanes = lane->lanes;
    int rc;

    if (lane->session)
        return 0;
    pthread_mutex_lock(&lanes->lock);
    lane->has_events = !lanes->events_taken;
    lanes->events_taken = true;
    pthread_mutex_unlock(&lanes->lock);
    rc = mc_session_open(lanes->hypervisor, lane->has_events, &lane->session, err);
    if (rc < 0)
        drop_session(lane);
    return rc;
}

static void run_job(struct lane *lane, struct job *job)
{
    bool was_open = lane->session;

    job->rc = need_session(lane, &job->err);
    if (job->rc == 0)
        job->rc = job->run(job, lane->session);
    if (job->rc != -ENOTCONN)
        return;
    if (lane->session)
        drop_session(lane);
    /* An old connection may have ended while it was idle: that is no failure of this job. */
    if (was_open)
        run_job(lane, job);
}

/* With the lock held: until when an idle lane may sleep, if nobody signals. */
static uint64_t sleep_ms(struct lane *lane)
{
    struct lanes *lanes = lane->lanes;

    if (!lanes->watcher || lane < lanes->watcher)
        lanes->watcher = lane;
    if (lanes->watcher != lane)
        return BACKLOG_NEVER;
    lanes->watch_ms = backlog_next_ms(&lanes->backlog);
    return lanes->watch_ms;
}

/*
 * With the lock held. False if the lane is not needed any more; the one whose session listens to
 * events always is.
 */
static bool wait_for_work(struct lane *lane)
{
    struct lanes *lanes = lane->lanes;
    const uint64_t end_ms = lane->has_events ? BACKLOG_NEVER : clock_now_ms() + lanes->idle_ms;

    lane->state = LANE_IDLE;
    pthread_cond_broadcast(&lanes->idle);
    while (lane->state == LANE_IDLE && !lanes->stopping && clock_now_ms() < end_ms) {
        lane_wait(&lane->work, lanes, mc_min_u64(sleep_ms(lane), end_ms));
        backlog_ripen(&lanes->backlog, clock_now_ms());
        if (lane_has_work(lanes))
            lane->state = LANE_BUSY;
    }
    if (lanes->watcher == lane)
        lanes->watcher = NULL;
    return lane->state != LANE_IDLE || lanes->stopping;
}

/* With the lock held. Close the session; false if there is work now. */
static bool rest(struct lane *lane)
{
    lane->state = LANE_BUSY;
    pthread_mutex_unlock(&lane->lanes->lock);
    drop_session(lane);
    pthread_mutex_lock(&lane->lanes->lock);
    return !lane_has_work(lane->lanes);
}

/* The lane's place is free, and nobody will join its thread. */
static void retire(struct lane *lane)
{
    pthread_detach(pthread_self());
    pthread_cond_destroy(&lane->work);
    lane->started = false;
}

/* With the lock held, which is let go while the job runs. */
static void do_job(struct lane *lane, struct job *job)
{
    struct lanes *lanes = lane->lanes;
    const uint64_t one = 1;
    ssize_t written;

    lane->state = LANE_BUSY;
    lane->stuck = job->is_late; /* it waited for too long; it may hang as well */
    lane->kept = job->goes_first;
    job->lane = lane;
    job->began_ms = lane->began_ms = clock_now_ms();
    pthread_mutex_unlock(&lanes->lock);
    run_job(lane, job);
    pthread_mutex_lock(&lanes->lock);
    job->lane = NULL;
    lane->stuck = false;
    lane->began_ms = 0;
    if (job->again_ms)
        lanes->backlog.expected_ms = job->again_ms;
    job_queue_push(&lanes->finished, job);
    pthread_mutex_unlock(&lanes->lock);
    written = write(lanes->wakeup_fd, &one, sizeof(one));
    (void)written; /* a full counter has woken the main loop already */
    pthread_mutex_lock(&lanes->lock);
}

void *lane_main(void *opaque)
{
    struct lane *lane = opaque;
    struct lanes *lanes = lane->lanes;
    bool needed = true;

    pthread_mutex_lock(&lanes->lock);
    while (needed && !lanes->stopping) { /* what is queued then is not begun any more */
        struct job *job;

        backlog_ripen(&lanes->backlog, clock_now_ms());
        job = backlog_take(&lanes->backlog, !may_take(lanes));
        if (job)
            do_job(lane, job);
        else
            needed = wait_for_work(lane) || !rest(lane);
    }
    pthread_mutex_unlock(&lanes->lock);
    drop_session(lane);
    pthread_mutex_lock(&lanes->lock);
    if (!needed && !lanes->stopping)
        retire(lane);
    lane->state = LANE_FREE;
    pthread_cond_broadcast(&lanes->idle);
    pthread_mutex_unlock(&lanes->lock);
    return NULL;
}
