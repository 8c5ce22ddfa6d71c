/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The HTTP server. Whoever can reach the port is a stranger, and so is whoever writes a page that
 * is open in a browser that can. A connection is good for one request and its answer, and ends
 * after SILENCE_S without a byte; http_limit.h bounds how many there are, allowance.h what the
 * answers cost. An answer is only made while what clients have not fetched yet is less than
 * UNREAD_MAX.
 */
#include "http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "allowance.h"
#include "daemon.h"
#include "http_header.h"
#include "http_limit.h"

#define SILENCE_S 10
#define HEAD_MAX 4096
#define UNREAD_MAX ((size_t)32 * 1024 * 1024)

static const struct route routes[] = {
    {"/metrics", answer_metrics}, {"/", answer_page},
    {"/api/state", answer_state}, {"/api/guest", answer_guest},
    {"/api/trend", answer_trend}, {"/api/decisions", answer_decisions},
};

#define ROUTES (sizeof(routes) / sizeof(*routes))

/* Without the page there is only the first one. */
#define ROUTES_OF_METRICS 1

/* Said of every answer: it is what it says, nobody shall frame, embed or keep it. */
static const char *const usual_fields[][2] = {
    {"Cache-Control", "no-store"},
    {"Connection", "close"},
    {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Referrer-Policy", "no-referrer"},
    {"X-Content-Type-Options", "nosniff"},
};

static const struct http_count no_counts[] = {
    {HTTP_OK, "OK", 0},
    {HTTP_NOTMODIFIED, "Not Modified", 0},
    {HTTP_BADREQUEST, "Bad Request", 0},
    {HTTP_NOTFOUND, "Not Found", 0},
    {421, "Misdirected Request", 0},
    {429, "Too Many Requests", 0},
    {HTTP_SERVUNAVAIL, "Service Unavailable", 0},
    {0, NULL, 0},
};

/* An answer that several may get. */
struct stored {
    unsigned users; /* who have not fetched it yet, and the server itself */
    const char *type;
    char etag[64];
    char *text;
};

struct http {
    struct daemon *daemon;
    struct evhttp *server;
    struct http_limit *limit;
    struct allowance allowance;
    struct stored *stored; /* NULL for none */
    char machine[256];     /* our own name */
    size_t unread;         /* bytes of the answers whose connections are still open */
    struct http_count counts[sizeof(no_counts) / sizeof(*no_counts)];
};

struct exchange {
    struct http *http;
    struct evhttp_request *request; /* NULL once the connection is closed */
    bool answered;
    size_t length; /* of the answer */
};

/* ---- an exchange ---- */

static void on_closed(struct evhttp_connection *connection, void *opaque)
{
    struct exchange *exchange = opaque;

    (void)connection;
    exchange->request = NULL;
    exchange->http->unread -= exchange->length;
    if (exchange->answered)
        free(exchange);
}

const char *exchange_field(const struct exchange *exchange, const char *name)
{
    return exchange->request
               ? evhttp_find_header(evhttp_request_get_input_headers(exchange->request), name)
               : NULL;
}

bool exchange_parameter(const struct exchange *exchange, const char *name, char *value, size_t size)
{
    const struct evhttp_uri *uri =
        exchange->request ? evhttp_request_get_evhttp_uri(exchange->request) : NULL;
    const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
    struct evkeyvalq parameters;
    const char *found;

    if (!query || evhttp_parse_query_str(query, &parameters) < 0)
        return false;
    found = evhttp_find_header(&parameters, name);
    if (found) {
        strncpy(value, found, size - 1);
        value[size - 1] = '\0';
    }
    evhttp_clear_headers(&parameters);
    return found;
}

void exchange_set(struct exchange *exchange, const char *field, const char *value)
{
    struct evkeyvalq *fields;

    if (!exchange->request)
        return;
    fields = evhttp_request_get_output_headers(exchange->request);
    evhttp_remove_header(fields, field);
    evhttp_add_header(fields, field, value);
}

/* Takes the body's contents, which may be NULL for none. */
static void send_answer(struct exchange *exchange, int code, struct evbuffer *body)
{
    struct http_count *count = exchange->http->counts;

    exchange->answered = true;
    if (!exchange->request) {
        free(exchange); /* nobody is there any more */
        return;
    }
    while (count->code && count->code != code)
        count++;
    count->count++;
    if (body && evhttp_request_get_command(exchange->request) == EVHTTP_REQ_HEAD)
        evbuffer_drain(body, evbuffer_get_length(body)); /* evhttp would send it */
    evhttp_send_reply(exchange->request, code, count->reason, body);
}

/* The body counts until the connection is closed, whoever else has it as well. */
void exchange_reply(struct exchange *exchange, const char *type, struct evbuffer *body)
{
    if (exchange->request) {
        exchange->length = evbuffer_get_length(body);
        exchange->http->unread += exchange->length;
    }
    exchange_set(exchange, "Content-Type", type);
    send_answer(exchange, HTTP_OK, body);
}

void exchange_fail(struct exchange *exchange, int code, const char *sentence)
{
    struct evbuffer *body = evbuffer_new();

    if (body)
        evbuffer_add_printf(body, "%s\n", sentence);
    exchange_set(exchange, "Content-Type", "text/plain; charset=utf-8");
    send_answer(exchange, code, body);
    if (body)
        evbuffer_free(body);
}

bool exchange_is_known(struct exchange *exchange, const char *etag)
{
    const char *known = exchange_field(exchange, "If-None-Match");

    exchange_set(exchange, "ETag", etag);
    exchange_set(exchange, "Cache-Control", "no-cache");
    if (!known || strcmp(known, etag) != 0)
        return false;
    send_answer(exchange, HTTP_NOTMODIFIED, NULL);
    return true;
}

static void let_go(struct stored *stored)
{
    if (!stored || --stored->users)
        return;
    free(stored->text);
    free(stored);
}

static void on_fetched(const void *text, size_t length, void *opaque)
{
    (void)text;
    (void)length;
    let_go(opaque);
}

static void send_stored(struct exchange *exchange, struct stored *stored)
{
    struct evbuffer *body = evbuffer_new();

    if (!body ||
        evbuffer_add_reference(body, stored->text, strlen(stored->text), on_fetched, stored) < 0) {
        exchange_fail(exchange, HTTP_SERVUNAVAIL, "Service Unavailable: out of memory");
    } else {
        stored->users++;
        exchange_reply(exchange, stored->type, body);
    }
    if (body)
        evbuffer_free(body);
}

bool exchange_is_stored(struct exchange *exchange, const char *etag)
{
    struct stored *stored = exchange->http->stored;

    if (!stored || strcmp(stored->etag, etag) != 0)
        return false;
    send_stored(exchange, stored);
    return true;
}

void exchange_store(struct exchange *exchange, const char *type, const char *etag, char *text)
{
    struct stored *stored = text ? malloc(sizeof(*stored)) : NULL;

    if (!stored) {
        free(text);
        exchange_fail(exchange, HTTP_SERVUNAVAIL, "Service Unavailable: out of memory");
        return;
    }
    *stored = (struct stored){.users = 1, .type = type, .text = text};
    strncpy(stored->etag, etag, sizeof(stored->etag) - 1);
    let_go(exchange->http->stored);
    exchange->http->stored = stored;
    send_stored(exchange, stored);
}

const struct http_count *http_counts(const struct daemon *daemon)
{
    return daemon->http ? daemon->http->counts : no_counts;
}

/* ---- who asks, and for what ---- */

/* An address tells clients apart; of IPv6 the part that names a network, as anyone has many. */
static uint64_t client_of(struct evhttp_request *request)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    struct bufferevent *stream = evhttp_connection_get_bufferevent(connection);
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_storage room;
    } peer = {0};
    socklen_t size = sizeof(peer);
    uint64_t key = 0;

    if (getpeername(bufferevent_getfd(stream), &peer.any, &size) < 0)
        return 0;
    if (peer.any.sa_family == AF_INET6)
        memcpy(&key, &peer.six.sin6_addr, sizeof(key));
    else
        memcpy(&key, &peer.four.sin_addr, sizeof(peer.four.sin_addr));
    return key;
}

