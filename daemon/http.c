/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client may send HEAD_MAX bytes, be silent for SILENCE_S, and there are CLIENTS_MAX at most. One
 * more takes the place of the one that is there for longest: refused instead, whoever holds that
 * many connections open would keep the scrapes out. A page is only made while what clients have
 * not fetched yet is less than UNREAD_MAX.
 *
 * libevent's own server can do none of this but the silence.
 */
#include "http.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/bufferevent.h>

#include "listener.h"

#define CLIENTS_MAX 64
#define SILENCE_S 10
#define HEAD_MAX 8192
#define UNREAD_MAX (32 * 1024 * 1024)

enum status { OK, BAD_REQUEST, NOT_FOUND, NOT_ALLOWED, HEAD_TOO_LARGE, UNAVAILABLE };

static const char *const status_lines[] = {
    [OK] = "200 OK",
    [BAD_REQUEST] = "400 Bad Request",
    [NOT_FOUND] = "404 Not Found",
    [NOT_ALLOWED] = "405 Method Not Allowed\r\nAllow: GET, HEAD",
    [HEAD_TOO_LARGE] = "431 Request Header Fields Too Large",
    [UNAVAILABLE] = "503 Service Unavailable",
};

struct client {
    struct http *http;
    struct bufferevent *stream;
    size_t head;        /* bytes of the request so far */
    enum status status; /* by its first line */
    bool only_head, answered;
    struct client *next; /* one that came later */
};

struct http {
    struct event_base *base;
    struct http_page page;
    struct listener *listener;
    struct client *clients; /* the oldest first */
    unsigned count;
};

static void drop_client(struct client *client)
{
    struct client **link = &client->http->clients;

    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    client->http->count--;
    bufferevent_free(client->stream);
    free(client);
}

static size_t unread(const struct http *http)
{
    size_t sum = 0;

    for (const struct client *client = http->clients; client; client = client->next)
        sum += evbuffer_get_length(bufferevent_get_output(client->stream));
    return sum;
}

static void answer(struct client *client, enum status status)
{
    const struct http_page *page = &client->http->page;
    struct evbuffer *out = bufferevent_get_output(client->stream);
    struct evbuffer *body =
        status == OK && unread(client->http) < UNREAD_MAX ? evbuffer_new() : NULL;

    if (body)
        page->write(body, page->opaque);
    else if (status == OK)
        status = UNAVAILABLE;
    client->answered = true;
    bufferevent_disable(client->stream, EV_READ);
    evbuffer_add_printf(out, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
                        status_lines[status], body ? evbuffer_get_length(body) : 0);
    if (body)
        evbuffer_add_printf(out, "Content-Type: %s\r\n", page->type);
    evbuffer_add(out, "\r\n", 2);
    if (body && !client->only_head)
        evbuffer_add_buffer(out, body);
    if (body)
        evbuffer_free(body);
}

/* "GET /metrics?x HTTP/1.1" */
static enum status read_request_line(struct client *client, char *line)
{
    char *rest = line;
    const char *method = strsep(&rest, " ");
    char *target = strsep(&rest, " ");

    if (!rest || strncmp(rest, "HTTP/1.", 7) != 0)
        return BAD_REQUEST;
    client->only_head = strcmp(method, "HEAD") == 0;
    if (!client->only_head && strcmp(method, "GET") != 0)
        return NOT_ALLOWED;
    target[strcspn(target, "?")] = '\0';
    return strcmp(target, client->http->page.path) == 0 ? OK : NOT_FOUND;
}

/* Nothing in the fields behind the first line changes the answer; it comes after the empty line. */
static void on_readable(struct bufferevent *stream, void *opaque)
{
    struct evbuffer *input = bufferevent_get_input(stream);
    struct client *client = opaque;
    size_t length;
    char *line;

    while (!client->answered &&
           (line = evbuffer_readln(input, &length, EVBUFFER_EOL_CRLF)) != NULL) {
        if (client->head == 0)
            client->status = read_request_line(client, line);
        else if (length == 0)
            answer(client, client->status);
        client->head += length + 1;
        free(line);
    }
    if (!client->answered && client->head + evbuffer_get_length(input) >= HEAD_MAX)
        answer(client, HEAD_TOO_LARGE);
}

/* Also called when there was nothing to write yet. */
static void on_written(struct bufferevent *stream, void *opaque)
{
    struct client *client = opaque;

    if (client->answered && !evbuffer_get_length(bufferevent_get_output(stream)))
        drop_client(client);
}

static void on_end(struct bufferevent *stream, short what, void *opaque)
{
    (void)stream;
    (void)what;
    drop_client(opaque);
}

static void on_connect(int fd, void *opaque)
{
    const struct timeval silence = {.tv_sec = SILENCE_S};
    struct http *http = opaque;
    struct client *client = calloc(1, sizeof(*client));
    struct client **end = &http->clients;

    if (client)
        client->stream =
            bufferevent_socket_new(http->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!client || !client->stream) {
        close(fd);
        free(client);
        return;
    }
    if (http->count == CLIENTS_MAX)
        drop_client(http->clients);
    while (*end)
        end = &(*end)->next;
    *end = client;
    client->http = http;
    http->count++;
    bufferevent_setcb(client->stream, on_readable, on_written, on_end, client);
    bufferevent_setwatermark(client->stream, EV_READ, 0, HEAD_MAX);
    bufferevent_set_timeouts(client->stream, &silence, &silence);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

/* ---- listening ---- */

/* Take "[::1]:9633" apart, in place. */
static const char *split(char *where, const char **port)
{
    char *colon = strrchr(where, ':');

    *colon = '\0';
    *port = colon + 1;
    if (*where != '[')
        return where;
    where++;
    where[strcspn(where, "]")] = '\0';
    return where;
}

static int bind_to(const struct addrinfo *address)
{
    const int yes = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

/* A bound socket, or an error with its sentence. */
static int open_port(const char *where, struct mc_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *address = NULL;
    const char *host, *port, *reason;
    char *copy = strdup(where);
    int fd, rc;

    if (!copy)
        return mc_error_set(err, -ENOMEM, "out of memory");
    host = split(copy, &port);
    rc = getaddrinfo(host, port, &hints, &address);
    fd = rc ? -EADDRNOTAVAIL : bind_to(address);
    reason = rc ? gai_strerror(rc) : strerror(-fd);
    if (fd < 0)
        mc_error_set(err, fd, "cannot serve metrics at %s: %s; choose another 'metrics' or off",
                     where, reason);
    if (address)
        freeaddrinfo(address);
    free(copy);
    return fd;
}

int http_start(struct event_base *base, const char *where, const struct http_page *page,
               struct http **started, struct mc_error *err)
{
    struct http *http;
    int fd = open_port(where, err);

    if (fd < 0)
        return fd;
    http = calloc(1, sizeof(*http));
    if (http)
        http->listener = listener_new(base, fd, on_connect, http);
    if (!http || !http->listener) {
        close(fd);
        free(http);
        return mc_error_set(err, -ENOMEM, "cannot listen at %s", where);
    }
    http->base = base;
    http->page = *page;
    *started = http;
    return 0;
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    while (http->clients)
        drop_client(http->clients); /* NOLINT(clang-analyzer-unix.Malloc): it is off the list */
    listener_free(http->listener);
    free(http);
}
