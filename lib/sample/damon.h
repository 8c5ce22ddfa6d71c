/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DAMON over processes, through sysfs. */
#ifndef MEMCTL_SAMPLE_DAMON_H
#define MEMCTL_SAMPLE_DAMON_H

#include <stdint.h>
#include <sys/types.h>

#include <memctl/error.h>
#include <memctl/model.h>

/* Aggregations until what it says of a process can be relied on. */
#define MC_DAMON_LEARNS 4

struct mc_damon {
    const char *root;
    uint64_t window_ms; /* the length of an aggregation */
    unsigned places;    /* one for each process that is looked at */
};

/* What the kernel has counted of a process, as it grows: bytes times aggregations. */
struct mc_damon_count {
    uint64_t all, touched, busy;
};

/*
 * Take DAMON over, with no place yet. -ENOENT where the kernel has none, -EBUSY when somebody else
 * uses it, -EOPNOTSUPP where it cannot look at processes, other negative errno. What a memctld that
 * was killed has left behind is cleared away.
 */
int mc_damon_open(struct mc_damon *damon, const char *root, uint64_t window_ms);
void mc_damon_close(struct mc_damon *damon);

/* Have that many places, all of them empty. */
int mc_damon_make_places(struct mc_damon *damon, unsigned count);

/* Begin to look at a process from a place. */
int mc_damon_begin(const struct mc_damon *damon, unsigned place, pid_t pid,
                   const struct mc_ram *ram, unsigned ram_count);
void mc_damon_end(const struct mc_damon *damon, unsigned place);

/*
 * Waits until the kernel looks at the process next: a twentieth of the window, on old kernels all
 * of it. -ESRCH when it has ended.
 */
int mc_damon_count(const struct mc_damon *damon, unsigned place, struct mc_damon_count *count);

#endif
