/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages of a process are there, from an open /proc/PID/pagemap: with ioctl PAGEMAP_SCAN,
 * which skips what is empty in no time, where the kernel has it (6.7), by reading the map
 * otherwise. The descriptor belongs to one address space: it never shows another process of the
 * same number.
 *
 * Source: Documentation/admin-guide/mm/pagemap.rst of the kernel.
 */
#ifndef MEMCTL_PAGEMAP_H
#define MEMCTL_PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An entry of the map. */
#define MC_PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define MC_PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define MC_PAGEMAP_FILE (UINT64_C(1) << 61)      /* of a file or shared memory */
#define MC_PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56) /* mapped once, here */

enum mc_page_kind {
    MC_PAGES_PRESENT = 1, /* in memory, of whatever kind */
    MC_PAGES_SWAPPED = 2,
    MC_PAGES_ZERO = 4, /* the kernel's page of zeros, which takes no memory */
    MC_PAGES_HUGE = 8,
};

/* Pages one after another of the same kinds. */
struct mc_page_range {
    uint64_t start, end; /* addresses */
    unsigned kinds;      /* of enum mc_page_kind */
};

#define MC_PAGE_RANGES 512

struct mc_pagemap {
    int fd;
    bool reads; /* the kernel has no PAGEMAP_SCAN: zero and huge pages cannot be told apart */
};

/*
 * The ranges that are present or swapped from start to end, at most MC_PAGE_RANGES; *reached is how
 * far was looked. Returns how many, -ESRCH when the process has ended, or another negative errno.
 */
int mc_pagemap_ranges(struct mc_pagemap *map, uint64_t start, uint64_t end,
                      struct mc_page_range *ranges, uint64_t *reached);

/* The entries of `count` pages from an address on. 0, -ESRCH when the process has ended. */
int mc_pagemap_entries(const struct mc_pagemap *map, uint64_t address, uint64_t *entries,
                       size_t count);

/* May it be read without parting it from others or bringing it in? */
static inline bool mc_pagemap_is_readable(uint64_t entry)
{
    return (entry & (MC_PAGEMAP_PRESENT | MC_PAGEMAP_EXCLUSIVE | MC_PAGEMAP_FILE)) ==
           (MC_PAGEMAP_PRESENT | MC_PAGEMAP_EXCLUSIVE);
}

/* Ranges from entries, the way where there is no PAGEMAP_SCAN; returns how many were begun. */
size_t mc_pagemap_group(uint64_t start, const uint64_t *entries, size_t count,
                        struct mc_page_range *ranges, size_t most, uint64_t *reached);

#endif
