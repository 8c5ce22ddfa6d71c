/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "feed.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <memctl/client.h>

/* How long the end of the program waits for an answer that is under way. */
#define STOP_WITHIN_MS 300

/* More than a screen shows. */
#define EVENTS_LAST 60

/* A history is asked for this often, or when a step of it is over; the coarse ones change slowly.
 */
#define PAST_LEAST_MS 2000
#define PAST_MOST_MS 30000

struct watched {
    char uuid[MC_UUID_TEXT];
    enum top_span span;
    unsigned steps;
};

struct feed {
    pthread_t thread;
    const char *socket;
    uint64_t interval_ms;
    int ready; /* an eventfd */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    bool stop, hurry;
    struct watched watched;
    const char *verb; /* of a command that waits or is under way, or NULL */
    json_t *args;
    bool has_news, has_outcome;
    struct news news;
    struct outcome outcome;
};

static void drop(struct news *news)
{
    json_decref(news->status);
    json_decref(news->list);
    json_decref(news->explained);
    json_decref(news->events);
    json_decref(news->past.course);
}

static void signal_ready(struct feed *feed)
{
    const uint64_t one = 1;

    if (write(feed->ready, &one, sizeof(one)) < 0)
        return; /* full: it is readable already */
}

/* ---- in the thread ---- */

static void close_client(struct mc_client **client)
{
    mc_client_close(*client);
    *client = NULL;
}

/* Errors other than the daemon's own mean that the connection is no good any more. */
static int ask(struct mc_client **client, const char *verb, json_t *args, json_t **result,
               struct mc_error *err)
{
    int rc = mc_client_call(*client, verb, args, result, err);

    if (rc == -ETIMEDOUT || rc == -EPROTO || rc == -ECONNRESET)
        close_client(client);
    return rc;
}

static int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t step_of(const struct watched *watched)
{
    uint64_t step_ms = top_span_ms(watched->span) / (watched->steps ? watched->steps : 1);

    return step_ms < 1000 ? 1000 : step_ms;
}

/* The last step is the one that is under way. */
static void ask_past(struct mc_client **client, const struct watched *watched,
                     struct top_past *past)
{
    uint64_t step_ms = step_of(watched);
    int64_t now_ms = wall_ms(), first_ms = now_ms - now_ms % (int64_t)step_ms;
    struct mc_error err = {0};
    json_t *question =
        json_pack("{s:s, s:s, s:I, s:I, s:I}", "what", "course", "guest", watched->uuid, "since_ms",
                  (json_int_t)(first_ms - (int64_t)(step_ms * (watched->steps - 1))), "until_ms",
                  (json_int_t)now_ms, "step_ms", (json_int_t)step_ms);

    memcpy(past->uuid, watched->uuid, sizeof(past->uuid));
    past->span = watched->span;
    if (ask(client, "history", question, &past->course, &err) < 0) {
        past->course = NULL;
        snprintf(past->why, sizeof(past->why), "%s", err.text);
    }
}

static void ask_news(struct mc_client **client, const char *watched, struct news *news)
{
    json_t *question;

    if (ask(client, "status", NULL, &news->status, &news->error) < 0 || !*client)
        return;
    if (ask(client, "list", NULL, &news->list, &news->error) < 0 || !*client)
        return;
    question = json_pack("{s:i}", "tail", EVENTS_LAST);
    if (*watched)
        json_object_set_new(question, "guest", json_string(watched));
    if (ask(client, "events", question, &news->events, NULL) < 0)
        news->events = NULL;
    /* It may have stopped meanwhile: no explanation then. */
    if (*client && *watched &&
        ask(client, "explain", json_pack("{s:s}", "guest", watched), &news->explained, NULL) < 0)
        news->explained = NULL;
}

static void ask_command(struct feed *feed, struct mc_client **client, const char *verb,
                        json_t *args)
{
    struct outcome outcome = {0};
    json_t *result = NULL;

    outcome.done = ask(client, verb, args, &result, &outcome.error) == 0;
    json_decref(result);
    pthread_mutex_lock(&feed->lock);
    feed->verb = NULL;
    feed->outcome = outcome;
    feed->has_outcome = true;
    pthread_mutex_unlock(&feed->lock);
    signal_ready(feed);
}

static void deliver(struct feed *feed, struct news *news)
{
    if (!news->list) { /* all or nothing */
        drop(news);
        news->status = news->explained = news->events = news->past.course = NULL;
    }
    pthread_mutex_lock(&feed->lock);
    /* It comes seldom: one that was not taken yet is still good. */
    if (feed->has_news && !*news->past.uuid) {
        news->past = feed->news.past;
        feed->news.past.course = NULL;
    }
    if (feed->has_news)
        drop(&feed->news);
    feed->news = *news;
    feed->has_news = true;
    pthread_mutex_unlock(&feed->lock);
    signal_ready(feed);
}

/* Until the next round is due or something is wanted. Returns false to stop. */
static bool wait_for_work(struct feed *feed, const struct timespec *due, struct watched *watched,
                          const char **verb, json_t **args)
{
    bool go_on;

    pthread_mutex_lock(&feed->lock);
    while (!feed->stop && !feed->hurry && !feed->args)
        if (pthread_cond_timedwait(&feed->wake, &feed->lock, due) != 0)
            break;
    feed->hurry = false;
    *watched = feed->watched;
    *verb = feed->verb;
    *args = feed->args;
    feed->args = NULL;
    go_on = !feed->stop;
    pthread_mutex_unlock(&feed->lock);
    return go_on;
}

