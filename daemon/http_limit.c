/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libevent 2.1's evhttp neither counts its connections nor tells when one ends. It does ask for the
 * bufferevent of each new one. As soon as it has put the descriptor there, the connection is noted
 * by that and the inode of its socket, of which no two that are open have the same. Whether it is
 * still there is found by looking: its descriptor is closed otherwise, or by now somebody else's.
 *
 * One too many, and the oldest is shut down: evhttp reads the end of its stream, and frees it as if
 * the client had gone. One connection is taken in a pass of the loop, so there is room before the
 * next one comes, and a client that connects as fast as the loop turns does not keep it.
 */
#include "http_limit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#define CONNECTIONS_MAX 64

/* evhttp reads on while its answer is on the way, and keeps it all. */
#define UNREAD_MAX 8192

struct connection {
    int fd;
    ino_t inode;
};

struct http_limit {
    struct evconnlistener *listener;
    struct event *arrived;
    struct bufferevent *newest;                     /* until it has its descriptor */
    struct connection connections[CONNECTIONS_MAX]; /* the oldest first */
    size_t count;
};

static bool look_at(int fd, struct connection *connection)
{
    struct stat status;

    if (fstat(fd, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    *connection = (struct connection){.fd = fd, .inode = status.st_ino};
    return true;
}

static bool is_open(const struct connection *connection)
{
    struct connection now;

    return look_at(connection->fd, &now) && now.inode == connection->inode;
}

static void make_room(struct http_limit *limit)
{
    size_t kept = 0;

    for (size_t i = 0; i < limit->count; i++)
        if (is_open(&limit->connections[i]))
            limit->connections[kept++] = limit->connections[i];
    limit->count = kept;
    if (kept < CONNECTIONS_MAX)
        return;
    shutdown(limit->connections[0].fd, SHUT_RDWR);
    limit->count--;
    memmove(limit->connections, limit->connections + 1, limit->count * sizeof(*limit->connections));
}

/* In the same pass as the connection: nothing can have been read from it. */
static void on_arrived(evutil_socket_t fd, short what, void *opaque)
{
    struct http_limit *limit = opaque;
    bufferevent_data_cb on_read;
    struct connection connection;

    (void)fd;
    (void)what;
    bufferevent_getcb(limit->newest, &on_read, NULL, NULL, NULL);
    /* Without callbacks, evhttp was out of memory and has closed the descriptor. */
    if (on_read && look_at(bufferevent_getfd(limit->newest), &connection)) {
        make_room(limit);
        limit->connections[limit->count++] = connection;
    }
    bufferevent_decref(limit->newest);
    limit->newest = NULL;
    evconnlistener_enable(limit->listener);
}

/* evhttp closes the descriptor itself. It makes its own stream if it gets NULL. */
static struct bufferevent *make_stream(struct event_base *base, void *opaque)
{
    struct http_limit *limit = opaque;

    limit->newest = bufferevent_socket_new(base, -1, 0);
    if (!limit->newest)
        return NULL;
    bufferevent_setwatermark(limit->newest, EV_READ, 0, UNREAD_MAX);
    bufferevent_incref(limit->newest);
    evconnlistener_disable(limit->listener);
    event_active(limit->arrived, EV_TIMEOUT, 0);
    return limit->newest;
}

/*
 * Clients that wait would be reported again and again, and keep the loop busy. The argument is
 * evhttp's, so nothing of ours can be set up from here: hence http_limit_revive().
 */
static void on_error(struct evconnlistener *listener, void *opaque)
{
    (void)opaque;
    evconnlistener_disable(listener);
}

void http_limit_revive(struct http_limit *limit)
{
    if (!limit->newest)
        evconnlistener_enable(limit->listener);
}

struct http_limit *http_limit_new(struct event_base *base, struct evhttp *http,
                                  struct evhttp_bound_socket *socket)
{
    struct http_limit *limit = calloc(1, sizeof(*limit));

    if (limit)
        limit->arrived = event_new(base, -1, 0, on_arrived, limit);
    if (!limit || !limit->arrived) {
        free(limit);
        return NULL;
    }
    limit->listener = evhttp_bound_socket_get_listener(socket);
    evconnlistener_set_error_cb(limit->listener, on_error);
    evhttp_set_bevcb(http, make_stream, limit);
    return limit;
}

void http_limit_free(struct http_limit *limit)
{
    if (!limit)
        return;
    if (limit->newest)
        bufferevent_decref(limit->newest);
    event_free(limit->arrived);
    free(limit);
}
