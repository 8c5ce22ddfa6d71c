/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memctl-scan as memctld looks after it: started when it is wanted, started again with growing
 * pauses when it ends, and ended when it misbehaves: when it says what makes no sense, says nothing
 * for minutes, or takes far more processor time or memory than it was given.
 */
#ifndef MEMCTLD_SCANNER_PROCESS_H
#define MEMCTLD_SCANNER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <jansson.h>

#include "wire.h"

struct scanner_process;

struct scanner_events {
    /* It runs anew and knows nothing. */
    void (*started)(void *opaque);
    /* What it said, except that it is alive. A negative errno ends it. */
    int (*said)(void *opaque, const json_t *message);
    void *opaque;
};

struct scanner_state {
    bool running;
    bool is_service;    /* of a service manager, in a unit of its own */
    int pid;            /* 0: not known yet */
    uint64_t starts;    /* so far */
    uint64_t kills;     /* because it misbehaved */
    uint64_t met, all;  /* bytes of the running pass: seen, and there */
    uint64_t cpu_us;    /* of all runs */
    uint64_t memory;    /* resident, when it was looked at last */
    char last_end[256]; /* why the last run ended, "" if none has */
};

/* Starts nothing yet. NULL when out of memory. */
struct scanner_process *scanner_process_new(struct event_base *base,
                                            const struct scanner_events *events);
void scanner_process_free(struct scanner_process *process);

/* Shall it run? What it may take, and how much memory is scanned, for the limits. */
void scanner_process_want(struct scanner_process *process, bool wanted);
void scanner_process_set_limits(struct scanner_process *process, unsigned cpu_percent,
                                uint64_t memory);

/* The socket to send to, -1 while it does not run. */
int scanner_process_socket(const struct scanner_process *process);
void scanner_process_kill(struct scanner_process *process, const char *why);
const struct scanner_state *scanner_process_state(const struct scanner_process *process);

#endif
