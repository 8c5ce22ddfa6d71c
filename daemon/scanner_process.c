/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scanner_process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memctl/units.h>

#include "clock.h"
#include "log.h"
#include "scanner_link.h"

/* It has the lowest priority, and may have to wait long on a busy host before it can say a word. */
#define SILENCE_MS 600000

/* Looks at it, and tries to start it. */
#define LOOK_EVERY_S 2

#define PAUSE_FIRST_MS 1000
#define PAUSE_MOST_MS 300000
#define PROVEN_MS 600000 /* after so long a run the next pause is the first one again */

/* Processor time is judged over so much time, by so many times what was given. */
#define CPU_WINDOW_MS 60000
#define CPU_TIMES 4

/* Before any page is scanned: libraries, buffers and a share of both. */
#define MEMORY_LEAST (64 * MC_MIB)

struct scanner_process {
    struct scanner_events events;
    struct event_base *base;
    struct event *readable, *look;
    struct scanner_link link;
    bool wanted, said_fallback;
    unsigned cpu_percent;
    uint64_t memory_limit;
    uint64_t started_ms, heard_ms, start_at_ms, pause_ms;
    uint64_t window_ms, window_cpu_us;
    uint64_t run_cpu_us, earlier_cpu_us;
    struct scanner_state state;
};

static void on_readable(evutil_socket_t fd, short what, void *opaque);

/* ---- its end ---- */

static void ended(struct scanner_process *process, const char *why)
{
    uint64_t now_ms = clock_now_ms();

    if (process->link.fd < 0)
        return;
    event_free(process->readable);
    process->readable = NULL;
    scanner_link_end(&process->link);
    process->state.running = false;
    process->state.pid = 0;
    process->state.met = process->state.all = 0;
    process->earlier_cpu_us += process->run_cpu_us;
    process->run_cpu_us = 0;
    snprintf(process->state.last_end, sizeof(process->state.last_end), "%s", why);
    if (now_ms - process->started_ms > PROVEN_MS)
        process->pause_ms = 0;
    process->pause_ms =
        process->pause_ms ? mc_min_u64(2 * process->pause_ms, PAUSE_MOST_MS) : PAUSE_FIRST_MS;
    process->start_at_ms = now_ms + process->pause_ms;
}

void scanner_process_kill(struct scanner_process *process, const char *why)
{
    if (process->link.fd < 0)
        return;
    process->state.kills++;
    log_warning("memctl-scan is ended, because it %s; it starts again", why);
    ended(process, why);
}

/* ---- its start ---- */

/* It runs, but not as it was meant to. */
static void say_fallback(struct scanner_process *process, const char *why)
{
    if (*why && !process->said_fallback)
        log_warning("memctl-scan is started by memctld itself and shares its confinement: %s; "
                    "'systemctl start memctl-scan.socket' gives it its own",
                    why);
    process->said_fallback = *why;
}

static void start(struct scanner_process *process)
{
    struct mc_error err;
    int rc;

    process->start_at_ms = clock_now_ms() + PAUSE_MOST_MS; /* unless it starts */
    rc = scanner_link_open(&process->link, &err);
    if (rc < 0) {
        log_error("memctl-scan: %s; trying again in 5 minutes", err.text);
        snprintf(process->state.last_end, sizeof(process->state.last_end), "%.255s", err.text);
        return;
    }
    say_fallback(process, err.text);
    process->readable =
        event_new(process->base, process->link.fd, EV_READ | EV_PERSIST, on_readable, process);
    if (process->readable)
        event_add(process->readable, NULL);
    process->state.running = true;
    process->state.pid = process->link.pid;
    process->state.is_service = !process->link.is_child;
    process->state.starts++;
    process->started_ms = process->heard_ms = process->window_ms = clock_now_ms();
    process->window_cpu_us = 0;
    process->events.started(process->events.opaque);
}

/* ---- what it says ---- */

static int on_alive(struct scanner_process *process, const json_t *message)
{
    const struct {
        const char *key;
        uint64_t *value;
    } table[] = {{"met", &process->state.met},
                 {"all", &process->state.all},
                 {"cpu_us", &process->run_cpu_us}};

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        json_int_t value = json_integer_value(json_object_get(message, table[i].key));

        if (value < 0 || (uint64_t)value > MC_SIZE_MAX)
            return -EPROTO;
        *table[i].value = (uint64_t)value;
    }
    process->state.cpu_us = process->earlier_cpu_us + process->run_cpu_us;
    return 0;
}

static int take(struct scanner_process *process, const struct scan_packet *packet)
{
    const json_t *message = packet->message;
    const char *type = json_string_value(json_object_get(message, "type"));

    if (!scanner_link_is_from(&process->link, packet))
        return -EACCES;
    process->state.pid = process->link.pid;
    process->heard_ms = clock_now_ms();
    if (type && strcmp(type, "alive") == 0)
        return on_alive(process, message);
    return process->events.said(process->events.opaque, message);
}

