/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * balloon-guest-agent: tells the host, line by line over a virtio-serial port, how the guest's
 * memory is doing, and at once when it is nearly gone.
 *
 *   port.c      finds and opens the port
 *   memory.c    reads what the kernel says
 *   watch.c     knows distress when it sees it
 *   message.c   writes lines for the host and takes the host's lines apart
 *   json.c      the little JSON that this needs
 *   talk.c      the conversation with the host, which never blocks
 *   workset.h   finds out how much memory is worked with, in a process of its own
 *   main.c      the options, the protection, and the loop
 *
 * Functions return 0 or a negative errno. There are no threads. After the start nothing allocates
 * memory here, nor makes the kernel open a file: it happens when there is none left.
 */
#ifndef BALLOON_GUEST_AGENT_H
#define BALLOON_GUEST_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <memctl/agent_protocol.h>

#include "watch.h"
#include "workset.h"

/* A value that this kernel does not tell. */
#define UNTOLD UINT64_MAX

enum memory_value {
    MEMORY_TOTAL,
    MEMORY_FREE,
    MEMORY_AVAILABLE,
    MEMORY_CACHED,
    MEMORY_ANON_HUGE,
    MEMORY_SWAP_TOTAL,
    MEMORY_SWAP_FREE,
    MEMORY_COUNT,
};

enum counter_value {
    COUNTER_SWAP_IN,
    COUNTER_SWAP_OUT,
    COUNTER_MAJOR_FAULTS,
    COUNTER_REFAULT_ANON,
    COUNTER_REFAULT_FILE,
    COUNTER_OOM_KILL,
    COUNTER_STALL_US,
    COUNTER_SAID,                    /* those above are in reports */
    COUNTER_INFLATED = COUNTER_SAID, /* pages that went into the balloon */
    COUNTER_DEFLATED,                /* and came out of it */
    COUNTER_COUNT,
};

struct memory {
    uint64_t memory[MEMORY_COUNT];    /* bytes */
    uint64_t counters[COUNTER_COUNT]; /* since the guest booted */
};

/* The names of the values in messages. */
extern const char *const memory_names[MEMORY_COUNT];
extern const char *const counter_names[COUNTER_SAID];

/* The kernel's files, which stay open; -1 for one that is not there. */
struct kernel {
    int meminfo, vmstat;
    int pressure; /* also the trigger, if has_trigger: poll() says POLLPRI when tasks stall */
    bool has_trigger;
};

void kernel_open(struct kernel *kernel);

/* Each sets all of memory: what it does not read is UNTOLD. */
/* Sizes only; -ENODATA when the kernel does not even tell how much memory there is. */
int memory_read_sizes(const struct kernel *kernel, struct memory *memory);
/* Add stall time; add all counters. The second makes the kernel allocate a page. */
void memory_add_stall(const struct kernel *kernel, struct memory *memory);
void memory_add_counters(const struct kernel *kernel, struct memory *memory);

/*
 * Open the port at path, or the one named MC_AGENT_PORT when path is NULL, without blocking. A Unix
 * socket or a FIFO will do as well. -ENOENT while there is none, -EBUSY when another process has
 * it.
 */
int port_open(const char *path);

/* Write a line with its newline into text; returns its length, 0 if it does not fit. */
size_t message_hello(char *text, size_t room);
/* With what was found out about the working set, age_ms ago; workset may be NULL. */
size_t message_report(char *text, size_t room, uint64_t seq, const struct memory *memory,
                      const struct workset *workset, uint64_t age_ms);
size_t message_distress(char *text, size_t room, uint64_t seq, const struct memory *memory,
                        enum watch_news news, uint64_t rate);

/* Take a line of the host apart: the interval that it asks for in seconds, or 0 for all else. */
unsigned message_interval(const char *line, size_t length);

/* Lines in, or the rest of a line on its way out. */
struct buffer {
    char text[MC_AGENT_LINE_MAX];
    size_t length;
};

/* The conversation with the host. */
struct talk {
    const char *path; /* NULL: find the port by its name */
    unsigned interval_s;
    int port;                      /* -1 while it is not open */
    int last_error;                /* of opening it, so that it is told once */
    bool away;                     /* the host is not there: leave the port alone for a pause */
    bool greeted;                  /* the host got the hello */
    uint64_t seq;                  /* of the last report */
    uint64_t report_ms;            /* when the next one is due */
    uint64_t reported_ms;          /* when the last one was, */
    uint64_t available;            /* and what was available then */
    const struct workset *workset; /* what reports say of it, at_ms 0 for nothing */
    struct buffer in, out;
    bool skipping; /* the rest of an over-long line */
};

void talk_open_port(struct talk *talk);
void talk_to_host(struct talk *talk, short events, const struct kernel *kernel, uint64_t now_ms);
/* The guest itself takes memory, and this is available now: the host hears of it soon if it is
 * much. */
void talk_of_growth(struct talk *talk, uint64_t available);
void talk_of_distress(struct talk *talk, const struct kernel *kernel, enum watch_news news,
                      uint64_t rate);

#endif