static const struct route *find_route(const struct http *http, const char *path)
{
    size_t count = http->daemon->config.page ? ROUTES : ROUTES_OF_METRICS;

    for (size_t i = 0; path && i < count; i++)
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    return NULL;
}

static void answer(struct exchange *exchange, uint64_t client)
{
    struct http *http = exchange->http;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(exchange->request);
    const struct route *route = find_route(http, evhttp_uri_get_path(uri));
    uint64_t began = clock_processor_us();

    if (!http_host_is_ours(evhttp_request_get_host(exchange->request), http->machine,
                           http->daemon->config.metrics_names)) {
        exchange_fail(exchange, 421,
                      "Misdirected Request: this memctld is not known under that name; ask for its "
                      "address, or add the name to 'metrics-names' in memctld.conf");
    } else if (!route) {
        exchange_fail(exchange, HTTP_NOTFOUND,
                      http->daemon->config.page ? "Not Found: there are / and /metrics"
                                                : "Not Found: there is /metrics");
    } else if (http->unread >= UNREAD_MAX) {
        exchange_fail(exchange, HTTP_SERVUNAVAIL,
                      "Service Unavailable: others do not fetch their answers");
    } else if (allowance_wait_ms(&http->allowance, client, clock_now_ms())) {
        exchange_set(exchange, "Retry-After", "1");
        exchange_fail(exchange, 429, "Too Many Requests: ask less often");
    } else {
        route->answer(exchange, http->daemon);
    }
    allowance_charge(&http->allowance, client, clock_processor_us() - began, clock_now_ms());
}

