/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Knowing distress when it is seen. Pure: time and what was seen are arguments. The idea is in
 * watch.c.
 */
#ifndef BALLOON_GUEST_AGENT_WATCH_H
#define BALLOON_GUEST_AGENT_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* What the host has to hear; all but the first and the last are distress. */
enum watch_news {
    WATCH_NOTHING,
    WATCH_LOW,     /* available memory is nearly gone */
    WATCH_FALLING, /* it would be gone within a second, as it goes now */
    WATCH_STALL,   /* tasks wait for memory, and nothing is free */
    WATCH_OVER,    /* it was distress, and is no more */
};

/* Bytes. */
struct sight {
    uint64_t now_ms;
    uint64_t total, free, available;
    uint64_t balloon; /* what the balloon has taken; any zero point will do */
    bool has_balloon; /* that it was read */
    bool stalled;     /* the kernel's trigger fired */
};

/* Start from {0}. */
struct watch {
    struct sight last;   /* now_ms 0: nothing was seen yet; its balloon is the last that was read */
    uint64_t balloon_ms; /* when that was, 0 for never */
    uint64_t rate; /* bytes a second that the guest takes, 0 when it is not worth mentioning */
    bool distressed;
    uint64_t since_ms; /* of this distress: its beginning, */
    uint64_t worst_ms; /* the last time that it was seen, */
    uint64_t said_ms;  /* and the last time that the host was told */
};

/*
 * Whether the balloon has to be read before this sight is looked at. It is the dearer half of a
 * look, and needed only when memory moves.
 */
bool watch_wants_balloon(const struct watch *watch, const struct sight *sight);

enum watch_news watch_look(struct watch *watch, const struct sight *sight);

/* Less than this available is distress. */
uint64_t watch_low(uint64_t total);

/* Milliseconds until the next look; cost_us is the processor time that one takes. */
uint64_t watch_pause(const struct watch *watch, uint64_t cost_us);

#endif
