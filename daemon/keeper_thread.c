/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keeper_thread.h"

#include <errno.h>
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

struct writer {
    struct keeper *keeper;
    struct mc_store *store;
    struct mc_batch out; /* on its way to the file */
    uint64_t pause_ms;   /* before the next try; 0: the last one was good */
    uint64_t prune_ms;   /* when to look for what is too old */
    bool read_old;
};

int64_t keeper_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

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

    mc_store_lessons(writer->store, keeper_wall_ms(), &lessons, &count, NULL);
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
        mc_store_prune(writer->store, keeper_wall_ms(), &more, NULL);
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
    int rc = mc_store_prune(writer->store, keeper_wall_ms(), &more, err);

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

void *keeper_thread(void *opaque)
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
