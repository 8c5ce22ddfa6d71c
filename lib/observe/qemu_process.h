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

/*
 * Is the process stopped, by a signal or a debugger? Then QEMU answers nobody until it goes on, and
 * a call that asks it something waits for as long.
 */
bool mc_qemu_is_stopped(pid_t pid);

/* Does it wait for a disk, or for something else that nothing can interrupt? It may be for a
 * moment.
 */
bool mc_qemu_is_blocked(pid_t pid);

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
