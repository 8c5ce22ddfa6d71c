/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What clients (control.c) and their requests (request.c) know of each other; nobody else does. */
#ifndef MEMCTLD_CONTROL_CLIENT_H
#define MEMCTLD_CONTROL_CLIENT_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "allowance.h"
#include "control.h"
#include "listener.h"

#define NO_GROUP ((gid_t)-1)

struct client {
    struct control *control;
    struct bufferevent *stream;
    struct ucred peer;
    struct request *pending; /* at most one: requests of a client are answered in order */
    bool ended;              /* it will say no more, and may wait for answers */
    struct event *rested;    /* for who asked for too much, and has to wait a while */
    struct client *next;
};

struct request {
    struct client *client; /* NULL once it has gone away */
    struct control *control;
    struct ucred peer;
    const struct verb *verb; /* NULL if there is none such */
    char *args;              /* of a change, for the log */
};

struct control {
    struct daemon *daemon;
    struct listener *listener;
    char path[108];
    gid_t group;
    struct client *clients;
    unsigned count;
    struct allowance allowance; /* of the users' */
    struct control_counts counts;
};

/* Send a line; NULL: that no answer could be made. */
void client_send(struct client *client, const char *line);

/* Forget the client and close its socket; its request goes on without it. */
void client_drop(struct client *client);

/* Take a line from the client as its request, and answer it now or later. The client may be gone.
 */
void request_begin(struct client *client, const char *line);

/* Root, or the daemon's own user? */
bool peer_is_own(const struct ucred *peer);

#endif
