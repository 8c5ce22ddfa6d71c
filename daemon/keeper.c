/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "events.h"

/* A batch is written this often at most, and what is too old is looked for this often. */
#define WRITE_EVERY_MS 1000
#define PRUNE_EVERY_MS 60000

#define PAUSE_FIRST_MS 1000
#define PAUSE_MOST_MS 60000
#define CLOSE_WITHIN_S 3

struct keeper {
    char *file;
    struct mc_store_config config;
    pthread_t thread;

    /* Of the main loop. */
    struct mc_digest *digest;
    struct mc_lesson *lessons; /* room for those of a pass */
    size_t lesson_room;
    bool has_lessons;
    char *engine; /* how it is configured */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct mc_batch waiting;
    struct keeper_state state;
    bool tried; /* to open the file, at least once */
    bool closing;
    struct mc_lesson *old_lessons;
    size_t old_lesson_count;
    char **old_events;
    size_t old_event_count;
    bool has_old; /* of both, and nobody has taken it */
    bool lessons_taken, events_taken;
    bool renewed; /* the file is a new one, and needs to be told all that does not change */
};

/* Of the thread. */
struct writer {
    struct keeper *keeper;
    struct mc_store *store;
    struct mc_batch out; /* on its way to the file */
    uint64_t pause_ms;   /* before the next try; 0: the last one was good */
    uint64_t prune_ms;   /* when to look for what is too old */
    bool read_old;
};

static int64_t wall_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the thread ---- */

/* What is said of it changes only with the kind of the trouble, or its end. */
static void note(struct keeper *keeper, const struct mc_error *err)
{
    struct keeper_state *state = &keeper->state;

    pthread_mutex_lock(&keeper->lock);
    if (err ? state->up || strcmp(state->why, err->text) != 0 : !state->up)
        state->changes++;
    state->up = !err;
    snprintf(state->why, sizeof(state->why), "%s", err ? err->text : "");
    state->failures += err != NULL;
    pthread_mutex_unlock(&keeper->lock);
}

static void free_lines(char **lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
}

struct lines {
    char **list;
    size_t count;
};

static bool keep_line(void *opaque, const char *line)
{
    struct lines *lines = opaque;
    char *copy = strdup(line);

    if (copy)
        lines->list[lines->count++] = copy;
    return copy;
}

/* Nothing of it is worth failing for: without it the daemon begins as if there was no history. */
static void read_old(struct writer *writer)
{
    struct keeper *keeper = writer->keeper;
    struct lines lines = {.list = calloc(EVENTS_KEPT, sizeof(*lines.list))};
    struct mc_lesson *lessons = NULL;
    size_t count = 0;

    mc_store_lessons(writer->store, wall_now_ms(), &lessons, &count, NULL);
    if (lines.list)
        mc_store_events(writer->store, EVENTS_KEPT, keep_line, &lines, NULL);
    pthread_mutex_lock(&keeper->lock);
    keeper->old_lessons = lessons;
    keeper->old_lesson_count = count;
    keeper->old_events = lines.list;
    keeper->old_event_count = lines.count;
    keeper->has_old = true;
    pthread_mutex_unlock(&keeper->lock);
    writer->read_old = true;
}

static int open_store(struct writer *writer, struct mc_error *err)
{
    struct keeper *keeper = writer->keeper;
    int rc = mc_store_open(keeper->file, &keeper->config, &writer->store, err);

    if (rc < 0)
        writer->store = NULL;
    else if (!writer->read_old)
        read_old(writer);
    return rc;
}

