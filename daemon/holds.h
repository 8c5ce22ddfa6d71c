/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guests that something is not tried with again before some time. */
#ifndef MEMCTLD_HOLDS_H
#define MEMCTLD_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

struct hold;

/* Starts as {0}. */
struct holds {
    struct hold *first;
};

void holds_free(struct holds *holds);

/* Without memory for it there is no hold. */
void holds_add(struct holds *holds, const char *uuid, uint64_t until_ms);

/* Is the guest held? Drops what is over. */
bool holds_has(struct holds *holds, const char *uuid, uint64_t now_ms);

#endif