static void on_request(struct evhttp_request *request, void *opaque)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));

    if (!exchange) {
        evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    *exchange = (struct exchange){.http = opaque, .request = request};
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_closed, exchange);
    for (size_t i = 0; i < sizeof(usual_fields) / sizeof(*usual_fields); i++)
        exchange_set(exchange, usual_fields[i][0], usual_fields[i][1]);
    answer(exchange, client_of(request));
}

/* ---- the server ---- */

/* where: "127.0.0.1:9749" or "[::1]:9749" */
static int listen_at(struct http *http, const char *where, struct mc_error *err)
{
    struct evhttp_bound_socket *socket;
    char address[CONFIG_TEXT];
    char *colon, *host = address;

    strcpy(address, where);
    colon = strrchr(address, ':');
    *colon = '\0';
    if (*host == '[') {
        host++;
        host[strcspn(host, "]")] = '\0';
    }
    errno = 0;
    socket =
        evhttp_bind_socket_with_handle(http->server, host, (uint16_t)strtoul(colon + 1, NULL, 10));
    if (!socket)
        return mc_error_set(err, errno ? -errno : -EADDRNOTAVAIL,
                            "cannot serve metrics at %s: %s; choose another 'metrics' or off",
                            where, errno ? strerror(errno) : "there is no such address");
    http->limit = http_limit_new(http->daemon->base, http->server, socket);
    return http->limit ? 0 : mc_error_set(err, -ENOMEM, "cannot listen at %s", where);
}

struct http *http_start(struct daemon *daemon, struct mc_error *err)
{
    struct http *http = calloc(1, sizeof(*http));

    if (http)
        http->server = evhttp_new(daemon->base);
    if (!http || !http->server) {
        mc_error_set(err, -ENOMEM, "out of memory");
        free(http);
        return NULL;
    }
    http->daemon = daemon;
    memcpy(http->counts, no_counts, sizeof(no_counts));
    if (gethostname(http->machine, sizeof(http->machine) - 1) < 0)
        http->machine[0] = '\0';
    evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(http->server, HEAD_MAX);
    evhttp_set_max_body_size(http->server, 0);
    evhttp_set_timeout(http->server, SILENCE_S);
    evhttp_set_gencb(http->server, on_request, http);
    if (listen_at(http, daemon->config.metrics, err) < 0) {
        http_stop(http);
        return NULL;
    }
    return http;
}

void http_revive(struct http *http)
{
    if (http)
        http_limit_revive(http->limit);
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    http_limit_free(http->limit);
    evhttp_free(http->server);
    let_go(http->stored);
    free(http);
}