/* Some packets at a time: others wait for the loop as well. */
static void on_readable(evutil_socket_t fd, short what, void *opaque)
{
    struct scanner_process *process = opaque;

    (void)what;
    for (unsigned n = 0; n < 16 && process->link.fd >= 0; n++) {
        struct scan_packet packet;
        int rc = scan_receive(fd, &packet);

        if (rc == -EAGAIN || rc == -EINTR)
            return;
        if (rc == -EPIPE) {
            log_warning("memctl-scan has ended; it starts again");
            ended(process, "ended by itself");
            return;
        }
        if (rc == 0)
            rc = take(process, &packet);
        scan_packet_free(&packet);
        if (rc < 0)
            scanner_process_kill(process, rc == -EACCES ? "is somebody else who spoke"
                                                        : "said what makes no sense");
    }
}

/* ---- looking after it ---- */

/* "size resident shared ..." in pages; what is shared are guests' pages that it looks at. */
static uint64_t memory_of(pid_t pid)
{
    uint64_t size, resident, shared;
    char path[64];
    FILE *file;
    int got;

    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    got = fscanf(file, "%" SCNu64 " %" SCNu64 " %" SCNu64, &size, &resident, &shared);
    fclose(file);
    return got == 3 ? mc_less_u64(resident, shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static const char *misbehaves(struct scanner_process *process, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - process->window_ms, spent_us;

    if (now_ms - process->heard_ms > SILENCE_MS)
        return "said nothing for 10 minutes";
    process->state.memory = process->state.pid ? memory_of(process->state.pid) : 0;
    if (process->state.memory > process->memory_limit + MEMORY_LEAST)
        return "took more memory than it was given";
    if (passed_ms < CPU_WINDOW_MS)
        return NULL;
    spent_us = mc_less_u64(process->run_cpu_us, process->window_cpu_us);
    process->window_ms = now_ms;
    process->window_cpu_us = process->run_cpu_us;
    if (process->cpu_percent < 100 / CPU_TIMES &&
        spent_us > passed_ms * 10 * process->cpu_percent * CPU_TIMES)
        return "took more processor time than it was given";
    return NULL;
}

static void on_look(evutil_socket_t fd, short what, void *opaque)
{
    struct scanner_process *process = opaque;
    uint64_t now_ms = clock_now_ms();
    const char *why;

    (void)fd;
    (void)what;
    if (process->link.fd >= 0) {
        why = misbehaves(process, now_ms);
        if (why)
            scanner_process_kill(process, why);
    } else if (scanner_link_reap(&process->link, false) && process->wanted &&
               now_ms >= process->start_at_ms) {
        start(process);
    }
}

void scanner_process_want(struct scanner_process *process, bool wanted)
{
    const struct timeval often = {.tv_sec = LOOK_EVERY_S};

    if (wanted == process->wanted)
        return;
    process->wanted = wanted;
    if (!wanted) {
        ended(process, "is not wanted");
        process->pause_ms = 0;
        process->start_at_ms = 0;
        if (scanner_link_reap(&process->link, false))
            event_del(process->look);
        return;
    }
    event_add(process->look, &often);
    if (scanner_link_reap(&process->link, false))
        start(process);
}

void scanner_process_set_limits(struct scanner_process *process, unsigned cpu_percent,
                                uint64_t memory)
{
    if (cpu_percent != process->cpu_percent) { /* a new window: the old one had another measure */
        process->window_ms = clock_now_ms();
        process->window_cpu_us = process->run_cpu_us;
    }
    process->cpu_percent = cpu_percent;
    process->memory_limit = memory;
}

struct scanner_process *scanner_process_new(struct event_base *base,
                                            const struct scanner_events *events)
{
    struct scanner_process *process = calloc(1, sizeof(*process));

    if (!process)
        return NULL;
    *process =
        (struct scanner_process){.events = *events, .base = base, .link = SCANNER_LINK_CLOSED};
    process->look = event_new(base, -1, EV_PERSIST, on_look, process);
    if (!process->look) {
        free(process);
        return NULL;
    }
    return process;
}

void scanner_process_free(struct scanner_process *process)
{
    if (!process)
        return;
    ended(process, "memctld stops");
    scanner_link_reap(&process->link, true); /* it was killed */
    event_free(process->look);
    free(process);
}

int scanner_process_socket(const struct scanner_process *process)
{
    return process->link.fd;
}

const struct scanner_state *scanner_process_state(const struct scanner_process *process)
{
    return &process->state;
}
