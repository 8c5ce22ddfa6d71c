/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The main loop's side: jobs are handed in, lanes started, what is late is told, what is done
 * ended. */
#include "lanes.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backlog.h"
#include "clock.h"
#include "lane.h"

/* A job that takes longer does not count as one that works: another lane takes the next job. */
#define SLOW_MS 200

/* libvirt's calls are shallow; the stacks are mostly never touched. */
#define STACK_SIZE (512 * 1024)

#define PARTING_MS 3000

/* A job that has not begun so long after its time needs another lane. */
#define GRACE_MS 100

/* With the lock held: start another lane if one is needed and allowed. */
static void grow(struct lanes *lanes)
{
    const uint64_t now = clock_now_ms();
    struct lane *unused = NULL;
    unsigned healthy = 0;
    pthread_attr_t attr;

    for (size_t i = 0; i < LANES_MAX; i++) {
        struct lane *lane = &lanes->lanes[i];

        if (lane->state == LANE_IDLE)
            return;
        if (lane->state == LANE_FREE)
            unused = unused ? unused : lane;
        else if (!lane->stuck && (!lane->began_ms || now < lane->began_ms + SLOW_MS))
            healthy++;
    }
    if (!unused || healthy >= LANES_HEALTHY_MAX)
        return;
    *unused = (struct lane){.lanes = lanes, .state = LANE_BUSY};
    lane_init_condition(&unused->work);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    unused->started = pthread_create(&unused->thread, &attr, lane_main, unused) == 0;
    if (!unused->started)
        unused->state = LANE_FREE;
    pthread_attr_destroy(&attr);
}

/* With the lock held: an idle lane, rather one that does not watch, and else the first one. */
static struct lane *find_idle(struct lanes *lanes)
{
    struct lane *found = NULL;

    for (size_t i = 0; i < LANES_MAX; i++) {
        struct lane *lane = &lanes->lanes[i];

        if (lane->state == LANE_IDLE && (!found || found == lanes->watcher))
            found = lane;
    }
    return found;
}

/* With the lock held: the lane to be signalled, since there is something in the queue. */
static struct lane *employ(struct lanes *lanes)
{
    struct lane *lane = find_idle(lanes);

    if (!lane) {
        grow(lanes);
        return NULL;
    }
    lane->state = LANE_BUSY;
    if (lanes->watcher == lane)
        lanes->watcher = NULL;
    return lane;
}

/* With the lock held: the lane to be signalled, since there is a job for this time. */
static struct lane *whom_to_tell(struct lanes *lanes, uint64_t at_ms)
{
    if (!lanes->watcher)
        return find_idle(lanes);
    return lanes->watch_ms > at_ms ? lanes->watcher : NULL;
}

/* Without the lock: whoever wakes up takes it at once. */
static void tell(struct lane *lane)
{
    if (lane)
        pthread_cond_signal(&lane->work);
}

