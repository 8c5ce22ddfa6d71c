/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps the history (memctl/store.h) without ever waiting for it. The main loop adds rows to a
 * batch in memory; a thread of its own takes the batch and writes it. While the disk is full, the
 * file locked, its folder read-only, the rows wait, and it tries again with growing pauses; beyond
 * what may wait they are dropped and counted. A damaged file is set aside and a new one begun.
 */
#ifndef MEMCTLD_KEEPER_H
#define MEMCTLD_KEEPER_H

#include <jansson.h>

#include <memctl/store.h>

struct keeper;

/* How it goes. */
struct keeper_state {
    bool up;            /* the last try to open or write was good */
    char why[512];      /* or else: what it failed with */
    uint64_t changes;   /* of the two above so far */
    uint64_t failures;  /* tries that failed */
    uint64_t dropped;   /* rows that found no room */
    uint64_t rows;      /* written */
    uint64_t set_aside; /* damaged files */
    double seconds;     /* spent writing */
    struct mc_store_facts facts;
};

/*
 * Begin; waits for the file at most this long, and goes on opening it after that. 0 or -ENOMEM:
 * what is wrong with the file is in the state.
 */
int keeper_open(const char *file, const struct mc_store_config *config, uint64_t wait_ms,
                struct keeper **opened);

/* Write what is left, within a moment, and free. NULL is no keeper, here and below. */
void keeper_close(struct keeper *keeper);

/*
 * What was kept before the start, once it was read; true only one time for each. To be freed. The
 * events are the newest ones, the newest first.
 */
bool keeper_take_lessons(struct keeper *keeper, struct mc_lesson **lessons, size_t *count);
bool keeper_take_events(struct keeper *keeper, char ***lines, size_t *count);

/* Add a pass, with what the engine has learned; values count for hold_ms at most. */
void keeper_pass(struct keeper *keeper, const struct mc_snapshot *snapshot,
                 const struct mc_plan *plan, const struct mc_engine *engine, uint64_t hold_ms);
void keeper_event(struct keeper *keeper, const char *line);
/* How the engine is configured from now on, as a recording begins; takes it over. */
void keeper_configure(struct keeper *keeper, json_t *config);

struct keeper_state keeper_state(struct keeper *keeper);

#endif
