/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `memctl simulate` makes of its results: tables, JSON, a picture. */
#ifndef MEMCTL_CLI_SIMULATE_H
#define MEMCTL_CLI_SIMULATE_H

#include <stdio.h>

#include <jansson.h>

#include <memctl/simulate.h>

/* All about one run, for people. */
void simulate_print(const struct mc_simulation *run);

/* Several policies beside each other, one a line. */
void simulate_print_comparison(struct mc_simulation *const *runs, size_t count);

/* Everything in base units: bytes, byte-seconds, milliseconds. */
json_t *simulate_to_json(const struct mc_simulation *run);

/* A picture that stands on its own; needs moments. */
void simulate_draw(FILE *file, const struct mc_simulation *run);

#define SIMULATE_NUMBER_TEXT 24

/* Byte-seconds in GiB s, milliseconds in s: numbers for people, without their unit. */
const char *simulate_missing(char text[SIMULATE_NUMBER_TEXT], uint64_t byte_seconds);
const char *simulate_seconds(char text[SIMULATE_NUMBER_TEXT], uint64_t ms);

#endif
