/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/pagemap.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/ioctl.h>

#include <memctl/units.h>

/* linux/fs.h has these from 6.7 on; the build machine's headers may be older than its kernel. */
struct scan_region {
    uint64_t start, end, categories;
};

struct scan_arguments {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_PAGEMAP _IOWR('f', 16, struct scan_arguments)

enum {
    SCAN_PRESENT = 1 << 3,
    SCAN_SWAPPED = 1 << 4,
    SCAN_ZERO = 1 << 5,
    SCAN_HUGE = 1 << 6,
};

/* Entries that are read at once without PAGEMAP_SCAN: 32 MiB of memory. */
#define READ_ENTRIES 8192

static unsigned kinds_of_categories(uint64_t categories)
{
    static const struct {
        unsigned category, kind;
    } table[] = {
        {SCAN_PRESENT, MC_PAGES_PRESENT},
        {SCAN_SWAPPED, MC_PAGES_SWAPPED},
        {SCAN_ZERO, MC_PAGES_ZERO},
        {SCAN_HUGE, MC_PAGES_HUGE},
    };
    unsigned kinds = 0;

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (categories & table[i].category)
            kinds |= table[i].kind;
    return kinds;
}

static unsigned kinds_of_entry(uint64_t entry)
{
    return (entry & MC_PAGEMAP_PRESENT ? MC_PAGES_PRESENT : 0) |
           (entry & MC_PAGEMAP_SWAPPED ? MC_PAGES_SWAPPED : 0);
}

size_t mc_pagemap_group(uint64_t start, const uint64_t *entries, size_t count,
                        struct mc_page_range *ranges, size_t most, uint64_t *reached)
{
    struct mc_page_range *last = NULL;
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t address = start + i * MC_PAGE;
        unsigned kinds = kinds_of_entry(entries[i]);

        *reached = address;
        if (!(kinds & (MC_PAGES_PRESENT | MC_PAGES_SWAPPED))) {
            last = NULL;
        } else if (last && last->kinds == kinds) {
            last->end = address + MC_PAGE;
        } else if (found == most) {
            return found;
        } else {
            last = &ranges[found++];
            *last = (struct mc_page_range){address, address + MC_PAGE, kinds};
        }
    }
    *reached = start + count * MC_PAGE;
    return found;
}

int mc_pagemap_entries(const struct mc_pagemap *map, uint64_t address, uint64_t *entries,
                       size_t count)
{
    size_t wanted = count * sizeof(*entries);
    ssize_t got = pread(map->fd, entries, wanted, (off_t)(address / MC_PAGE * sizeof(*entries)));

    if (got < 0)
        return -errno;
    return (size_t)got == wanted ? 0 : -ESRCH;
}

static int read_ranges(const struct mc_pagemap *map, uint64_t start, uint64_t end,
                       struct mc_page_range *ranges, uint64_t *reached)
{
    uint64_t entries[READ_ENTRIES];
    size_t count = (size_t)mc_min_u64((end - start) / MC_PAGE, READ_ENTRIES);
    int rc = mc_pagemap_entries(map, start, entries, count);

    if (rc < 0)
        return rc;
    return (int)mc_pagemap_group(start, entries, count, ranges, MC_PAGE_RANGES, reached);
}

/* A process that has ended is no error to the ioctl: it finds nothing. */
static bool has_ended(const struct mc_pagemap *map, uint64_t address)
{
    uint64_t entry;

    return mc_pagemap_entries(map, address, &entry, 1) < 0;
}

int mc_pagemap_ranges(struct mc_pagemap *map, uint64_t start, uint64_t end,
                      struct mc_page_range *ranges, uint64_t *reached)
{
    struct scan_region regions[MC_PAGE_RANGES];
    struct scan_arguments arguments = {
        .size = sizeof(arguments),
        .start = start,
        .end = end,
        .vec = (uint64_t)(uintptr_t)regions,
        .vec_len = MC_PAGE_RANGES,
        .category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
        /* Not whether it is of a file (1 << 2): for that the kernel looks at each page, which takes
         * five times as long as all the rest; mc_pagemap_entries() tells it where it matters. */
        .return_mask = SCAN_PRESENT | SCAN_SWAPPED | SCAN_ZERO | SCAN_HUGE,
    };
    int found;

    if (map->reads)
        return read_ranges(map, start, end, ranges, reached);
    found = ioctl(map->fd, SCAN_PAGEMAP, &arguments);
    if (found < 0 && (errno == ENOTTY || errno == EINVAL)) {
        map->reads = true;
        return read_ranges(map, start, end, ranges, reached);
    }
    if (found < 0)
        return -errno;
    if (!found && has_ended(map, start))
        return -ESRCH;
    for (int i = 0; i < found; i++)
        ranges[i] = (struct mc_page_range){regions[i].start, regions[i].end,
                                           kinds_of_categories(regions[i].categories)};
    *reached = arguments.walk_end > start ? mc_min_u64(arguments.walk_end, end) : end;
    return found;
}