static void arm(struct job *job, uint64_t ms)
{
    const struct timeval within = {.tv_sec = (time_t)(ms / 1000),
                                   .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

    if (job->deadline)
        evtimer_add(job->deadline, &within);
}

/* With the lock held: is every lane that may take this job waiting for a late one? */
static bool is_exhausted(const struct lanes *lanes, const struct job *job)
{
    unsigned stuck = 0, others = 0;

    for (size_t i = 0; i < LANES_MAX; i++) {
        stuck += lanes->lanes[i].stuck;
        others += lanes->lanes[i].stuck && !lanes->lanes[i].kept;
    }
    return stuck == LANES_MAX || (!job->goes_first && others >= LANES_MAX - LANES_KEPT);
}

/* With the lock held: how much time the job still has, or until it is looked at again. */
static uint64_t time_left(const struct job *job)
{
    if (!job->began_ms)
        return is_exhausted(job->lanes, job) ? 0 : SLOW_MS;
    return mc_less_u64(job->began_ms + job->within_ms, clock_now_ms());
}

static void on_deadline(evutil_socket_t fd, short what, void *opaque)
{
    struct job *job = opaque;
    struct lanes *lanes = job->lanes;
    struct lane *lane = NULL;
    uint64_t left;

    (void)fd;
    (void)what;
    pthread_mutex_lock(&lanes->lock);
    left = time_left(job);
    if (left == 0) {
        job->is_late = true;
        if (job->lane)
            job->lane->stuck = true;
    }
    backlog_ripen(&lanes->backlog, clock_now_ms());
    if (lane_has_work(lanes))
        lane = employ(lanes);
    pthread_mutex_unlock(&lanes->lock);
    tell(lane);
    if (left)
        arm(job, left);
    else if (job->late)
        job->late(job);
}

static void finish(struct job *job)
{
    if (job->deadline)
        event_free(job->deadline);
    job->done(job);
}

static void on_finished(evutil_socket_t fd, short what, void *opaque)
{
    struct lanes *lanes = opaque;
    struct job *job;
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    for (;;) {
        pthread_mutex_lock(&lanes->lock);
        job = job_queue_pop(&lanes->finished);
        pthread_mutex_unlock(&lanes->lock);
        if (!job)
            return;
        finish(job);
    }
}

struct lanes *lanes_new(struct event_base *base, struct mc_hypervisor *hypervisor, unsigned idle_ms)
{
    struct lanes *lanes = calloc(1, sizeof(*lanes));

    if (!lanes)
        return NULL;
    lanes->base = base;
    lanes->hypervisor = hypervisor;
    lanes->idle_ms = idle_ms;
    backlog_init(&lanes->backlog);
    job_queue_init(&lanes->finished);
    lanes->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    lanes->wakeup = event_new(base, lanes->wakeup_fd, EV_READ | EV_PERSIST, on_finished, lanes);
    if (lanes->wakeup_fd < 0 || !lanes->wakeup || event_add(lanes->wakeup, NULL) < 0) {
        if (lanes->wakeup)
            event_free(lanes->wakeup);
        if (lanes->wakeup_fd >= 0)
            close(lanes->wakeup_fd);
        free(lanes);
        return NULL;
    }
    pthread_mutex_init(&lanes->lock, NULL);
    lane_init_condition(&lanes->idle);
    return lanes;
}

void lanes_submit(struct lanes *lanes, struct job *job)
{
    const uint64_t wait = job->at_ms ? mc_less_u64(job->at_ms, clock_now_ms()) : 0;
    struct lane *lane;

    job->lanes = lanes;
    job->deadline = evtimer_new(lanes->base, on_deadline, job);
    arm(job, wait ? wait + GRACE_MS : mc_min_u64(job->within_ms, SLOW_MS));
    pthread_mutex_lock(&lanes->lock);
    if (wait) {
        backlog_put_off(&lanes->backlog, job);
        lane = whom_to_tell(lanes, job->at_ms);
    } else {
        backlog_add(&lanes->backlog, job);
        lane = lane_has_work(lanes) ? employ(lanes) : NULL;
    }
    pthread_mutex_unlock(&lanes->lock);
    tell(lane);
}

bool lanes_hurry(struct job *job, uint64_t at_ms)
{
    struct lanes *lanes = job->lanes;
    struct lane *lane = NULL;
    bool waits, sooner;

    pthread_mutex_lock(&lanes->lock);
    waits = backlog_is_later(&lanes->backlog, job);
    sooner = waits && at_ms < job->at_ms;
    if (sooner) {
        job->at_ms = at_ms;
        lane = whom_to_tell(lanes, at_ms);
    }
    pthread_mutex_unlock(&lanes->lock);
    tell(lane);
    if (sooner)
        arm(job, mc_less_u64(at_ms, clock_now_ms()) + GRACE_MS);
    return waits;
}

unsigned lanes_stuck(struct lanes *lanes)
{
    unsigned stuck = 0;

    pthread_mutex_lock(&lanes->lock);
    for (size_t i = 0; i < LANES_MAX; i++)
        stuck += lanes->lanes[i].stuck;
    pthread_mutex_unlock(&lanes->lock);
    return stuck;
}

static bool all_gone(const struct lanes *lanes)
{
    for (size_t i = 0; i < LANES_MAX; i++)
        if (lanes->lanes[i].state != LANE_FREE)
            return false;
    return true;
}

/* What was done while the lanes came to an end, and jobs that nobody will run any more. */
static void finish_all(struct lanes *lanes)
{
    struct job *job;

    while ((job = job_queue_pop(&lanes->finished)))
        finish(job);
    while ((job = backlog_take_any(&lanes->backlog))) {
        job->rc = mc_error_set(&job->err, -ECANCELED, "memctld stops");
        finish(job);
    }
}

bool lanes_free(struct lanes *lanes)
{
    uint64_t until;
    bool gone;

    if (!lanes)
        return true;
    until = clock_now_ms() + PARTING_MS;
    pthread_mutex_lock(&lanes->lock);
    lanes->stopping = true;
    for (size_t i = 0; i < LANES_MAX; i++)
        if (lanes->lanes[i].started)
            pthread_cond_signal(&lanes->lanes[i].work);
    while (!all_gone(lanes) && lane_wait(&lanes->idle, lanes, until) == 0)
        continue;
    gone = all_gone(lanes);
    pthread_mutex_unlock(&lanes->lock);
    event_free(lanes->wakeup);
    if (!gone)
        return false;
    for (size_t i = 0; i < LANES_MAX; i++) {
        if (!lanes->lanes[i].started)
            continue;
        pthread_join(lanes->lanes[i].thread, NULL);
        pthread_cond_destroy(&lanes->lanes[i].work);
    }
    finish_all(lanes);
    close(lanes->wakeup_fd);
    pthread_cond_destroy(&lanes->idle);
    pthread_mutex_destroy(&lanes->lock);
    free(lanes);
    return true;
}
