/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest says that wants to do harm, for tests of the host's side. Needs nothing of memctl.
 */
#ifndef MEMCTL_TEST_HOSTILE_H
#define MEMCTL_TEST_HOSTILE_H

#include <stddef.h>
#include <stdint.h>

struct hostile {
    uint64_t random; /* not 0 */
    uint64_t seq;
};

/* The ways to be hostile; the last is NULL. */
extern const char *const hostile_names[];

/* The next bytes in one of them: at most room, which is 8192 or more; returns how many. */
size_t hostile_bytes(struct hostile *hostile, size_t way, char *text, size_t room);

#endif
