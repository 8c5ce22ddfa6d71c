/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs whose time has come are in a queue, in their order; those for later are beside it. The first
 * lane that is idle is the watcher: it sleeps until the next of these is due, and the others until
 * they are signalled, or end. If the watcher gets other work, there may be none for a while; each
 * job's own timer sees to it that some lane is employed then.
 */
#include "lanes.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/*
 * Lanes that work, lanes in all, and how many of these only jobs that go first may take. libvirtd
 * has 20 threads for everybody's calls, so more than that must never wait for it.
 */
#define HEALTHY_MAX 2
#define LANES_MAX 15
#define LANES_KEPT 5

/* A job that takes longer does not count as one that works: another lane takes the next job. */
#define SLOW_MS 200

/* libvirt's calls are shallow; the stacks are mostly never touched. */
#define STACK_SIZE (512 * 1024)

#define PARTING_MS 3000

/* A job that has not begun so long after its time needs another lane. */
#define GRACE_MS 100

#define NEVER UINT64_MAX

enum lane_state { LANE_FREE, LANE_IDLE, LANE_BUSY };

struct lane {
    pthread_t thread;
    struct lanes *lanes;
    enum lane_state state;
    pthread_cond_t work;
    bool started;
    bool stuck;        /* its job is late */
    bool kept;         /* its job is one that goes first */
    uint64_t began_ms; /* that job */
    struct mc_session *session;
    bool has_events;
};

struct lanes {
    struct event_base *base;
    struct mc_hypervisor *hypervisor;
    struct event *wakeup;
    int wakeup_fd;
    unsigned idle_ms;

    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t idle;
    struct job *first, **first_end; /* jobs that go first */
    struct job *queue, **queue_end; /* the others */
    struct job *finished, **finished_end;
    struct job *later;    /* jobs for another time, in no order */
    struct lane *watcher; /* an idle lane that wakes up at watch_ms */
    uint64_t watch_ms;    /* may be before anything is due */
    uint64_t expected_ms; /* a job will have been submitted by then, or NEVER */
    bool events_taken;    /* some lane's session listens to events */
    bool stopping;
    struct lane lanes[LANES_MAX];
};

static void push(struct job ***end, struct job *job)
{
    job->next = NULL;
    **end = job;
    *end = &job->next;
}

static struct job *pop(struct job **queue, struct job ***end)
{
    struct job *job = *queue;

    if (job) {
        *queue = job->next;
        if (!*queue)
            *end = queue;
    }
    return job;
}

static void enqueue(struct lanes *lanes, struct job *job)
{
    push(job->goes_first ? &lanes->first_end : &lanes->queue_end, job);
}

/* With the lock held: may another lane take a job that does not go first? */
static bool may_take(const struct lanes *lanes)
{
    unsigned others = 0;

    for (size_t i = 0; i < LANES_MAX; i++)
        others +=
            lanes->lanes[i].state == LANE_BUSY && lanes->lanes[i].began_ms && !lanes->lanes[i].kept;
    return others < LANES_MAX - LANES_KEPT;
}

/* With the lock held: is there a job for whoever is idle? */
static bool has_work(const struct lanes *lanes)
{
    return lanes->first || (lanes->queue && may_take(lanes));
}

/* With the lock held. */
static struct job *take(struct lanes *lanes)
{
    struct job *job = pop(&lanes->first, &lanes->first_end);

    return job || !may_take(lanes) ? job : pop(&lanes->queue, &lanes->queue_end);
}

/* One whose time limits are those of clock_now_ms(). */
static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attr);
    pthread_condattr_destroy(&attr);
}

/* With the lock held. ETIMEDOUT or 0. */
static int wait_until(pthread_cond_t *condition, struct lanes *lanes, uint64_t ms)
{
    const struct timespec time = {.tv_sec = (time_t)(ms / 1000),
                                  .tv_nsec = (long)(ms % 1000 * 1000000)};

    return ms == NEVER ? pthread_cond_wait(condition, &lanes->lock)
                       : pthread_cond_timedwait(condition, &lanes->lock, &time);
}

/* With the lock held: the jobs whose time has come are in the queue. */
static void ripen(struct lanes *lanes)
{
    const uint64_t now = clock_now_ms();

    for (struct job **link = &lanes->later; *link;) {
        struct job *job = *link;

        if (job->at_ms > now) {
            link = &job->next;
            continue;
        }
        *link = job->next;
        enqueue(lanes, job);
    }
    if (lanes->expected_ms <= now)
        lanes->expected_ms = NEVER;
}

/* With the lock held: when there is, or may be, a job to run. */
static uint64_t next_ms(const struct lanes *lanes)
{
    uint64_t next = lanes->expected_ms;

    for (const struct job *job = lanes->later; job; job = job->next)
        next = mc_min_u64(next, job->at_ms);
    return next;
}

