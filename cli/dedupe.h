/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of memctl dedupe. */
#ifndef MEMCTL_CLI_DEDUPE_H
#define MEMCTL_CLI_DEDUPE_H

#include "cli.h"

/* dedupe_matrix.c: who shares with whom, of the verb's report. */
struct matrix;
/* NULL when out of memory. */
struct matrix *matrix_new(const json_t *report);
void matrix_free(struct matrix *matrix);
void matrix_print(const struct matrix *matrix);
/* Returns an exit code. */
int matrix_plot(const struct matrix *matrix, const char *path);

/*
 * dedupe_merging.c: what KSM was made to merge, of the verb's answer; and of one guest in it, for
 * others that show it: "yes", "no", "part", "unknown"; what was promised before ksmd looked, or is
 * now; how much of the former is saved, "-" where it has not looked; what it costs.
 */
void merging_print(const json_t *merging);
const char *merging_state(const json_t *guest);
const char *merging_promise(const json_t *object);
void merging_kept(const json_t *object, char text[16]);
double merging_seconds(const json_t *guest);

/* dedupe_sketch.c */
int sketch_save(const struct cli *cli, const char *file, const char *guest);
int sketch_overlap(const struct cli *cli, int count, char **files);

#endif
