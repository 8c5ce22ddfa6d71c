/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt's events on libevent's loop. */
#ifndef MEMCTLD_LIBVIRT_LOOP_H
#define MEMCTLD_LIBVIRT_LOOP_H

#include <event2/event.h>

/*
 * Register with libvirt, once per process and before any connection. The base must be usable from
 * several threads (evthread_use_pthreads) and outlive all connections.
 */
int libvirt_loop_register(struct event_base *base);

/* After the last connection and before the base is freed. */
void libvirt_loop_unregister(void);

#endif
