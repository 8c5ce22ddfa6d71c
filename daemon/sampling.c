/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread takes the list of guests that the main loop left for it, looks at them for a window,
 * and leaves the list with what it found. It rests between rounds for so long that all of it takes
 * no more than a thousandth of a processor; DAMON's threads of the kernel are not counted in that,
 * their work is bounded by the number of their regions.
 */
#include "sampling.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "log.h"

/* While nobody is to be looked at, and after the kernel refused. */
#define IDLE_MS 2000
#define RETRY_MS 60000

/* Of a processor, millionths; and the longest rest that may follow from it. */
#define COST_MOST 1000
#define REST_MOST_MS 600000

#define STOP_WITHIN_S 3

/* Working sets of an agent that are older do not spare the host the work. */
#define AGENT_RECENT_MS 120000

struct subjects {
    struct mc_sample_subject *list;
    size_t count, room;
};

struct sampling {
    struct sampling_config config;
    char root[256];
    pthread_t thread;
    bool runs;            /* there is a thread */
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    bool ending;
    struct subjects wanted; /* as the main loop saw them last */
    struct subjects found;  /* as of the last round */
    struct sampling_state state;
};

static bool make_room(struct subjects *subjects, size_t count)
{
    struct mc_sample_subject *list;

    if (count <= subjects->room)
        return true;
    list = reallocarray(subjects->list, count, sizeof(*list));
    if (!list)
        return false;
    subjects->list = list;
    subjects->room = count;
    return true;
}

static bool copy(struct subjects *to, const struct subjects *from)
{
    if (!make_room(to, from->count))
        return false;
    if (from->count)
        memcpy(to->list, from->list, from->count * sizeof(*from->list));
    to->count = from->count;
    return true;
}

/* ---- the thread ---- */

static uint64_t cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* False when it is over. */
static bool nap(struct sampling *sampling, uint64_t ms)
{
    uint64_t until_ms = clock_now_ms() + ms;
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000 * 1000000)};
    bool ending;

    pthread_mutex_lock(&sampling->lock);
    while (!sampling->ending &&
           pthread_cond_timedwait(&sampling->changed, &sampling->lock, &until) != ETIMEDOUT)
        ;
    ending = sampling->ending;
    pthread_mutex_unlock(&sampling->lock);
    return !ending;
}

static void note(struct sampling *sampling, const char *method, const char *why)
{
    bool is_news;

    pthread_mutex_lock(&sampling->lock);
    is_news = strcmp(sampling->state.why, why) != 0 || strcmp(sampling->state.method, method) != 0;
    snprintf(sampling->state.method, sizeof(sampling->state.method), "%s", method);
    snprintf(sampling->state.why, sizeof(sampling->state.why), "%s", why);
    pthread_mutex_unlock(&sampling->lock);
    if (is_news && *why)
        log_warning("guests' memory cannot be looked at from the host: %s", why);
    else if (is_news)
        log_info("guests without an agent are looked at from the host: %s", method);
}

/* False when there is nobody to look at. */
static bool take_wanted(struct sampling *sampling, struct subjects *subjects)
{
    bool any;

    pthread_mutex_lock(&sampling->lock);
    any = copy(subjects, &sampling->wanted) && subjects->count > 0;
    sampling->state.subjects = any ? (unsigned)subjects->count : 0;
    pthread_mutex_unlock(&sampling->lock);
    return any;
}

static void give_found(struct sampling *sampling, const struct subjects *subjects,
                       uint64_t spent_us)
{
    pthread_mutex_lock(&sampling->lock);
    copy(&sampling->found, subjects);
    sampling->state.rounds++;
    sampling->state.cpu_us += spent_us;
    pthread_mutex_unlock(&sampling->lock);
}

/* One round, and the rest after it. False when it is over. */
static bool do_round(struct sampling *sampling, struct mc_sampler *sampler,
                     struct subjects *subjects)
{
    uint64_t began_ms = clock_now_ms(), began_us = cpu_us(), spent, passed, whole;
    struct mc_error err;

    if (!take_wanted(sampling, subjects))
        return nap(sampling, IDLE_MS);
    if (mc_sampler_begin(sampler, subjects->list, subjects->count, &err) < 0)
        return nap(sampling, RETRY_MS);
    if (!nap(sampling, sampling->config.window_ms))
        return false;
    mc_sampler_look(sampler, subjects->list, subjects->count, clock_now_ms());
    spent = cpu_us() - began_us;
    passed = mc_less_u64(clock_now_ms(), began_ms);
    whole = mc_max_u64(mc_min_u64(spent * 1000 / COST_MOST, REST_MOST_MS), passed);
    for (size_t i = 0; i < subjects->count; i++)
        subjects->list[i].result.cost = (unsigned)(spent * 1000 / (whole + 1));
    give_found(sampling, subjects, spent);
    return nap(sampling, whole - passed);
}

