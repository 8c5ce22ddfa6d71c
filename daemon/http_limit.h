/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many connections an evhttp may have: see http_limit.c. */
#ifndef MEMCTLD_HTTP_LIMIT_H
#define MEMCTLD_HTTP_LIMIT_H

#include <event2/http.h>

struct http_limit;

/*
 * The newest connection always gets in, and the oldest one makes room for it: whoever holds many
 * open cannot keep others out. `socket` is the only one that http listens at, and both must last
 * until http_limit_free(). NULL when out of memory.
 */
struct http_limit *http_limit_new(struct event_base *base, struct evhttp *http,
                                  struct evhttp_bound_socket *socket);
void http_limit_free(struct http_limit *limit);

/* Listen again, if the process had run out of descriptors. */
void http_limit_revive(struct http_limit *limit);

#endif
