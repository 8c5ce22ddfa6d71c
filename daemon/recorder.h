/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a recording of all that the engine is told and answers, for `memctl replay`. A thread of
 * its own does the writing: a slow disk delays no tick. A recording that cannot go on (full disk,
 * full size, a disk that is too slow) ends with a line in the log; memctld goes on.
 */
#ifndef MEMCTLD_RECORDER_H
#define MEMCTLD_RECORDER_H

#include <jansson.h>

#include <memctl/error.h>

struct recorder;

/* Begin a new file in place of an old one. -errno with a sentence. */
int recorder_open(const char *file, struct recorder **recorder, struct mc_error *err);

/* Add a line; takes it over. Never blocks. NULL recorder: nothing is recorded. */
void recorder_write(struct recorder *recorder, json_t *line);

/* Write what is left, within a moment, and free. */
void recorder_close(struct recorder *recorder);

#endif