/* ---- on a lane ---- */

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
        return NEVER;
    lanes->watch_ms = next_ms(lanes);
    return lanes->watch_ms;
}

/*
 * With the lock held. False if the lane is not needed any more; the one whose session listens to
 * events always is.
 */
static bool wait_for_work(struct lane *lane)
{
    struct lanes *lanes = lane->lanes;
    const uint64_t end_ms = lane->has_events ? NEVER : clock_now_ms() + lanes->idle_ms;

    lane->state = LANE_IDLE;
    pthread_cond_broadcast(&lanes->idle);
    while (lane->state == LANE_IDLE && !lanes->stopping && clock_now_ms() < end_ms) {
        wait_until(&lane->work, lanes, mc_min_u64(sleep_ms(lane), end_ms));
        ripen(lanes);
        if (has_work(lanes))
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
    return !has_work(lane->lanes);
}

/* The lane's place is free, and nobody will join its thread. */
static void retire(struct lane *lane)
{
    pthread_detach(pthread_self());
    pthread_cond_destroy(&lane->work);
    lane->started = false;
}

static void *lane_main(void *opaque)
{
    struct lane *lane = opaque;
    struct lanes *lanes = lane->lanes;
    const uint64_t one = 1;
    bool needed = true;
    ssize_t written;

    pthread_mutex_lock(&lanes->lock);
    while (needed) {
        struct job *job;

        if (lanes->stopping)
            break; /* what is queued is not begun any more */
        ripen(lanes);
        job = take(lanes);
        if (!job) {
            needed = wait_for_work(lane) || !rest(lane);
            continue;
        }
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
            lanes->expected_ms = job->again_ms;
        push(&lanes->finished_end, job);
        pthread_mutex_unlock(&lanes->lock);
        written = write(lanes->wakeup_fd, &one, sizeof(one));
        (void)written; /* a full counter has woken the main loop already */
        pthread_mutex_lock(&lanes->lock);
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

/* ---- on the main loop ---- */

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
        else if (!lane->stuck && now < lane->began_ms + SLOW_MS)
            healthy++;
    }
    if (!unused || healthy >= HEALTHY_MAX)
        return;
    *unused = (struct lane){.lanes = lanes, .state = LANE_BUSY};
    init_condition(&unused->work);
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
    ripen(lanes);
    if (has_work(lanes))
        lane = employ(lanes);
    pthread_mutex_unlock(&lanes->lock);
    tell(lane);
    if (left)
        arm(job, left);
    else if (job->late)
        job->late(job);
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
        job = pop(&lanes->finished, &lanes->finished_end);
        pthread_mutex_unlock(&lanes->lock);
        if (!job)
            return;
        if (job->deadline)
            event_free(job->deadline);
        job->done(job);
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
    lanes->first_end = &lanes->first;
    lanes->queue_end = &lanes->queue;
    lanes->finished_end = &lanes->finished;
    lanes->expected_ms = NEVER;
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
    init_condition(&lanes->idle);
    return lanes;
}

/* With the lock held. Returns the lane to be signalled. */
static struct lane *put_off(struct lanes *lanes, struct job *job)
{
    job->next = lanes->later;
    lanes->later = job;
    return whom_to_tell(lanes, job->at_ms);
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
        lane = put_off(lanes, job);
    } else {
        enqueue(lanes, job);
        lane = has_work(lanes) ? employ(lanes) : NULL;
    }
    pthread_mutex_unlock(&lanes->lock);
    tell(lane);
}

bool lanes_hurry(struct job *job, uint64_t at_ms)
{
    struct lanes *lanes = job->lanes;
    struct lane *lane = NULL;
    const struct job *other;
    bool sooner;

    pthread_mutex_lock(&lanes->lock);
    for (other = lanes->later; other && other != job;)
        other = other->next;
    sooner = other && at_ms < job->at_ms;
    if (sooner) {
        job->at_ms = at_ms;
        lane = whom_to_tell(lanes, at_ms);
    }
    pthread_mutex_unlock(&lanes->lock);
    tell(lane);
    if (sooner)
        arm(job, mc_less_u64(at_ms, clock_now_ms()) + GRACE_MS);
    return other;
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

static void finish(struct job *job)
{
    if (job->deadline)
        event_free(job->deadline);
    job->done(job);
}

/* What was done while the lanes came to an end, and jobs that nobody will run any more. */
static void finish_all(struct lanes *lanes)
{
    struct job *job;

    while ((job = pop(&lanes->finished, &lanes->finished_end)))
        finish(job);
    while (lanes->later) {
        job = lanes->later;
        lanes->later = job->next;
        enqueue(lanes, job);
    }
    while ((job = pop(&lanes->first, &lanes->first_end)) ||
           (job = pop(&lanes->queue, &lanes->queue_end))) {
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
    while (!all_gone(lanes) && wait_until(&lanes->idle, lanes, until) == 0)
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
