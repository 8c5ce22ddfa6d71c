/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket: lines of JSON in and out. Everything about a client is bounded: how many
 * there are, how long a line is, how long one may be silent, how much it may leave unread, how much
 * time its answers take (allowance.h). What a line asks for is request.c's.
 */
#include "control.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include <memctl/wire.h>

#include "allowance.h"
#include "control_bind.h"
#include "control_client.h"
#include "listener.h"

#define CLIENTS_MAX 64

/* Of them, those of one user that is not root: nobody shuts the others out. */
#define CLIENTS_OF_USER_MAX 32

#define SILENCE_S 60
#define UNREAD_MAX (1024 * 1024)

void client_drop(struct client *client)
{
    struct client **link = &client->control->clients;

    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    client->control->count--;
    if (client->pending)
        client->pending->client = NULL;
    if (client->rested)
        event_free(client->rested);
    bufferevent_free(client->stream);
    free(client);
}

/* Without memory, or for a text that is no UTF-8, there is still this. */
#define LAST_RESORT                                                                                \
    "{\"memctl\":1,\"ok\":false,\"error\":{\"code\":\"failed\",\"message\":\"no answer could be "  \
    "made\"}}"

void client_send(struct client *client, const char *line)
{
    if (!line)
        line = LAST_RESORT;
    bufferevent_write(client->stream, line, strlen(line));
    bufferevent_write(client->stream, "\n", 1);
}

const struct control_counts *control_counts(const struct control *control)
{
    return &control->counts;
}

static void process_input(struct client *client);

static void on_rested(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd;
    (void)what;
    process_input(opaque);
}

/* Does the client's user have to wait? Then its next request is looked at later. */
static bool has_to_rest(struct client *client)
{
    struct control *control = client->control;
    uint64_t wait = allowance_wait_ms(&control->allowance, client->peer.uid, clock_now_ms());
    const struct timeval interval = {.tv_sec = (time_t)(wait / 1000),
                                     .tv_usec = (suseconds_t)(wait % 1000 * 1000)};

    if (!wait)
        return false;
    if (!client->rested)
        client->rested = evtimer_new(control->daemon->base, on_rested, client);
    if (!client->rested)
        return false;
    control->counts.delays += !evtimer_pending(client->rested, NULL);
    evtimer_add(client->rested, &interval);
    return true;
}

/* The client may be gone afterwards. */
static void handle_and_charge(struct client *client, const char *line)
{
    struct control *control = client->control;
    uint64_t began = clock_processor_us(), user = client->peer.uid;

    request_begin(client, line);
    allowance_charge(&control->allowance, user, clock_processor_us() - began, clock_now_ms());
}

static void process_input(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->stream);
    char *line;

    /* A client that does not read its answers is not served until it does. */
    if (client->pending || evbuffer_get_length(bufferevent_get_output(client->stream)) > UNREAD_MAX)
        return;
    if (evbuffer_get_length(input) && has_to_rest(client))
        return;
    line = evbuffer_readln(input, NULL, EVBUFFER_EOL_LF);
    if (line) {
        handle_and_charge(client, line);
        free(line);
    } else if (evbuffer_get_length(input) >= MC_WIRE_REQUEST_MAX ||
               (client->ended && !evbuffer_get_length(bufferevent_get_output(client->stream)))) {
        client_drop(client);
    }
}

static void on_readable(struct bufferevent *stream, void *opaque)
{
    (void)stream;
    process_input(opaque);
}

static void on_end(struct bufferevent *stream, short what, void *opaque)
{
    struct client *client = opaque;

    (void)stream;
    /* Silence while an answer is being made, or has to wait, is ours, not the client's. */
    if ((what & BEV_EVENT_TIMEOUT) && (what & BEV_EVENT_READING) &&
        (client->pending || (client->rested && evtimer_pending(client->rested, NULL)))) {
        bufferevent_enable(client->stream, EV_READ);
        return;
    }
    if (what & BEV_EVENT_EOF) {
        client->ended = true;
        process_input(client);
        return;
    }
    client_drop(client);
}

static unsigned clients_of(const struct control *control, uid_t user)
{
    unsigned count = 0;

    for (const struct client *client = control->clients; client; client = client->next)
        count += client->peer.uid == user;
    return count;
}

static bool has_room_for(const struct control *control, const struct ucred *peer)
{
    return control->count < CLIENTS_MAX &&
           (peer_is_own(peer) || clients_of(control, peer->uid) < CLIENTS_OF_USER_MAX);
}

static void on_connect(int fd, void *opaque)
{
    const struct timeval silence = {.tv_sec = SILENCE_S};
    struct control *control = opaque;
    struct client *client = NULL;
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && has_room_for(control, &peer))
        client = calloc(1, sizeof(*client));
    if (client)
        client->stream = bufferevent_socket_new(control->daemon->base, fd,
                                                BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!client || !client->stream) {
        close(fd);
        free(client);
        return;
    }
    client->control = control;
    client->peer = peer;
    client->next = control->clients;
    control->clients = client;
    control->count++;
    bufferevent_setcb(client->stream, on_readable, on_readable, on_end, client);
    bufferevent_setwatermark(client->stream, EV_READ, 0, MC_WIRE_REQUEST_MAX);
    bufferevent_set_timeouts(client->stream, &silence, &silence);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

struct control *control_start(struct daemon *daemon, struct mc_error *err)
{
    struct control *control = calloc(1, sizeof(*control));
    struct group *group = getgrnam(daemon->config.socket_group);
    int fd;

    if (!control) {
        mc_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    control->daemon = daemon;
    control->group = group ? group->gr_gid : NO_GROUP;
    strcpy(control->path, daemon->config.socket);
    fd = control_bind(control->path, control->group, err);
    if (fd < 0) {
        free(control);
        return NULL;
    }
    control->listener = listener_new(daemon->base, fd, on_connect, control);
    if (!control->listener) {
        mc_error_set(err, -ENOMEM, "cannot listen at %s", control->path);
        close(fd);
        free(control);
        return NULL;
    }
    return control;
}

/* The last answers, as far as the sockets take them at once. */
static void send_last(const struct control *control)
{
    for (const struct client *client = control->clients; client; client = client->next) {
        struct evbuffer *output = bufferevent_get_output(client->stream);

        evbuffer_unfreeze(output, 1); /* which else only the stream itself may empty */
        evbuffer_write(output, bufferevent_getfd(client->stream));
    }
}

void control_stop(struct control *control)
{
    if (!control)
        return;
    send_last(control);
    while (control->clients)
        client_drop(control->clients); /* NOLINT(clang-analyzer-unix.Malloc): it is off the list */
    listener_free(control->listener);
    unlink(control->path);
    free(control);
}
