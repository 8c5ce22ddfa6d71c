/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A piece of the history, and what follows from it: what could be added (capacity), and what would
 * have happened if something had been different (what if). docs/planning.md says what is assumed.
 */
#ifndef MEMCTL_PAST_H
#define MEMCTL_PAST_H

#include <jansson.h>

#include <memctl/history.h>
#include <memctl/simulate.h>

struct mc_past_guest {
    struct mc_shape shape; /* at the end of that time */
    const struct mc_point *points;
    size_t count; /* 0: it did not run */
};

struct mc_past {
    enum mc_tier tier;
    int64_t since_ms, until_ms;
    const struct mc_point *host;
    size_t host_count;
    struct mc_past_guest *guests;
    size_t count;
    const json_t *engine; /* how it is configured, as a recording begins; NULL: the defaults */
};

/* ---- capacity ---- */

enum mc_fit {
    MC_FIT_UNKNOWN, /* too little is known */
    MC_FIT_GOOD,
    MC_FIT_TOO_BIG,
    MC_FIT_TOO_SMALL,
};

struct mc_capacity_guest {
    uint64_t known_ms;          /* for how long its use was known */
    uint64_t median, p99, most; /* of what it used, MC_UNKNOWN without statistics */
    enum mc_fit fit;
    uint64_t suggested; /* memory that would do, 0 if it fits */
};

/* How much more may be used, if guests may be short of memory in this part of the time. */
struct mc_room {
    unsigned risk;   /* in millionths; 0: more was never used */
    uint64_t used;   /* bytes that could be used on top */
    uint64_t memory; /* of guests that use as large a part of theirs as these do */
};

#define MC_ROOM_RISKS 4

struct mc_capacity {
    uint64_t known_ms; /* of the host */
    uint64_t memory;   /* of all managed guests that are there at the end */
    uint64_t reserved; /* the sum of their reservations */
    uint64_t strict;   /* what they may really occupy, at the end */
    uint64_t promised, divided;
    uint64_t used_median, used_p99, used_most, active_median, held_most;
    struct mc_room rooms[MC_ROOM_RISKS];
    uint64_t reservable;              /* what more could be reserved */
    struct mc_capacity_guest *guests; /* as many as the past has */
};

/* Pure. 0, -ENOMEM, or -ENODATA if nothing is known of the host. */
MC_PUBLIC int mc_capacity(const struct mc_past *past, struct mc_capacity *capacity,
                          struct mc_error *err);
MC_PUBLIC void mc_capacity_free(struct mc_capacity *capacity);

/* ---- what if ---- */

/* A guest that was not there. */
struct mc_added_guest {
    char name[MC_NAME_TEXT];
    uint64_t memory;
    /* What it uses: as a guest of the past does, by its UUID; else this part of its memory, in
     * hundredths of a percent; else, with 0, as the guests of the past do on average. */
    const char *like;
    unsigned use;
};

struct mc_what_if {
    const struct mc_added_guest *added;
    size_t added_count;
    const char *const *removed; /* UUIDs */
    size_t removed_count;
    uint64_t host_memory; /* 0: as it was */
    uint64_t budget;      /* 0: as it is configured */
    const char *title;    /* of a picture; may be NULL */
    size_t samples;       /* moments to keep, see mc_simulate_config */
    void (*progress)(void *opaque, uint64_t now_ms, uint64_t duration_ms);
    void *opaque;
};

/*
 * Replay the past through the engine, with something different or, with {0}, as it was. Times of
 * the result count from since_ms. -EINVAL and what a policy fails with; -ENODATA.
 */
MC_PUBLIC int mc_replay_past(const struct mc_past *past, const struct mc_what_if *what_if,
                             struct mc_simulation **result, struct mc_error *err);

#endif
