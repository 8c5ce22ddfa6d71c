/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTL_HOST_H
#define MEMCTL_HOST_H

#include <pthread.h>

#include <memctl/model.h>

/*
 * Open files of a proc file system, so that a reading opens nothing, and what was read last. Both
 * files cost the kernel more than they tell in a calm moment; see host.c for when they are read.
 */
struct mc_host_reader {
    int meminfo;
    int pressure;         /* -1: the kernel has none */
    int stalled;          /* a trigger: POLLPRI after any stall; -1: there can be none */
    int wakes, wakes_set; /* mc_host_stalls() */

    pthread_mutex_t lock; /* of what is below */
    struct mc_host last;
    uint64_t last_free, memory_read_ms;
    uint64_t pressure_until_ms; /* as long is it read each time */
};

/*
 * Open a proc file system (normally "/proc"). A kernel without PSI has no pressure file, which is
 * no error. Negative errno with a sentence if meminfo cannot be opened, and nothing to close then.
 */
int mc_host_open(const char *proc, struct mc_host_reader *reader, struct mc_error *err);
void mc_host_close(struct mc_host_reader *reader);

/* Have the kernel tell of stalls, for this host's own /proc. Where it cannot, all is read. */
void mc_host_watch(struct mc_host_reader *reader);

/*
 * A descriptor that is readable for a moment whenever tasks have waited for memory for a
 * twentieth of the time, at most once a second; -1 without mc_host_watch() or where that is
 * not possible. It belongs to the reader.
 */
int mc_host_stalls(const struct mc_host_reader *reader);

/*
 * Memory and pressure at now_ms of a clock that goes forward, from any thread. -EIO or -EBADMSG
 * with a sentence if meminfo cannot be read.
 */
int mc_host_read(struct mc_host_reader *reader, uint64_t now_ms, struct mc_host *host,
                 struct mc_error *err);

#endif
