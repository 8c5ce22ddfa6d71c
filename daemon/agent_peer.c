/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent_message.h"
#include "clock.h"
#include "log.h"

/* What agents are asked for; one that is silent for three times as long is not present. */
#define INTERVAL_S 5
#define FRESH_MS ((uint64_t)3 * INTERVAL_S * 1000)

#define PAUSE_FIRST_MS 5000
#define PAUSE_MOST_MS 60000

/* The shortest time over which stalls are measured. */
#define STALL_LEAST_MS 500

/* An agent says one line in an interval, five when the connection is new, and eight in distress. */
#define LINES_MAX 18
#define LINES_WINDOW_MS 2000

#define WAKES_MAX 8
#define WAKES_WINDOW_MS 10000

/* Reports that less is available wake it as well, less often; so much less. */
#define GROWTHS_MAX 4
#define GROWTH_LEAST (32 * MC_MIB)

#define LOGS_MAX 3
#define LOGS_WINDOW_MS 60000

static bool may_spend(struct allowance *allowance, unsigned most, uint64_t window_ms, uint64_t now)
{
    if (mc_less_u64(now, allowance->since_ms) >= window_ms)
        *allowance = (struct allowance){.since_ms = now};
    if (allowance->used >= most)
        return false;
    allowance->used++;
    return true;
}

/* The guest decides how often its state changes, so the log is not the place for every change. */
static void change_state(struct peer *peer, enum peer_state state, const char *detail)
{
    static const struct {
        enum log_level level;
        const char *what;
    } says[] = {
        [PEER_UNREACHABLE] = {LOG_LEVEL_WARNING, "the agent's channel cannot be reached"},
        [PEER_SPEAKING] = {LOG_LEVEL_INFO, "the agent speaks, version"},
        [PEER_SILENT] = {LOG_LEVEL_INFO, "the agent is silent"},
        [PEER_FLOODING] = {LOG_LEVEL_WARNING, "the agent says too much; not listening for a while"},
    };

    if (peer->state == state)
        return;
    peer->state = state;
    if (state != PEER_UNHEARD && may_spend(&peer->logs, LOGS_MAX, LOGS_WINDOW_MS, clock_now_ms()))
        log_line(says[state].level, "guest '%s': %s%s%s", peer->name, says[state].what,
                 *detail ? " " : "", detail);
}

static void hang_up(struct peer *peer, uint64_t now)
{
    if (peer->readable)
        event_free(peer->readable);
    peer->readable = NULL;
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
    /* Hanging up is no way to forget one's distress, nor the daemon's way to forgive it. */
    peer->said = (struct mc_agent_report){.distress_ms = peer->said.distress_ms};
    peer->retry_ms = now + peer->pause_ms;
    peer->pause_ms = mc_min_u64(peer->pause_ms * 2, PAUSE_MOST_MS);
}

void peer_free(struct peer *peer)
{
    hang_up(peer, 0);
    free(peer);
}

static void take_hello(struct peer *peer, const struct agent_message *message)
{
    strcpy(peer->said.version, message->hello.version);
    peer->seq = message->seq;
}

/*
 * The stall time a second since it was last measured; a guest can claim no more. Events of distress
 * follow each other too closely to measure from one to the next.
 */
static void take_stall(struct peer *peer, uint64_t total_us, uint64_t now)
{
    struct mc_agent_report *said = &peer->said;
    uint64_t passed = mc_less_u64(now, peer->stall_ms);

    if (said->received_ms && passed < STALL_LEAST_MS)
        return;
    if (!said->received_ms || peer->stall_total_us == MC_UNKNOWN || total_us == MC_UNKNOWN ||
        total_us < peer->stall_total_us)
        said->stall_us = MC_UNKNOWN;
    else
        said->stall_us = mc_min_u64(total_us - peer->stall_total_us, passed * 1000) * 1000 / passed;
    peer->stall_total_us = total_us;
    peer->stall_ms = now;
}

/* What a report does not say of it is still as true as it was. */
static void take_working_set(struct mc_agent_report *said, const struct agent_report *report,
                             uint64_t now)
{
    const struct agent_working_set *set = &report->working_set;

    if (!*set->method)
        return;
    said->working_set = (struct mc_working_set){
        .found_ms = mc_max_u64(mc_less_u64(now, set->age_ms), 1),
        .active = set->active,
        .read_cache = set->read_cache,
        .kernel = set->kernel,
        .window_ms = set->window_ms,
        .confidence = (unsigned)set->confidence,
        .cost = (unsigned)set->cost,
    };
    strcpy(said->working_set.method, set->method);
}

/* What an agent says of a guest that takes memory is no use if it is seen an interval later. */
static void note_growth(struct peer *peer, uint64_t available, uint64_t now)
{
    if (peer->said.received_ms && available + GROWTH_LEAST <= peer->said.available &&
        may_spend(&peer->growths, GROWTHS_MAX, WAKES_WINDOW_MS, now))
        peer->context->wake(peer->context->opaque, now);
}

static void take_report(struct peer *peer, const struct agent_message *message)
{
    const struct agent_report *report = &message->report;
    struct mc_agent_report *said = &peer->said;
    uint64_t now = clock_now_ms();

    if (said->received_ms && message->seq > peer->seq + 1)
        peer->context->counters.gaps++;
    peer->seq = message->seq;
    take_stall(peer, report->stall_us, now);
    if (!said->received_ms || report->refault_file != MC_UNKNOWN)
        said->refaults = report->refault_file;
    note_growth(peer, report->available, now);
    said->received_ms = now;
    said->total = report->total;
    said->free = report->free;
    said->available = report->available;
    take_working_set(said, report, now);
    change_state(peer, PEER_SPEAKING, *said->version ? said->version : "unknown");
}

