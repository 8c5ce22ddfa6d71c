/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As much of HTTP/1.1 as serving one page takes: a GET or HEAD, its answer, and the connection is
 * closed. Who can reach the port is a stranger, so everything has bounds: see http.c.
 */
#ifndef MEMCTLD_HTTP_H
#define MEMCTLD_HTTP_H

#include <event2/buffer.h>
#include <event2/event.h>

#include <memctl/error.h>

struct http;

struct http_page {
    const char *path, *type;
    void (*write)(struct evbuffer *body, void *opaque);
    void *opaque;
};

/* where: "127.0.0.1:9633" or "[::1]:9633". -EADDRINUSE and the like with a sentence. */
int http_start(struct event_base *base, const char *where, const struct http_page *page,
               struct http **started, struct mc_error *err);
void http_stop(struct http *http);

#endif
