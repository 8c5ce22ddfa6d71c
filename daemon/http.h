/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What memctld says over HTTP: metrics for Prometheus, and a page for people. Only questions are
 * answered: a route gets the daemon as a constant, so nothing that comes this way changes it.
 */
#ifndef MEMCTLD_HTTP_H
#define MEMCTLD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/buffer.h>

struct daemon;

/* A request and its answer. Ends itself some time after exchange_reply() or exchange_fail(). */
struct exchange;

struct route {
    const char *path;
    /* Replies or fails, once, now or later. */
    void (*answer)(struct exchange *exchange, const struct daemon *daemon);
};

/* The first field of this name, or NULL. */
const char *exchange_field(const struct exchange *exchange, const char *name);

/* Does the query of the request have this parameter? Then its value, cut to size. */
bool exchange_parameter(const struct exchange *exchange, const char *name, char *value,
                        size_t size);

/* A further field of the answer; a second one of the same name takes the place of the first. */
void exchange_set(struct exchange *exchange, const char *field, const char *value);

/* Has the client what it asks for? Sets the ETag; after true the request has been answered. */
bool exchange_is_known(struct exchange *exchange, const char *etag);

/* The body's contents are taken. Too little memory is an answer as well. */
void exchange_reply(struct exchange *exchange, const char *type, struct evbuffer *body);

/*
 * The same for a text that stays what it is under this tag. It is kept until there is another one,
 * so that many who ask at the same time cost no more than one; exchange_is_stored() answers with
 * it if it is still there. text is taken over and freed.
 */
bool exchange_is_stored(struct exchange *exchange, const char *etag);
void exchange_store(struct exchange *exchange, const char *type, const char *etag, char *text);

/* A sentence for whoever asked. */
void exchange_fail(struct exchange *exchange, int code, const char *sentence);

/* How many answers there were with each code. */
struct http_count {
    int code;
    const char *reason;
    uint64_t count;
};

/* The list ends with code 0. */
const struct http_count *http_counts(const struct daemon *daemon);

/* metrics.c, page.c */
void answer_metrics(struct exchange *exchange, const struct daemon *daemon);
void answer_page(struct exchange *exchange, const struct daemon *daemon);
void answer_state(struct exchange *exchange, const struct daemon *daemon);
void answer_guest(struct exchange *exchange, const struct daemon *daemon);

/* page_past.c */
void answer_trend(struct exchange *exchange, const struct daemon *daemon);
void answer_decisions(struct exchange *exchange, const struct daemon *daemon);

#endif