static void tell_tried(struct keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->tried = true;
    pthread_cond_broadcast(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
}

/*
 * The rows are kept. What failed for good closes the store, so that the next try begins with
 * opening it; a lock or a full disk passes.
 */
static void recover(struct writer *writer, struct mc_error *err)
{
    struct keeper *keeper = writer->keeper;
    bool more;

    if (err->code == -ENOSPC && writer->store)
        mc_store_prune(writer->store, wall_now_ms(), &more, NULL);
    if (err->code != -EBUSY && err->code != -ENOSPC) {
        mc_store_close(writer->store);
        writer->store = NULL;
    }
    if (err->code == -EBADMSG && mc_store_set_aside(keeper->file, NULL) == 0) {
        pthread_mutex_lock(&keeper->lock);
        keeper->state.set_aside++;
        keeper->renewed = true;
        pthread_mutex_unlock(&keeper->lock);
        mc_error_prefix(err, "set aside as %s.damaged, and a new one is begun: ", keeper->file);
        writer->pause_ms = 0;
    }
    note(keeper, err);
    writer->pause_ms =
        writer->pause_ms ? mc_min_u64(writer->pause_ms * 2, PAUSE_MOST_MS) : PAUSE_FIRST_MS;
}

static int prune(struct writer *writer, struct mc_error *err)
{
    struct keeper *keeper = writer->keeper;
    struct mc_store_facts facts;
    bool more = false;
    int rc = mc_store_prune(writer->store, wall_now_ms(), &more, err);

    if (rc == 0)
        rc = mc_store_facts(writer->store, &facts, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&keeper->lock);
    keeper->state.facts = facts;
    pthread_mutex_unlock(&keeper->lock);
    writer->prune_ms = clock_now_ms() + (more ? 0 : PRUNE_EVERY_MS);
    return 0;
}

static uint64_t rows_of(const struct mc_batch *batch)
{
    return batch->point_count + batch->shape_count + batch->decision_count + batch->event_count;
}

static int write_out(struct writer *writer, struct mc_error *err)
{
    struct keeper *keeper = writer->keeper;
    struct timespec began, ended;
    int rc = 0;

    if (!writer->store)
        rc = open_store(writer, err);
    clock_gettime(CLOCK_MONOTONIC, &began);
    if (rc == 0)
        rc = mc_store_write(writer->store, &writer->out, err);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&keeper->lock);
    keeper->state.rows += rows_of(&writer->out);
    keeper->state.seconds +=
        (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
    pthread_mutex_unlock(&keeper->lock);
    mc_batch_free(&writer->out);
    return clock_now_ms() >= writer->prune_ms ? prune(writer, err) : 0;
}

/* With the lock: wait until it is worth writing, or over. */
static void wait_for_work(struct writer *writer)
{
    struct keeper *keeper = writer->keeper;
    struct timespec until;
    uint64_t wait_ms = mc_max_u64(WRITE_EVERY_MS, writer->pause_ms);

    while (!keeper->closing && mc_batch_is_empty(&keeper->waiting) &&
           mc_batch_is_empty(&writer->out))
        pthread_cond_wait(&keeper->changed, &keeper->lock);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait_ms / 1000);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!keeper->closing &&
           pthread_cond_timedwait(&keeper->changed, &keeper->lock, &until) != ETIMEDOUT)
        ;
}

/* With the lock: take what waits, unless the last batch is still to be written. */
static void take_batch(struct writer *writer)
{
    struct keeper *keeper = writer->keeper;

    keeper->state.dropped += keeper->waiting.dropped;
    keeper->waiting.dropped = 0;
    if (!mc_batch_is_empty(&writer->out))
        return;
    mc_batch_free(&writer->out);
    writer->out = keeper->waiting;
    keeper->waiting = (struct mc_batch){0};
}

static void *run(void *opaque)
{
    struct keeper *keeper = opaque;
    struct writer writer = {.keeper = keeper};
    bool last = false, closing;
    struct mc_error err;

    if (open_store(&writer, &err) < 0)
        recover(&writer, &err);
    else
        note(keeper, NULL);
    tell_tried(keeper);
    while (!last) {
        pthread_mutex_lock(&keeper->lock);
        wait_for_work(&writer);
        take_batch(&writer);
        closing = keeper->closing;
        last = closing && mc_batch_is_empty(&keeper->waiting);
        pthread_mutex_unlock(&keeper->lock);
        if (write_out(&writer, &err) < 0) {
            recover(&writer, &err);
            last = closing;
            continue;
        }
        writer.pause_ms = 0;
        note(keeper, NULL);
    }
    mc_batch_free(&writer.out);
    mc_store_close(writer.store);
    return NULL;
}

/* ---- the main loop's side ---- */

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
    if (pthread_create(&keeper->thread, NULL, run, keeper) != 0) {
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
    if (mc_digest_pass(keeper->digest, snapshot, plan, wall_now_ms(), hold_ms, &keeper->waiting) <
        0)
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
    keeper->waiting.clock_ms = wall_now_ms();
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
