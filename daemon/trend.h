/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the page's charts show where no history is kept, or while it does not answer: a few figures
 * of the host and of each guest over the last hours, in memory. A sample every 10 s for half an
 * hour, and the means of every minute for six hours: 11 KiB a guest, for 1,024 guests at most.
 */
#ifndef MEMCTLD_TREND_H
#define MEMCTLD_TREND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <memctl/model.h>

/* Bytes, but for the stall: microseconds a second in which tasks waited, as the history has it. */
enum trend_host {
    TREND_TOTAL,
    TREND_AVAILABLE,
    TREND_BUDGET,
    TREND_DIVIDED, /* what may be promised */
    TREND_PROMISED,
    TREND_HELD,
    TREND_ACTUAL, /* all managed guests' balloons leave them */
    TREND_USED,   /* by all managed guests, as far as it is known */
    TREND_STALL,  /* some_avg10 of the host */
    TREND_HOST_COLUMNS
};

enum trend_guest {
    TREND_G_ACTUAL,
    TREND_G_USED,
    TREND_G_ACTIVE,
    TREND_G_HELD,
    TREND_G_TARGET,
    TREND_GUEST_COLUMNS
};

#define TREND_COLUMNS_MAX 9
#define TREND_GUESTS_MAX 1024

struct trend_question {
    char uuid[MC_UUID_TEXT]; /* "" asks about the host */
    uint64_t span_ms;        /* back from now */
};

/*
 * The oldest first, MC_UNKNOWN where there is nothing. It lasts as long as the call that hands it
 * over.
 */
struct trend_answer {
    size_t count;
    unsigned columns;
    uint64_t step_ms;
    const int64_t *wall_ms;                    /* of the real-time clock; count of them */
    const uint64_t *values[TREND_COLUMNS_MAX]; /* of each column, count of them */
};

typedef void trend_reader(void *opaque, const struct trend_answer *answer);

struct trend;

/* NULL when out of memory. */
struct trend *trend_new(void);
void trend_free(struct trend *trend);

/* Once in every tick that has a plan. Without memory for it a guest is left out. */
void trend_add(struct trend *trend, const struct mc_snapshot *snapshot, const struct mc_plan *plan);

/* The most that it can tell of, back from now. */
#define TREND_SPAN_MS ((uint64_t)6 * 3600000)

/* Calls read once, before it returns; with NULL if there are no figures. */
void trend_read(const struct trend *trend, const struct trend_question *question,
                trend_reader *read, void *opaque);

#endif
