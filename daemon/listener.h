/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A listening socket that rests for a while when the process is out of descriptors. */
#ifndef MEMCTLD_LISTENER_H
#define MEMCTLD_LISTENER_H

#include <event2/event.h>

struct listener;

/* The client's socket belongs to whoever is called. */
typedef void listener_connect(int fd, void *opaque);

/* Listen on fd, a bound socket, which it takes over. NULL, and fd untouched, when out of memory. */
struct listener *listener_new(struct event_base *base, int fd, listener_connect *on_connect,
                              void *opaque);
void listener_free(struct listener *listener);

#endif
