/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A QEMU as a process of this host. */
#ifndef MEMCTL_QEMU_PROCESS_H
#define MEMCTL_QEMU_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <memctl/error.h>
#include <memctl/model.h>

/* The pid that libvirt wrote down, if that process runs with this UUID; else 0. */
pid_t mc_qemu_pid(const char *runtime_folder, const char *name, const char *uuid);

/* Can the process's main thread answer? */
enum mc_qemu_state {
    MC_QEMU_ABLE,    /* as far as anybody can tell; also if the process is gone */
    MC_QEMU_STOPPED, /* by a signal or a debugger: a call that asks it something waits for as long
                      */
    MC_QEMU_BLOCKED, /* it waits for a disk, or for something else that nothing can interrupt */
};

/*
 * The process's file to ask again and again, or -1 where there are no more descriptors, or no such
 * process. It stays that process's when the pid goes to another one. The caller closes it.
 */
int mc_qemu_open_stat(pid_t pid);

/* stat may be -1: then the file is opened for this one time. */
enum mc_qemu_state mc_qemu_state_of(int stat, pid_t pid);

/* How long the process has been running. -ENOENT, -ENODATA. */
int mc_qemu_age_ms(pid_t pid, uint64_t *age_ms);

struct mc_qemu_memory {
    uint64_t overhead;             /* QEMU's own, resident */
    struct mc_ram ram[MC_RAM_MAX]; /* where the guest's is; the first ones if there are more */
    unsigned ram_count;
};

/*
 * QEMU's own memory: what is resident and is not guest RAM. Guest RAM is recognised by its size:
 * a run of adjoining mappings that is exactly as large as one of the memory backends. Walks page
 * tables: a millisecond for each GiB of small pages, so not to be called every tick.
 *
 * smaps is the path of the process's smaps. Returns 0; -ENODATA if a backend was not found (then
 * the caller must estimate); other negative errno if the file cannot be read.
 */
int mc_qemu_overhead(const char *smaps, const uint64_t *backends, size_t count,
                     struct mc_qemu_memory *memory);

#endif
