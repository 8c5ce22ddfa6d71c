/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a client asks for: which verb, whether he may, and the one answer. Who changes something is
 * named in the log, audit.c.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <memctl/wire.h>

#include "audit.h"
#include "control_client.h"

static void send_message(struct client *client, json_t *message)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

    json_decref(message);
    client_send(client, text);
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
    client_send(client, line);
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

bool peer_is_own(const struct ucred *peer)
{
    return peer->uid == 0 || peer->uid == geteuid();
}

bool request_is_own(const struct request *request)
{
    return peer_is_own(&request->peer);
}

static bool may_change(const struct client *client)
{
    const struct control *control = client->control;

    return peer_is_own(&client->peer) ||
           (control->group != NO_GROUP &&
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

void request_begin(struct client *client, const char *line)
{
    struct mc_error err;
    json_error_t error;
    json_t *message = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    json_t *args = NULL;
    struct request *request = calloc(1, sizeof(*request));

    if (!request) {
        json_decref(message);
        client_drop(client);
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
