/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTL_EXPLAIN_H
#define MEMCTL_EXPLAIN_H

#include <stdio.h>

#include <jansson.h>

/* The daemon's answer to `explain` in sentences, lines of at most width columns but for the first.
 */
void explain_write(FILE *out, int width, const json_t *result);

#endif
