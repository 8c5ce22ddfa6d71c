/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener.h"

#include <stdlib.h>

#include <event2/listener.h>

#define BACKLOG 16
#define REST_S 2

struct listener {
    struct evconnlistener *socket;
    struct event *rested;
    listener_connect *on_connect;
    void *opaque;
};

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *opaque)
{
    const struct listener *listener = opaque;

    (void)socket;
    (void)address;
    (void)length;
    listener->on_connect(fd, listener->opaque);
}

/* The clients that wait would be reported again and again, and keep the loop busy. */
static void on_error(struct evconnlistener *socket, void *opaque)
{
    const struct timeval rest = {.tv_sec = REST_S};
    const struct listener *listener = opaque;

    evconnlistener_disable(socket);
    evtimer_add(listener->rested, &rest);
}

static void on_rested(evutil_socket_t fd, short what, void *opaque)
{
    const struct listener *listener = opaque;

    (void)fd;
    (void)what;
    evconnlistener_enable(listener->socket);
}

struct listener *listener_new(struct event_base *base, int fd, listener_connect *on_connect,
                              void *opaque)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    if (!listener)
        return NULL;
    listener->on_connect = on_connect;
    listener->opaque = opaque;
    listener->rested = evtimer_new(base, on_rested, listener);
    if (listener->rested)
        listener->socket = evconnlistener_new(
            base, on_accept, listener, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
    if (!listener->socket) {
        listener_free(listener);
        return NULL;
    }
    evconnlistener_set_error_cb(listener->socket, on_error);
    return listener;
}

void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    if (listener->socket)
        evconnlistener_free(listener->socket);
    if (listener->rested)
        event_free(listener->rested);
    free(listener);
}
