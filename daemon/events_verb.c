/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verb events, and those who wait for the next one. A follower asks, and is answered when there
 * is something to tell, or after a while without: then it asks again. Of a follower that is slow,
 * or gone, there is never more here than its question.
 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lookup.h"

/* So many may wait; the other half of the clients stays for those who want something else. */
#define FOLLOWERS_MAX 32

#define WAIT_S 20

struct follower {
    struct daemon *daemon;
    struct request *request;
    struct events_question question;
    struct event *deadline;
    struct follower *next;
};

/* Take the follower off the list; its request has to be answered by the caller. */
static struct request *release(struct follower *follower)
{
    struct follower **link = &follower->daemon->followers;
    struct request *request = follower->request;

    while (*link != follower)
        link = &(*link)->next;
    *link = follower->next;
    event_free(follower->deadline);
    free(follower);
    return request;
}

static void on_deadline(evutil_socket_t fd, short what, void *opaque)
{
    struct follower *follower = opaque;
    json_t *page = events_page(follower->daemon->events, &follower->question);

    (void)fd;
    (void)what;
    request_reply(release(follower), page);
}

static bool is_news(const json_t *page)
{
    return json_array_size(json_object_get(page, "events")) ||
           json_integer_value(json_object_get(page, "missed"));
}

void events_tell(void *opaque)
{
    struct daemon *daemon = opaque;
    struct follower *next;

    for (struct follower *follower = daemon->followers; follower; follower = next) {
        json_t *page = events_page(daemon->events, &follower->question);

        next = follower->next;
        if (!page || is_news(page))
            request_reply(release(follower), page);
        else
            json_decref(page);
    }
}

void events_tell_last(struct daemon *daemon)
{
    while (daemon->followers)
        on_deadline(-1, 0, daemon->followers);
}

/* How many wait; those whose clients have gone are let go. */
static unsigned count_followers(struct daemon *daemon)
{
    struct follower *next;
    unsigned count = 0;

    for (struct follower *follower = daemon->followers; follower; follower = next) {
        next = follower->next;
        if (request_is_alive(follower->request))
            count++;
        else
            request_reply(release(follower), NULL);
    }
    return count;
}

static int wait_for_news(struct request *request, struct daemon *daemon,
                         const struct events_question *question)
{
    const struct timeval wait = {.tv_sec = WAIT_S};
    struct follower *follower = calloc(1, sizeof(*follower));

    if (!follower)
        return -ENOMEM;
    *follower = (struct follower){
        .daemon = daemon, .request = request, .question = *question, .next = daemon->followers};
    follower->deadline = evtimer_new(daemon->base, on_deadline, follower);
    if (!follower->deadline || evtimer_add(follower->deadline, &wait) < 0) {
        if (follower->deadline)
            event_free(follower->deadline);
        free(follower);
        return -ENOMEM;
    }
    daemon->followers = follower;
    return 0;
}

static int read_number(const json_t *args, const char *key, int64_t otherwise, int64_t *value,
                       struct mc_error *err)
{
    const json_t *number = json_object_get(args, key);

    *value = number ? json_integer_value(number) : otherwise;
    if (number && (!json_is_integer(number) || *value < 0))
        return mc_error_set(err, -EINVAL, "%s: is not a whole number from 0 on", key);
    return 0;
}

static int read_question(const struct daemon *daemon, const json_t *args,
                         struct events_question *question, struct mc_error *err)
{
    const json_t *guest = json_object_get(args, "guest");
    int64_t after, since, tail;

    *question = (struct events_question){0};
    if (read_number(args, "after", 0, &after, err) < 0 ||
        read_number(args, "since_ms", 0, &since, err) < 0 ||
        read_number(args, "tail", -1, &tail, err) < 0)
        return -EINVAL;
    if (guest && (!json_is_string(guest) || !*json_string_value(guest) ||
                  json_string_length(guest) >= sizeof(question->guest)))
        return mc_error_set(err, -EINVAL, "guest: is not the name or UUID of a guest");
    if (guest)
        snprintf(question->guest, sizeof(question->guest), "%s", json_string_value(guest));
    question->after = (uint64_t)after;
    question->since_ms = since;
    if (tail >= 0)
        events_tail(daemon->events, question, (uint64_t)tail);
    return 0;
}

static void answer(struct request *request, struct daemon *daemon, const json_t *args)
{
    struct events_question question;
    struct mc_error err;
    json_t *page;

    if (read_question(daemon, args, &question, &err) < 0) {
        request_fail(request, &err);
        return;
    }
    page = events_page(daemon->events, &question);
    if (!page || is_news(page) || !json_is_true(json_object_get(args, "wait"))) {
        request_reply(request, page);
        return;
    }
    json_decref(page);
    if (count_followers(daemon) >= FOLLOWERS_MAX) {
        mc_error_set(&err, -EBUSY, "%d clients follow the events already", FOLLOWERS_MAX);
        request_dismiss(request, &err);
    } else if (wait_for_news(request, daemon, &question) < 0) {
        request_reply(request, NULL);
    }
}

static void answer_found(struct request *request, struct daemon *daemon, struct mc_snapshot *found,
                         const json_t *args)
{
    (void)found;
    answer(request, daemon, args);
}

/* A guest that nothing is known of is a typing error, and not one that is quiet. */
void handle_events(struct request *request, struct daemon *daemon, const json_t *args)
{
    const char *guest = json_string_value(json_object_get(args, "guest"));

    if (!guest || !*guest || mc_snapshot_find_named(&daemon->snapshot, guest) ||
        events_know(daemon->events, guest))
        answer(request, daemon, args);
    else
        lookup_start(request, daemon, guest, args, answer_found);
}
