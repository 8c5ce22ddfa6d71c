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
 *
 * Of a window only one batch's pages are in our page tables at a time. A page that we map counts
 * half for the guest (Pss); and what the kernel keeps for each page is still in the processor's
 * caches when it is unmapped.
 */
#ifndef MEMCTL_READING_H
#define MEMCTL_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <memctl/scan.h>
#include <memctl/units.h>

/* What is mapped goes in the pages of one page table at once. */
#define MC_BATCH_PAGES 256

/* process_vm_readv() is fastest with 512 KiB to 1 MiB at once, which stays in the second-level
 * cache. */
#define MC_COPIED_PAGES 128

/* Shared memory, mapped. */
struct mc_window {
    uint8_t *memory;     /* or NULL */
    uint64_t mapped;     /* bytes */
    uint64_t at, offset; /* what it shows: address in the process, offset in the file */
    int fd;              /* of this file */
};

struct mc_reader {
    int uffd;                     /* -1: none */
    uint8_t *copies, *peers;      /* MC_BATCH_PAGES pages; of the batch, and to be compared */
    struct mc_window own, others; /* likewise */
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

/*
 * Pages of a shared region that are present: through the window, or to `copies` where one window
 * cannot show them all. Absent ones that are copied are zeros.
 */
int mc_read_shared(struct mc_reader *reader, struct mc_window *window,
                   const struct mc_scan_region *region, struct mc_batch *batch, uint8_t *copies);

/* How many pages of a region are best read at once. */
size_t mc_reader_likes(const struct mc_reader *reader, const struct mc_scan_region *region);

/* Unmap what was read of shared memory, so that the pages belong to the guest alone again. */
void mc_reader_release(const struct mc_window *window, const struct mc_batch *batch);
/* Take the windows down. */
void mc_reader_unmap(struct mc_reader *reader);

/*
 * Call work(opaque), which may read batch pages. -EFAULT when one was not there: work has then been
 * left in the middle.
 */
int mc_reader_try(void (*work)(void *opaque), void *opaque);

#endif