static void take_distress(struct peer *peer, const struct agent_message *message)
{
    uint64_t now = clock_now_ms();

    take_report(peer, message);
    if (message->report.reason == AGENT_REASON_OVER)
        return;
    peer->context->counters.distress++;
    peer->said.distress_ms = now;
    peer->said.distress_rate = message->report.rate == MC_UNKNOWN ? 0 : message->report.rate;
    if (may_spend(&peer->wakes, WAKES_MAX, WAKES_WINDOW_MS, now))
        peer->context->wake(peer->context->opaque, now);
}

/*
 * Beyond what the parser can know: a guest has no more memory than it was given, and numbers rise.
 * A number that does not is an echo of what was said before, which is not true any more.
 */
static bool is_believable(const struct peer *peer, const struct agent_message *message)
{
    return message->type == AGENT_HELLO ||
           (message->report.total <= peer->memory && message->seq > peer->seq);
}

static void take_line(struct peer *peer, const char *line, size_t length)
{
    static void (*const takers[])(struct peer *, const struct agent_message *) = {
        [AGENT_HELLO] = take_hello,
        [AGENT_REPORT] = take_report,
        [AGENT_DISTRESS] = take_distress,
    };
    struct agent_message message;

    if (agent_message_parse(line, length, &message) < 0 || !is_believable(peer, &message)) {
        peer->context->counters.ignored++;
        peer->garbled = true;
        return;
    }
    peer->garbled = false;
    peer->context->counters.messages++;
    peer->pause_ms = PAUSE_FIRST_MS;
    takers[message.type](peer, &message);
}

/* Whether one more line, or what is as long as one, may be looked at. */
static bool admit_line(struct peer *peer)
{
    uint64_t now = clock_now_ms();

    if (may_spend(&peer->lines, LINES_MAX, LINES_WINDOW_MS, now))
        return true;
    peer->context->counters.floods++;
    hang_up(peer, now);
    change_state(peer, PEER_FLOODING, "");
    return false;
}

/* Take the complete lines out of the buffer. */
static void take_lines(struct peer *peer)
{
    const char *newline;

    while ((newline = memchr(peer->line, '\n', peer->length))) {
        size_t length = (size_t)(newline - peer->line);

        if (!admit_line(peer))
            return;
        if (length > 0 && !peer->skipping)
            take_line(peer, peer->line, length);
        peer->skipping = false;
        peer->length -= length + 1;
        memmove(peer->line, newline + 1, peer->length);
    }
    if (peer->length == sizeof(peer->line)) {
        if (!admit_line(peer))
            return;
        if (!peer->skipping)
            peer->context->counters.ignored++;
        peer->skipping = true;
        peer->length = 0;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *opaque)
{
    struct peer *peer = opaque;
    ssize_t length = read(fd, peer->line + peer->length, sizeof(peer->line) - peer->length);

    (void)what;
    if (length > 0) {
        peer->length += (size_t)length;
        take_lines(peer);
    } else if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
        hang_up(peer, clock_now_ms());
    }
}

/* A connect to a Unix socket is done at once or not at all. Returns a descriptor. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc;

    if (fd < 0)
        return -errno;
    strcpy(address.sun_path, path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

/* Asking for the interval also makes an agent that was there before us say hello again. */
static void ask_for_reports(const struct peer *peer)
{
    char line[128];
    int length = snprintf(line, sizeof(line),
                          "\n{\"" MC_AGENT_KEY "\":%d,\"type\":\"interval\",\"seconds\":%d}\n",
                          MC_AGENT_PROTOCOL, INTERVAL_S);

    /* A socket that is new has room; one that is broken will say so when it is read. */
    (void)!send(peer->fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void call(struct peer *peer, uint64_t now)
{
    int rc = connect_to(peer->path);

    peer->length = 0;
    peer->skipping = false;
    peer->seq = 0;
    if (rc < 0) {
        hang_up(peer, now);
        change_state(peer, PEER_UNREACHABLE, strerror(-rc));
        return;
    }
    peer->fd = rc;
    peer->readable = event_new(peer->context->base, rc, EV_READ | EV_PERSIST, on_readable, peer);
    if (!peer->readable || event_add(peer->readable, NULL) < 0) {
        hang_up(peer, now);
        return;
    }
    if (peer->state == PEER_UNREACHABLE)
        change_state(peer, PEER_UNHEARD, "");
    ask_for_reports(peer);
}

struct peer *peer_new(struct peer_context *context, const struct mc_guest *guest)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    if (!peer)
        return NULL;
    peer->context = context;
    peer->run_id = guest->run_id;
    peer->fd = -1;
    peer->pause_ms = PAUSE_FIRST_MS;
    strcpy(peer->uuid, guest->uuid);
    strcpy(peer->path, guest->agent_socket);
    return peer;
}

/* The path of a guest whose definition could not be read this time is the old one. */
bool peer_is_of(const struct peer *peer, const struct mc_guest *guest)
{
    return strcmp(peer->uuid, guest->uuid) == 0 && peer->run_id == guest->run_id &&
           (!*guest->agent_socket || strcmp(peer->path, guest->agent_socket) == 0);
}

void peer_follow(struct peer *peer, struct mc_guest *guest, uint64_t now_ms)
{
    peer->memory = guest->memory;
    strcpy(peer->name, guest->name);
    if (peer->fd < 0 && now_ms >= peer->retry_ms)
        call(peer, now_ms);
    guest->agent = peer->said;
    guest->agent.present =
        peer->said.received_ms && mc_less_u64(now_ms, peer->said.received_ms) <= FRESH_MS;
    if (!guest->agent.present && peer->state == PEER_SPEAKING)
        change_state(peer, PEER_SILENT, peer->garbled ? "as far as it can be understood" : "");
}
