/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cgroup of a QEMU, in the unified hierarchy (version 2). */
#ifndef MEMCTL_CGROUP_H
#define MEMCTL_CGROUP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <memctl/error.h>

/*
 * The folder of the cgroup that holds this guest's QEMU and nothing else, below `cgroupfs`
 * (normally
 * "/sys/fs/cgroup"); `proc` is where its process is described (normally "/proc"). -ENOTSUP with a
 * sentence if it has none of its own, -ENOENT if the process is gone.
 */
int mc_cgroup_of_guest(const char *proc, const char *cgroupfs, pid_t pid, char *folder, size_t size,
                       struct mc_error *err);

/*
 * Have the kernel take that much memory from it; may take seconds. Returns 0, or 1 if there was
 * less to be had; -ENOTSUP where the kernel or the hierarchy cannot do it.
 */
int mc_cgroup_reclaim(const char *folder, uint64_t bytes, struct mc_error *err);

#endif
