/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an agent inside a guest may say, docs/agent-protocol.md. A guest is never trusted: a message
 * is taken whole, or not at all.
 */
#ifndef MEMCTLD_AGENT_MESSAGE_H
#define MEMCTLD_AGENT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include <memctl/agent_protocol.h>

enum agent_message_type {
    AGENT_HELLO,
    AGENT_REPORT,
    AGENT_DISTRESS,
};

/* Bits of a hello's capabilities; words that are not known here are passed over. */
enum agent_capability {
    AGENT_CAN_MEMORY = 1 << 0,
    AGENT_CAN_DISTRESS = 1 << 1,
    AGENT_CAN_WORKING_SET = 1 << 2,
};

/* Why a guest is in distress, or that it is no more. */
enum agent_reason {
    AGENT_REASON_OTHER, /* a word that is not known here, which is distress as well */
    AGENT_REASON_LOW,
    AGENT_REASON_FALLING,
    AGENT_REASON_STALL,
    AGENT_REASON_OVER,
};

struct agent_hello {
    char version[MC_AGENT_VERSION_MAX + 1];
    char kernel[MC_AGENT_KERNEL_MAX + 1];
    unsigned capabilities;
};

/*
 * Bytes, each at most MC_SIZE_MAX and none above its total; counters since the guest booted. What
 * the agent did not tell is MC_UNKNOWN.
 */
struct agent_report {
    uint64_t total, free, available; /* always there */
    uint64_t cached, anon_huge;
    uint64_t swap_total, swap_free; /* both or none */
    uint64_t swap_in, swap_out, major_faults, refault_anon, refault_file, oom_kill, stall_us;
    struct agent_working_set {
        char method[MC_AGENT_METHOD_MAX + 1]; /* "": it says nothing of it */
        uint64_t active, read_cache, kernel;  /* their sum is at most total */
        uint64_t window_ms, age_ms;           /* each at most MC_AGENT_WINDOW_MAX_MS */
        uint64_t confidence;                  /* percent */
        uint64_t cost;                        /* millionths of a processor */
    } working_set;
    enum agent_reason reason; /* these two in a distress only */
    uint64_t rate;            /* bytes a second that the guest takes */
};

struct agent_message {
    enum agent_message_type type;
    uint64_t seq;
    union {
        struct agent_hello hello;
        struct agent_report report; /* of AGENT_DISTRESS as well */
    };
};

/*
 * Take one line apart, without its newline; it need not end in a NUL. Returns 0; -EBADMSG for what
 * is no message of the protocol, -EPROTO for another version of it, -ENOTSUP for a type that is not
 * known here, -EINVAL for a message with a field that is missing, of the wrong type or impossible.
 */
int agent_message_parse(const char *line, size_t length, struct agent_message *message);

#endif
