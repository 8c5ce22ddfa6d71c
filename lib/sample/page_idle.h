/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random pages of a process, and whether they are touched, by idle page tracking. */
#ifndef MEMCTL_PAGE_IDLE_H
#define MEMCTL_PAGE_IDLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <memctl/error.h>
#include <memctl/model.h>

#define MC_SAMPLE_PAGES 100

/* The host's files, which stay open. */
struct mc_page_idle {
    const char *root;
    int bitmap, flags;
    uint64_t seed;
};

/* Pages of one process that were marked as idle. */
struct mc_idle_pages {
    int pagemap; /* -1: none are */
    size_t count;
    struct mc_idle_page {
        uint64_t address;
        uint64_t frame; /* where it was */
        uint64_t head;  /* the frame that the kernel keeps its mark with */
    } pages[MC_SAMPLE_PAGES];
};

/* -ENOENT where the kernel has no such thing, other negative errno; root outlives it. */
int mc_page_idle_open(struct mc_page_idle *idle, const char *root, uint64_t seed);
void mc_page_idle_close(struct mc_page_idle *idle);

/*
 * Choose pages that are resident, and mark them. 0; -ESRCH when the process has ended, -EPERM when
 * the kernel does not say where pages are (CAP_SYS_ADMIN is missing), other negative errno.
 */
int mc_page_idle_mark(struct mc_page_idle *idle, pid_t pid, const struct mc_ram *ram,
                      unsigned ram_count, struct mc_idle_pages *pages);

/* How many of them are still where they were, and of these were touched. Ends the marking. */
void mc_page_idle_look(const struct mc_page_idle *idle, struct mc_idle_pages *pages,
                       unsigned *looked, unsigned *touched);

#endif