static void *run(void *opaque)
{
    struct sampling *sampling = opaque;
    const char *method = *sampling->config.method ? sampling->config.method : NULL;
    struct subjects subjects = {0};
    struct mc_sampler *sampler;
    struct mc_error err;

    while (mc_sampler_open(sampling->root, method, sampling->config.window_ms, &sampler, &err) <
           0) {
        note(sampling, "", err.text);
        if (!nap(sampling, RETRY_MS))
            return NULL;
    }
    note(sampling, mc_sampler_method(sampler), "");
    while (do_round(sampling, sampler, &subjects))
        ;
    mc_sampler_close(sampler);
    free(subjects.list);
    return NULL;
}

/* ---- the main loop ---- */

static void free_sampling(struct sampling *sampling)
{
    pthread_cond_destroy(&sampling->changed);
    pthread_mutex_destroy(&sampling->lock);
    free(sampling->wanted.list);
    free(sampling->found.list);
    free(sampling);
}

struct sampling *sampling_start(const struct sampling_config *config, const char *root)
{
    struct sampling *sampling = calloc(1, sizeof(*sampling));
    pthread_condattr_t monotonic;

    if (!sampling)
        return NULL;
    sampling->config = *config;
    sampling->state.on = config->on;
    snprintf(sampling->root, sizeof(sampling->root), "%s", root);
    pthread_mutex_init(&sampling->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&sampling->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!config->on)
        return sampling;
    sampling->runs = pthread_create(&sampling->thread, NULL, run, sampling) == 0;
    if (sampling->runs)
        return sampling;
    free_sampling(sampling);
    return NULL;
}

static const struct mc_sample_subject *find(const struct subjects *subjects,
                                            const struct mc_guest *guest)
{
    for (size_t i = 0; i < subjects->count; i++)
        if (subjects->list[i].run_id == guest->run_id &&
            strcmp(subjects->list[i].uuid, guest->uuid) == 0)
            return &subjects->list[i];
    return NULL;
}

static bool agent_knows(const struct mc_guest *guest, uint64_t now_ms)
{
    return guest->agent.present && guest->agent.working_set.found_ms &&
           mc_less_u64(now_ms, guest->agent.working_set.found_ms) <= AGENT_RECENT_MS;
}

static void want(struct subjects *wanted, const struct mc_guest *guest)
{
    struct mc_sample_subject *subject;

    if (!make_room(wanted, wanted->count + 1))
        return;
    subject = &wanted->list[wanted->count++];
    *subject = (struct mc_sample_subject){
        .run_id = guest->run_id,
        .pid = guest->pid,
        .ram_count = guest->ram_count,
        .resident = mc_min_u64(mc_less_u64(guest->rss, guest->overhead), guest->actual),
    };
    memcpy(subject->uuid, guest->uuid, sizeof(subject->uuid));
    memcpy(subject->ram, guest->ram, sizeof(subject->ram));
}

void sampling_follow(struct sampling *sampling, struct mc_snapshot *snapshot)
{
    if (!sampling->runs)
        return;
    pthread_mutex_lock(&sampling->lock);
    sampling->wanted.count = 0;
    for (size_t i = 0; i < snapshot->count; i++) {
        struct mc_guest *guest = &snapshot->guests[i];
        const struct mc_sample_subject *found = find(&sampling->found, guest);

        if (found)
            guest->sample = found->result;
        if (guest->pid > 0 && guest->ram_count && guest->state == MC_GUEST_RUNNING &&
            guest->rss != MC_UNKNOWN && !agent_knows(guest, snapshot->now_ms))
            want(&sampling->wanted, guest);
    }
    pthread_mutex_unlock(&sampling->lock);
}

struct sampling_state sampling_state(struct sampling *sampling)
{
    struct sampling_state state;

    pthread_mutex_lock(&sampling->lock);
    state = sampling->state;
    pthread_mutex_unlock(&sampling->lock);
    return state;
}

void sampling_stop(struct sampling *sampling)
{
    struct timespec until;

    if (!sampling)
        return;
    pthread_mutex_lock(&sampling->lock);
    sampling->ending = true;
    pthread_cond_broadcast(&sampling->changed);
    pthread_mutex_unlock(&sampling->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_WITHIN_S;
    /* The kernel may let it wait for a window; then it ends with the process. */
    if (!sampling->runs || pthread_timedjoin_np(sampling->thread, NULL, &until) == 0)
        free_sampling(sampling);
}
