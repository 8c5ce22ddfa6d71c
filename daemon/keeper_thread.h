/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the two sides of the keeper share; only keeper.c and its thread, keeper_thread.c, know it.
 */
#ifndef MEMCTLD_KEEPER_THREAD_H
#define MEMCTLD_KEEPER_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keeper.h"

struct keeper {
    char *file;
    struct mc_store_config config;
    pthread_t thread;

    /* Of the main loop. */
    struct mc_digest *digest;
    struct mc_lesson *lessons; /* room for those of a pass */
    size_t lesson_room;
    bool has_lessons;
    char *engine; /* how it is configured */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct mc_batch waiting;
    struct keeper_state state;
    bool tried; /* to open the file, at least once */
    bool closing;
    struct mc_lesson *old_lessons;
    size_t old_lesson_count;
    char **old_events;
    size_t old_event_count;
    bool has_old; /* of both, and nobody has taken it */
    bool lessons_taken, events_taken;
    bool renewed; /* the file is a new one, and needs to be told all that does not change */
};

/* The thread: opens the file, and writes what waits until it is told to close. opaque: the struct
 * keeper. */
void *keeper_thread(void *opaque);

/* Milliseconds of the wall clock, by which the history goes. */
int64_t keeper_wall_ms(void);

#endif
