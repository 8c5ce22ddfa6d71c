/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers questions about the history, on a thread of its own: what a client asks may take the disk
 * some time. Questions are answered one after another; too many are refused, and one that takes too
 * long is given up.
 */
#ifndef MEMCTLD_LIBRARIAN_H
#define MEMCTLD_LIBRARIAN_H

#include "control.h"

struct librarian;

/* NULL when out of memory. */
struct librarian *librarian_new(struct event_base *base, const char *file);
/* What is not answered yet is refused. NULL is no librarian. */
void librarian_free(struct librarian *librarian);

#endif
