/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's answers, fetched by a thread: a daemon that takes its time, hangs or goes away never
 * keeps a key waiting.
 */
#ifndef MEMCTL_TOP_FEED_H
#define MEMCTL_TOP_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <memctl/error.h>
#include <memctl/model.h>

#include "top/state.h"

struct feed;

/* One round of questions. References are the taker's. */
struct news {
    json_t *status, *list; /* NULL: error says why */
    json_t *explained;     /* of the guest that was watched, or NULL */
    json_t *events;        /* the last ones, of that guest only if one is watched; or NULL */
    struct top_past past;  /* of the guest that was watched; of nobody if it was not asked for */
    struct mc_error error;
};

/* What became of a command. */
struct outcome {
    bool done; /* otherwise error says why not */
    struct mc_error error;
};

/* Ask every so many milliseconds; socket as in mc_client_open(). NULL: no thread, or no memory. */
struct feed *feed_start(const char *socket, uint64_t interval_ms);

/* Does not wait for a daemon that hangs: then the thread and its memory are left to the process's
 * end. */
void feed_stop(struct feed *feed);

/* Becomes readable when there is something to take. */
int feed_descriptor(const struct feed *feed);

/* Each returns whether there was one. */
bool feed_take(struct feed *feed, struct news *news);
bool feed_take_outcome(struct feed *feed, struct outcome *outcome);

/*
 * The guest to explain from now on, "" for none; and how far back its history is wanted, in so many
 * steps.
 */
void feed_watch(struct feed *feed, const char *uuid, enum top_span span, unsigned steps);

/* Have this asked once; takes over args. False if one is under way. */
bool feed_ask(struct feed *feed, const char *verb, json_t *args);

#endif
