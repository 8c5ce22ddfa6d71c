/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The main loop's side: what is to be written is added to a batch, what was there before taken. */
#include "keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keeper_thread.h"

#define CLOSE_WITHIN_S 3

static void free_lines(char **lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
}

static void free_keeper(struct keeper *keeper)
{
    pthread_mutex_destroy(&keeper->lock);
    pthread_cond_destroy(&keeper->changed);
    mc_batch_free(&keeper->waiting);
    mc_digest_free(keeper->digest);
    free_lines(keeper->old_events, keeper->old_event_count);
    free(keeper->old_lessons);
    free(keeper->lessons);
    free(keeper->engine);
    free(keeper->file);
    free(keeper);
}

static struct keeper *keeper_new(const char *file, const struct mc_store_config *config)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    pthread_condattr_t monotonic;

    if (!keeper)
        return NULL;
    keeper->config = *config;
    strcpy(keeper->state.why, "its file is being opened");
    keeper->file = strdup(file);
    keeper->digest = mc_digest_new();
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (keeper->file && keeper->digest)
        return keeper;
    free_keeper(keeper);
    return NULL;
}

int keeper_open(const char *file, const struct mc_store_config *config, uint64_t wait_ms,
                struct keeper **opened)
{
    struct keeper *keeper = keeper_new(file, config);
    struct timespec until;

    if (!keeper)
        return -ENOMEM;
    if (pthread_create(&keeper->thread, NULL, keeper_thread, keeper) != 0) {
        free_keeper(keeper);
        return -ENOMEM;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait_ms / 1000);
    pthread_mutex_lock(&keeper->lock);
    while (!keeper->tried &&
           pthread_cond_timedwait(&keeper->changed, &keeper->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&keeper->lock);
    *opened = keeper;
    return 0;
}

void keeper_close(struct keeper *keeper)
{
    struct timespec until;

    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->lock);
    mc_digest_end(keeper->digest, &keeper->waiting);
    keeper->closing = true;
    pthread_cond_broadcast(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_WITHIN_S;
    if (pthread_timedjoin_np(keeper->thread, NULL, &until) == 0)
        free_keeper(keeper); /* else the disk hangs: leave all to the end of the process */
}

bool keeper_take_lessons(struct keeper *keeper, struct mc_lesson **lessons, size_t *count)
{
    bool ready;

    if (!keeper)
        return false;
    pthread_mutex_lock(&keeper->lock);
    ready = keeper->has_old && !keeper->lessons_taken;
    if (ready) {
        keeper->lessons_taken = true;
        *lessons = keeper->old_lessons;
        *count = keeper->old_lesson_count;
        keeper->old_lessons = NULL;
        keeper->old_lesson_count = 0;
    }
    pthread_mutex_unlock(&keeper->lock);
    return ready;
}

bool keeper_take_events(struct keeper *keeper, char ***lines, size_t *count)
{
    bool ready;

    if (!keeper)
        return false;
    pthread_mutex_lock(&keeper->lock);
    ready = keeper->has_old && !keeper->events_taken;
    if (ready) {
        keeper->events_taken = true;
        *lines = keeper->old_events;
        *count = keeper->old_event_count;
        keeper->old_events = NULL;
        keeper->old_event_count = 0;
    }
    pthread_mutex_unlock(&keeper->lock);
    return ready;
}

/* What is learned is written anew with every pass for as long as there is any, and once when not.
 */
static void add_lessons(struct keeper *keeper, const struct mc_engine *engine, uint64_t now_ms)
{
    size_t count = mc_engine_lessons(engine, now_ms, keeper->lessons, keeper->lesson_room);

    if (count > keeper->lesson_room) {
        struct mc_lesson *grown = reallocarray(keeper->lessons, count, sizeof(*grown));

        if (!grown)
            return;
        keeper->lessons = grown;
        keeper->lesson_room = count;
        mc_engine_lessons(engine, now_ms, keeper->lessons, count);
    }
    if (count || keeper->has_lessons)
        mc_batch_set_lessons(&keeper->waiting, keeper->lessons, count);
    keeper->has_lessons = count;
}

/* Take the lock. The thread sleeps for as long as nothing waits, and needs to hear of the first. */
static void begin_adding(struct keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    if (mc_batch_is_empty(&keeper->waiting))
        pthread_cond_broadcast(&keeper->changed);
}

void keeper_pass(struct keeper *keeper, const struct mc_snapshot *snapshot,
                 const struct mc_plan *plan, const struct mc_engine *engine, uint64_t hold_ms)
{
    if (!keeper)
        return;
    begin_adding(keeper);
    if (keeper->renewed) {
        keeper->renewed = false;
        mc_digest_renew(keeper->digest);
        if (keeper->engine)
            mc_batch_set_config(&keeper->waiting, keeper->engine);
    }
    if (mc_digest_pass(keeper->digest, snapshot, plan, keeper_wall_ms(), hold_ms,
                       &keeper->waiting) < 0)
        keeper->waiting.dropped++;
    /* Before those of an earlier daemon were taken, these would be written over them. */
    if (keeper->lessons_taken)
        add_lessons(keeper, engine, snapshot->now_ms);
    pthread_mutex_unlock(&keeper->lock);
}

void keeper_event(struct keeper *keeper, const char *line)
{
    if (!keeper)
        return;
    begin_adding(keeper);
    mc_batch_add_event(&keeper->waiting, line);
    pthread_mutex_unlock(&keeper->lock);
}

void keeper_configure(struct keeper *keeper, json_t *config)
{
    char *text = keeper && config ? json_dumps(config, JSON_COMPACT) : NULL;

    json_decref(config);
    if (!text)
        return;
    begin_adding(keeper);
    keeper->waiting.clock_ms = keeper_wall_ms();
    mc_batch_set_config(&keeper->waiting, text);
    pthread_mutex_unlock(&keeper->lock);
    free(keeper->engine);
    keeper->engine = text;
}

struct keeper_state keeper_state(struct keeper *keeper)
{
    struct keeper_state state;

    pthread_mutex_lock(&keeper->lock);
    state = keeper->state;
    state.dropped += keeper->waiting.dropped;
    pthread_mutex_unlock(&keeper->lock);
    return state;
}
