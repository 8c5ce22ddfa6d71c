/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTL_PARAGRAPH_H
#define MEMCTL_PARAGRAPH_H

#include <stdio.h>

/* Text beside a label of so many columns, broken between words at width, with a newline. */
void paragraph_write(FILE *out, const char *label, int label_width, int width, const char *text);

#endif
