/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * balloon-guest-agent: tells the host, line by line over a virtio-serial port, how the guest's
 * memory is doing.
 *
 *   port.c      finds and opens the port
 *   memory.c    reads what the kernel says
 *   message.c   writes lines for the host and takes the host's lines apart
 *   main.c      the options, and the loop that never blocks
 *
 * Functions return 0 or a negative errno. There are no threads and no children.
 */
#ifndef BALLOON_GUEST_AGENT_H
#define BALLOON_GUEST_AGENT_H

#include <stddef.h>
#include <stdint.h>

#include <memctl/agent_protocol.h>

/* A value that this kernel does not tell. */
#define UNTOLD UINT64_MAX

enum memory_value {
    MEMORY_TOTAL,
    MEMORY_FREE,
    MEMORY_AVAILABLE,
    MEMORY_CACHED,
    MEMORY_SWAP_TOTAL,
    MEMORY_SWAP_FREE,
    MEMORY_COUNT,
};

enum counter_value {
    COUNTER_SWAP_IN,
    COUNTER_MAJOR_FAULTS,
    COUNTER_REFAULT_ANON,
    COUNTER_REFAULT_FILE,
    COUNTER_OOM_KILL,
    COUNTER_STALL_US,
    COUNTER_COUNT,
};

struct memory {
    uint64_t memory[MEMORY_COUNT];    /* bytes */
    uint64_t counters[COUNTER_COUNT]; /* since the guest booted */
};

/* The names of the values in messages. */
extern const char *const memory_names[MEMORY_COUNT];
extern const char *const counter_names[COUNTER_COUNT];

/* -ENODATA when the kernel does not even tell how much memory there is. */
int memory_read(struct memory *memory);

/*
 * Open the port at path, or the one named MC_AGENT_PORT when path is NULL, without blocking. A Unix
 * socket or a FIFO will do as well. -ENOENT while there is none, -EBUSY when another process has
 * it.
 */
int port_open(const char *path);

/* Write a line with its newline into text; returns its length, 0 if it does not fit. */
size_t message_hello(char *text, size_t room);
size_t message_report(char *text, size_t room, uint64_t seq, const struct memory *memory);

/* Take a line of the host apart: the interval that it asks for in seconds, or 0 for all else. */
unsigned message_interval(const char *line, size_t length);

#endif