static struct timespec after(uint64_t ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* When what was asked last. */
struct past_clock {
    struct watched watched;
    uint64_t due_ms;
};

static bool past_is_due(struct past_clock *past, const struct watched *watched)
{
    uint64_t step_ms = step_of(watched), now_ms = (uint64_t)after(0).tv_sec * 1000;
    bool same = strcmp(past->watched.uuid, watched->uuid) == 0 &&
                past->watched.span == watched->span && past->watched.steps == watched->steps;

    if (!*watched->uuid || !top_span_ms(watched->span) || !watched->steps ||
        (same && now_ms < past->due_ms))
        return false;
    past->watched = *watched;
    past->due_ms = now_ms + (step_ms < PAST_LEAST_MS  ? PAST_LEAST_MS
                             : step_ms > PAST_MOST_MS ? PAST_MOST_MS
                                                      : step_ms);
    return true;
}

static void *run(void *opaque)
{
    struct feed *feed = opaque;
    struct mc_client *client = NULL;
    struct timespec due = after(0);
    struct watched watched = {0};
    struct past_clock past = {0};
    const char *verb;
    json_t *args;

    while (wait_for_work(feed, &due, &watched, &verb, &args)) {
        struct news news = {0};
        bool open = client || mc_client_open(feed->socket, &client, &news.error) == 0;

        if (open && args)
            ask_command(feed, &client, verb, args);
        if (open && !client) /* the command's question ended it */
            open = mc_client_open(feed->socket, &client, &news.error) == 0;
        if (!open && args) {
            struct outcome outcome = {.error = news.error};

            json_decref(args);
            pthread_mutex_lock(&feed->lock);
            feed->verb = NULL;
            feed->outcome = outcome;
            feed->has_outcome = true;
            pthread_mutex_unlock(&feed->lock);
        }
        if (open)
            ask_news(&client, watched.uuid, &news);
        if (client && news.list && past_is_due(&past, &watched))
            ask_past(&client, &watched, &news.past);
        deliver(feed, &news);
        due = after(feed->interval_ms);
    }
    mc_client_close(client);
    return NULL;
}

/* ---- outside ---- */

static int start_thread(struct feed *feed)
{
    sigset_t all, before;
    int rc;

    /* Signals are for the thread that has the terminal. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    rc = pthread_create(&feed->thread, NULL, run, feed);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

struct feed *feed_start(const char *socket, uint64_t interval_ms)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    pthread_condattr_t monotonic;

    if (!feed)
        return NULL;
    feed->socket = socket;
    feed->interval_ms = interval_ms;
    feed->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&feed->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&feed->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (feed->ready >= 0 && start_thread(feed) == 0)
        return feed;
    if (feed->ready >= 0)
        close(feed->ready);
    free(feed);
    return NULL;
}

void feed_stop(struct feed *feed)
{
    struct timespec until;

    pthread_mutex_lock(&feed->lock);
    feed->stop = true;
    pthread_cond_signal(&feed->wake);
    pthread_mutex_unlock(&feed->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += STOP_WITHIN_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (pthread_timedjoin_np(feed->thread, NULL, &until) != 0)
        return;
    if (feed->has_news)
        drop(&feed->news);
    json_decref(feed->args);
    pthread_cond_destroy(&feed->wake);
    pthread_mutex_destroy(&feed->lock);
    close(feed->ready);
    free(feed);
}

int feed_descriptor(const struct feed *feed)
{
    return feed->ready;
}

bool feed_take(struct feed *feed, struct news *news)
{
    uint64_t count;
    bool taken;

    if (read(feed->ready, &count, sizeof(count)) < 0)
        count = 0; /* not ready: there may be something all the same */
    pthread_mutex_lock(&feed->lock);
    taken = feed->has_news;
    *news = feed->news;
    feed->has_news = false;
    feed->news = (struct news){0};
    pthread_mutex_unlock(&feed->lock);
    return taken;
}

bool feed_take_outcome(struct feed *feed, struct outcome *outcome)
{
    bool taken;

    pthread_mutex_lock(&feed->lock);
    taken = feed->has_outcome;
    *outcome = feed->outcome;
    feed->has_outcome = false;
    pthread_mutex_unlock(&feed->lock);
    return taken;
}

void feed_watch(struct feed *feed, const char *uuid, enum top_span span, unsigned steps)
{
    struct watched *watched = &feed->watched;
    bool other;

    pthread_mutex_lock(&feed->lock);
    other = strcmp(watched->uuid, uuid) != 0 || watched->span != span;
    watched->span = span;
    watched->steps = steps;
    if (other) {
        snprintf(watched->uuid, sizeof(watched->uuid), "%s", uuid);
        feed->hurry = *uuid != '\0';
        pthread_cond_signal(&feed->wake);
    }
    pthread_mutex_unlock(&feed->lock);
}

bool feed_ask(struct feed *feed, const char *verb, json_t *args)
{
    bool taken;

    pthread_mutex_lock(&feed->lock);
    taken = !feed->verb;
    if (taken) {
        feed->verb = verb;
        feed->args = args;
        pthread_cond_signal(&feed->wake);
    }
    pthread_mutex_unlock(&feed->lock);
    if (!taken)
        json_decref(args);
    return taken;
}
