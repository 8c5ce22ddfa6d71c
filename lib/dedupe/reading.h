/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading pages of a guest without leaving a trace.
 *
 * Private memory is copied with process_vm_readv(), and only pages that the pagemap calls present
 * and mapped once, looked up just before: the call parts a merged page from the others, and brings
 * in one that is absent or swapped. What changes between the look and the call is bounded by one
 * batch.
 *
 * Shared memory is mapped a window at a time and read in place. Touching an absent page there would
 * allocate it; so the window is registered with userfaultfd, whose SIGBUS feature turns that touch
 * into a signal. Where the kernel has no userfaultfd, pread() takes its place, which never
 * allocates and copies.
 */
#ifndef MEMCTL_READING_H
#define MEMCTL_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <memctl/scan.h>
#include <memctl/units.h>

/* process_vm_readv() is fastest with 512 KiB to 1 MiB at once, which stays in the second-level
 * cache. */
#define MC_BATCH_PAGES 128

struct mc_reader {
    int uffd;            /* -1: none */
    uint8_t *copies;     /* MC_BATCH_PAGES pages */
    uint8_t *peers;      /* the same, for pages that are compared */
    uint8_t *window;     /* a shared region is mapped here, or NULL */
    uint64_t mapped;     /* bytes of the window */
    uint64_t at, offset; /* what the window shows: address in the process, offset in the file */
    int fd;              /* of this file */
};

/* Pages of one guest that were read, or are to be. */
struct mc_batch {
    size_t count;
    uint64_t addresses[MC_BATCH_PAGES];
    uint32_t numbers[MC_BATCH_PAGES];     /* of the page in its guest */
    const uint8_t *pages[MC_BATCH_PAGES]; /* where they can be read now; NULL: it is not there */
};

/* -ENOMEM. */
int mc_reader_init(struct mc_reader *reader);
void mc_reader_free(struct mc_reader *reader);

/*
 * Copy private pages to `copies` and set batch->pages. All of them are to be readable in the sense
 * of mc_pagemap_is_readable(). 0, or -ESRCH, -EPERM when none can be read any more.
 */
int mc_read_private(pid_t pid, struct mc_batch *batch, uint8_t *copies);

/* Pages of a shared region that are present. */
int mc_read_shared(struct mc_reader *reader, const struct mc_scan_region *region,
                   struct mc_batch *batch);

/* Copies them to `copies` instead; absent ones are zeros. */
int mc_read_shared_copies(const struct mc_scan_region *region, struct mc_batch *batch,
                          uint8_t *copies);

/* Take the window down, so that the pages belong to the guest alone again. */
void mc_reader_unmap(struct mc_reader *reader);

/*
 * Call work(opaque), which may read batch pages. -EFAULT when one was not there: work has then been
 * left in the middle.
 */
int mc_reader_try(void (*work)(void *opaque), void *opaque);

#endif
