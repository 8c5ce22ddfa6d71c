/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is kept of the past: how host and guests fared, what was decided and why. The passes of the
 * engine are digested to rows here, without I/O; memctl/store.h keeps the rows in a file.
 *
 * There are three tiers. A raw row says what the values were from its moment on, until the next
 * row of the same guest; a pass that changed nothing worth telling makes none. Rows of a minute and
 * of an hour say the least, the time-weighted average and the most of every value.
 */
#ifndef MEMCTL_HISTORY_H
#define MEMCTL_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <memctl/engine.h>
#include <memctl/error.h>
#include <memctl/model.h>
#include <memctl/visibility.h>

enum mc_tier {
    MC_TIER_RAW,
    MC_TIER_MINUTE,
    MC_TIER_HOUR,
    MC_TIER_COUNT,
};

/*
 * Bytes, but for stall: microseconds a second in which tasks waited for memory. Of a guest there
 * are the first ones; of the host those are the sums of the managed guests, and its own stall.
 */
enum mc_value {
    MC_VALUE_USED, /* what cannot be given up; of the host: one without statistics counts with what
                      is resident */
    MC_VALUE_ACTIVE, /* what is worked with */
    MC_VALUE_HELD,   /* resident on the host */
    MC_VALUE_ACTUAL, /* what the balloon leaves */
    MC_VALUE_TARGET,
    MC_VALUE_OVERHEAD, /* QEMU's own memory */
    MC_VALUE_STALL,
    MC_GUEST_VALUES,
    MC_VALUE_TOTAL = MC_GUEST_VALUES, /* the host's memory */
    MC_VALUE_AVAILABLE,
    MC_VALUE_BUDGET,
    MC_VALUE_STRICT, /* of the budget, what managed guests may really occupy */
    MC_VALUE_DIVIDED,
    MC_VALUE_PROMISED,
    MC_VALUE_OTHERS, /* what is used on the host beside all guests and their QEMUs */
    MC_HOST_VALUES,
};

/* All three MC_UNKNOWN where nobody knew; in a raw row all three are the same. */
struct mc_range {
    uint64_t low, avg, high;
};

struct mc_point {
    char uuid[MC_UUID_TEXT]; /* of the guest; "" is the host */
    enum mc_tier tier;
    int64_t at_ms;    /* of the real-time clock; a minute's or an hour's beginning */
    uint64_t span_ms; /* for how long something was known; 0 in a raw row */
    struct mc_range values[MC_HOST_VALUES];
};

/* What of a guest changes seldom, from at_ms on. */
struct mc_shape {
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    int64_t at_ms;
    uint64_t memory;
    struct mc_terms terms;
    enum mc_exempt exempt;
};

#define MC_DECISION_TEXT 256

/* A target that was sent, and how it came about. */
struct mc_decision {
    char uuid[MC_UUID_TEXT];
    int64_t at_ms;
    uint64_t actual, wish, target;
    enum mc_rule reason;
    char rules[MC_DECISION_TEXT]; /* each that changed it: "floor 512M, rate 768M" */
};

/* Rows that wait to be written. Start from {0}. */
struct mc_batch {
    struct mc_point *points;
    size_t point_count, point_room;
    struct mc_shape *shapes;
    size_t shape_count, shape_room;
    struct mc_decision *decisions;
    size_t decision_count, decision_room;
    char **events; /* lines of JSON with wall_ms, and uuid where it is about a guest */
    size_t event_count, event_room;
    char *config;     /* how the engine was configured, as a recording says it; NULL: as before */
    int64_t clock_ms; /* of the last pass */
    struct mc_lesson *lessons; /* what is in force; they replace those before */
    size_t lesson_count, lesson_room;
    bool has_lessons;
    uint64_t dropped; /* rows that found no room */
};

/* A raw row counts for so long at most: the next one of a guest that goes on comes a bit sooner. */
#define MC_RAW_HOLDS_MS 75000
#define MC_RAW_SLACK_MS 15000

/* So many points may wait; of the raw tier half of them. */
#define MC_BATCH_POINTS_MAX ((size_t)32768)
#define MC_BATCH_OTHERS_MAX ((size_t)16384)

MC_PUBLIC void mc_batch_free(struct mc_batch *batch);
MC_PUBLIC bool mc_batch_is_empty(const struct mc_batch *batch);

/* Each adds a copy; without room, or memory, the row is dropped and counted. */
MC_PUBLIC void mc_batch_add_point(struct mc_batch *batch, const struct mc_point *point);
MC_PUBLIC void mc_batch_add_shape(struct mc_batch *batch, const struct mc_shape *shape);
MC_PUBLIC void mc_batch_add_decision(struct mc_batch *batch, const struct mc_decision *decision);
MC_PUBLIC void mc_batch_add_event(struct mc_batch *batch, const char *line);
MC_PUBLIC void mc_batch_set_config(struct mc_batch *batch, const char *config);
MC_PUBLIC void mc_batch_set_lessons(struct mc_batch *batch, const struct mc_lesson *lessons,
                                    size_t count);

struct mc_digest;

MC_PUBLIC struct mc_digest *mc_digest_new(void);
MC_PUBLIC void mc_digest_free(struct mc_digest *digest);

/*
 * Add a pass to the batch. Values count until the next pass, for hold_ms at most: after that nobody
 * knows them. wall_ms is the moment of the snapshot by the real-time clock, which may jump; spans
 * are measured by the snapshot's. 0, or -ENOMEM with the pass left out.
 */
MC_PUBLIC int mc_digest_pass(struct mc_digest *digest, const struct mc_snapshot *snapshot,
                             const struct mc_plan *plan, int64_t wall_ms, uint64_t hold_ms,
                             struct mc_batch *batch);

/* The rows go to another file from now on: the next pass says all that it needs to know. */
MC_PUBLIC void mc_digest_renew(struct mc_digest *digest);

/* Nothing comes after this: add what was begun. */
MC_PUBLIC void mc_digest_end(struct mc_digest *digest, struct mc_batch *batch);

/* Stable names: "raw", "minute", "hour"; "used", "active", ... */
MC_PUBLIC const char *mc_tier_name(enum mc_tier tier);
MC_PUBLIC const char *mc_value_name(size_t value); /* of enum mc_value */

/* How long a row of the tier stands for: a minute, an hour; of a raw row, how long it may hold. */
MC_PUBLIC uint64_t mc_tier_span_ms(enum mc_tier tier);

#endif
