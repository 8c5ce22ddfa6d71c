/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The conversation may never make the guest wait for the host: what does not fit into the port's
 * queue is dropped, and the sequence numbers tell. Nor may it spin: a port whose host end nobody
 * holds is always ready to be read, and reads as empty; so while the host is away, the port is not
 * polled but looked at now and then.
 */
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* So much less than in the last report is worth another one, so soon after that. */
#define GROWTH_LEAST ((uint64_t)32 << 20)
#define GROWTH_APART_MS 200

/* The host left, or was never there. What it did not take is of no use to the next one. */
static void leave_alone(struct talk *talk)
{
    talk->away = true;
    talk->greeted = false;
    talk->skipping = false;
    talk->in.length = talk->out.length = 0;
}

static void close_port(struct talk *talk)
{
    close(talk->port);
    talk->port = -1;
    leave_alone(talk);
}

void talk_open_port(struct talk *talk)
{
    const char *name = talk->path ? talk->path : MC_AGENT_PORT;
    int rc = port_open(talk->path);

    talk->port = rc < 0 ? -1 : rc;
    talk->away = rc < 0;
    if (rc < 0 && rc != talk->last_error)
        fprintf(stderr, "balloon-guest-agent: port %s: %s; trying again\n", name, strerror(-rc));
    else if (rc >= 0 && talk->last_error)
        fprintf(stderr, "balloon-guest-agent: port %s: open\n", name);
    talk->last_error = rc < 0 ? rc : 0;
}

/*
 * A virtio port outlives its host end and is kept open, unless it was unplugged, which a read
 * tells, even of nothing. Anything else has to be opened again.
 */
static void on_hangup(struct talk *talk)
{
    struct stat status;
    char nothing;

    if (fstat(talk->port, &status) < 0 || !S_ISCHR(status.st_mode) ||
        (read(talk->port, &nothing, 0) < 0 && errno != EAGAIN))
        close_port(talk);
    else
        leave_alone(talk);
}

static void flush(struct talk *talk)
{
    struct buffer *out = &talk->out;
    ssize_t written = write(talk->port, out->text, out->length);

    if (written < 0 && errno != EAGAIN && errno != EINTR) {
        close_port(talk);
    } else if (written > 0) {
        out->length -= (size_t)written;
        memmove(out->text, out->text + written, out->length);
    }
}

/* All of a line or nothing; what a port took in part is finished later. */
static bool send_line(struct talk *talk, size_t length)
{
    talk->out.length = length;
    flush(talk);
    if (talk->out.length == length)
        talk->out.length = 0;
    else if (talk->port >= 0)
        return true;
    return false;
}

/* The empty line before it ends whatever is left of a line that an earlier host did not take. */
static void greet(struct talk *talk, uint64_t now_ms)
{
    struct buffer *out = &talk->out;

    if (!out->length) {
        out->text[0] = '\n';
        talk->greeted = send_line(talk, 1 + message_hello(out->text + 1, sizeof(out->text) - 1));
        talk->seq = 0;
        talk->report_ms = now_ms;
    }
    if (!talk->greeted)
        talk->away = true;
}

static void report(struct talk *talk, const struct kernel *kernel, uint64_t now_ms)
{
    const struct workset *workset = talk->workset->at_ms ? talk->workset : NULL;
    struct memory memory;
    size_t length;

    talk->report_ms = now_ms + talk->interval_s * 1000;
    talk->reported_ms = now_ms;
    talk->seq++;
    if (talk->out.length || memory_read_sizes(kernel, &memory) < 0)
        return;
    talk->available = memory.memory[MEMORY_AVAILABLE];
    memory_add_counters(kernel, &memory);
    length = message_report(talk->out.text, sizeof(talk->out.text), talk->seq, &memory, workset,
                            workset ? now_ms - workset->at_ms : 0);
    if (length)
        send_line(talk, length);
}

void talk_of_growth(struct talk *talk, uint64_t available)
{
    if (talk->greeted && available + GROWTH_LEAST <= talk->available &&
        talk->reported_ms + GROWTH_APART_MS < talk->report_ms)
        talk->report_ms = talk->reported_ms + GROWTH_APART_MS;
}

void talk_of_distress(struct talk *talk, const struct kernel *kernel, enum watch_news news,
                      uint64_t rate)
{
    struct memory memory;
    size_t length;

    talk->seq++;
    if (talk->out.length || memory_read_sizes(kernel, &memory) < 0)
        return;
    memory_add_stall(kernel, &memory);
    length =
        message_distress(talk->out.text, sizeof(talk->out.text), talk->seq, &memory, news, rate);
    if (length)
        send_line(talk, length);
}

/* A host that says how often may have missed the hello: it gets one more. */
static void take_line(struct talk *talk, const char *line, size_t length)
{
    unsigned seconds = message_interval(line, length);

    if (!seconds)
        return;
    talk->interval_s = seconds;
    talk->greeted = false;
}

static void take_lines(struct talk *talk)
{
    struct buffer *in = &talk->in;
    char *newline;

    while ((newline = memchr(in->text, '\n', in->length))) {
        size_t length = (size_t)(newline - in->text);

        if (!talk->skipping)
            take_line(talk, in->text, length);
        talk->skipping = false;
        in->length -= length + 1;
        memmove(in->text, newline + 1, in->length);
    }
    if (in->length == sizeof(in->text)) {
        talk->skipping = true;
        in->length = 0;
    }
}

static void listen_to_host(struct talk *talk)
{
    struct buffer *in = &talk->in;
    ssize_t length = read(talk->port, in->text + in->length, sizeof(in->text) - in->length);

    if (length > 0) {
        in->length += (size_t)length;
        take_lines(talk);
    } else if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
        on_hangup(talk);
    }
}

void talk_to_host(struct talk *talk, short events, const struct kernel *kernel, uint64_t now_ms)
{
    if (events & (POLLHUP | POLLERR | POLLNVAL)) {
        on_hangup(talk);
        return;
    }
    if (events & POLLIN)
        listen_to_host(talk);
    if (talk->port >= 0 && (events & POLLOUT))
        flush(talk);
    if (talk->port >= 0 && !talk->away && !talk->greeted)
        greet(talk, now_ms);
    if (talk->port >= 0 && talk->greeted && now_ms >= talk->report_ms)
        report(talk, kernel, now_ms);
}
