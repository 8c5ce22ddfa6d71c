/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket: lines of JSON in and out. Everything about a client is bounded: how many
 * there are, how long a line is, how long one may be silent, how much it may leave unread, how much
 * time its answers take (allowance.h). Who changes something is named in the log, audit.c.
 */
#include "control.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include <memctl/wire.h>

#include "allowance.h"
#include "audit.h"
#include "listener.h"
#include "log.h"

#define CLIENTS_MAX 64

/* Of them, those of one user that is not root: nobody shuts the others out. */
#define CLIENTS_OF_USER_MAX 32

#define SILENCE_S 60
#define UNREAD_MAX (1024 * 1024)

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

static void drop_client(struct client *client)
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

static void send_line(struct client *client, const char *line)
{
    if (!line)
        line = LAST_RESORT;
    bufferevent_write(client->stream, line, strlen(line));
    bufferevent_write(client->stream, "\n", 1);
}

static void send_message(struct client *client, json_t *message)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

    json_decref(message);
    send_line(client, text);
    free(text);
}

/* Detach the request from its client; NULL if that is gone. */
static struct client *finish(struct request *request)
{
    struct client *client = request->client;

    if (client)
        client->pending = NULL;
    free(request->args);
    free(request);
    return client;
}

static void answer(struct request *request, json_t *message)
{
    struct client *client = finish(request);

    if (!client) {
        json_decref(message);
        return;
    }
    send_message(client, message);
    bufferevent_trigger(client->stream, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

/* Every request ends here, so no change goes without its line in the log. */
static void note(const struct request *request, const struct mc_error *err)
{
    struct control_counts *counts = &request->control->counts;

    counts->done += !err;
    counts->denied += err && err->code == -EACCES;
    counts->failed += err && err->code != -EACCES;
    if (request->verb && request->verb->changes)
        audit_change(&request->peer, request->verb->name, request->args, err);
}

void request_reply(struct request *request, json_t *result)
{
    note(request, NULL);
    answer(request, mc_wire_reply(result ? result : json_null()));
}

void request_reply_line(struct request *request, const char *line)
{
    struct client *client = finish(request);

    if (!client)
        return;
    send_line(client, line);
    bufferevent_trigger(client->stream, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

void request_fail(struct request *request, const struct mc_error *err)
{
    note(request, err);
    answer(request, mc_wire_failure(err));
}

void request_dismiss(struct request *request, const struct mc_error *err)
{
    if (request->client)
        request->client->ended = true;
    request_fail(request, err);
}

/* Who will say no more may still wait for an answer; who has closed the socket does not. */
bool request_is_alive(const struct request *request)
{
    struct pollfd peer;

    if (!request->client || !request->client->ended)
        return request->client;
    peer = (struct pollfd){.fd = bufferevent_getfd(request->client->stream)};
    return poll(&peer, 1, 0) <= 0 || !(peer.revents & POLLHUP);
}

unsigned request_uid(const struct request *request)
{
    return (unsigned)request->peer.uid;
}

const struct control_counts *control_counts(const struct control *control)
{
    return &control->counts;
}

/*
 * Does the peer belong to the group? The kernel knows; asking the user database could block for as
 * long as a directory server pleases.
 */
static bool in_group(evutil_socket_t fd, const struct ucred *peer, gid_t wanted)
{
    gid_t groups[256];
    socklen_t size = sizeof(groups);

    if (peer->gid == wanted)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return false;
    for (size_t i = 0; i < size / sizeof(*groups); i++)
        if (groups[i] == wanted)
            return true;
    return false;
}

static bool is_own(const struct ucred *peer)
{
    return peer->uid == 0 || peer->uid == geteuid();
}

bool request_is_own(const struct request *request)
{
    return is_own(&request->peer);
}

static bool may_change(const struct client *client)
{
    const struct control *control = client->control;

    return is_own(&client->peer) ||
           (control->group != (gid_t)-1 &&
            in_group(bufferevent_getfd(client->stream), &client->peer, control->group));
}

/* Which verb it is, and whether the client may; the verb is NULL, or has its arguments. */
static int judge(struct request *request, const json_t *message, json_t **args,
                 struct mc_error *err)
{
    const struct client *client = request->client;
    const char *name;
    int rc = mc_wire_read_request(message, &name, args, err);

    if (rc < 0)
        return rc;
    request->verb = verb_find(name);
    if (!request->verb)
        return mc_error_set(err, -EINVAL, "memctld does not know '%.64s'; is it older than memctl?",
                            name);
    if (!request->verb->changes)
        return 0;
    request->args = json_dumps(*args, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (!may_change(client))
        return mc_error_set(err, -EACCES, "'%s' changes something; be root or in the group %s",
                            name, client->control->daemon->config.socket_group);
    return 0;
}

static void handle(struct client *client, const char *line)
{
    struct mc_error err;
    json_error_t error;
    json_t *message = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    json_t *args = NULL;
    struct request *request = calloc(1, sizeof(*request));

    if (!request) {
        json_decref(message);
        drop_client(client);
        return;
    }
    *request = (struct request){.client = client, .control = client->control, .peer = client->peer};
    client->pending = request;
    if (!message) {
        mc_error_set(&err, -EPROTO, "the request is not JSON: %s", error.text);
        request_fail(request, &err);
    } else if (judge(request, message, &args, &err) < 0) {
        request_fail(request, &err);
    } else {
        request->verb->handle(request, client->control->daemon, args);
    }
    json_decref(message);
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

    handle(client, line);
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
        drop_client(client);
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
    drop_client(client);
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
           (is_own(peer) || clients_of(control, peer->uid) < CLIENTS_OF_USER_MAX);
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

/* A socket file that nobody answers on is left over from a crash; one that answers is in use. */
static int clear_path(const struct sockaddr_un *address, struct mc_error *err)
{
    struct stat status;
    int fd, connected;

    if (lstat(address->sun_path, &status) < 0)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return mc_error_set(err, -EEXIST, "%s is in the way and is no socket", address->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return mc_error_set(err, -errno, "no socket: %s", strerror(errno));
    connected = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    close(fd);
    if (connected == 0)
        return mc_error_set(err, -EADDRINUSE,
                            "another memctld answers at %s; stop it, or choose another 'socket'",
                            address->sun_path);
    unlink(address->sun_path);
    return 0;
}

static int bind_socket(const struct control *control, struct mc_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t old;
    int fd, rc;

    strcpy(address.sun_path, control->path);
    rc = clear_path(&address, err);
    if (rc < 0)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return mc_error_set(err, -errno, "no socket: %s", strerror(errno));
    old = umask(0117);
    rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(old);
    if (rc < 0) {
        rc = mc_error_set(err, -errno, "cannot listen at %s: %s%s", control->path, strerror(errno),
                          errno == ENOENT ? "; make its directory first" : "");
        close(fd);
        return rc;
    }
    /* The unit lets it run with the group from the start, and without the right to change it. */
    if (control->group != (gid_t)-1 && control->group != getegid() &&
        chown(control->path, (uid_t)-1, control->group) < 0)
        log_warning("%s stays with its group: %s", control->path, strerror(errno));
    return fd;
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
    control->group = group ? group->gr_gid : (gid_t)-1;
    strcpy(control->path, daemon->config.socket);
    fd = bind_socket(control, err);
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
        drop_client(control->clients); /* NOLINT(clang-analyzer-unix.Malloc): it is off the list */
    listener_free(control->listener);
    unlink(control->path);
    free(control);
}
