/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc/PID/smaps says about the mappings that a guest's memory lies in. */
#ifndef MEMCTL_SMAPS_H
#define MEMCTL_SMAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <memctl/scan.h>

/* One mapping, or several that adjoin and are alike. */
struct mc_mapping {
    uint64_t start, end;
    bool shared;
    uint64_t offset; /* in its file */
    unsigned major, minor;
    uint64_t inode;     /* 0: anonymous */
    uint64_t page_size; /* of the page tables: larger than MC_PAGE for hugetlbfs */
    bool mergeable;     /* KSM looks at it (mg) */
    uint64_t resident;
    uint64_t ksm; /* bytes that KSM has merged, where the kernel tells (6.6) */
};

/*
 * The mapping that holds `address` and all that adjoin it up to address + size. -ENOENT where part
 * of that is not mapped, -EINVAL where it is mapped in different ways (files, sharing), -EIO; with
 * a sentence. The stream is read from where it stands.
 */
int mc_smaps_find(FILE *smaps, uint64_t address, uint64_t size, struct mc_mapping *mapping,
                  struct mc_error *err);

/* Memory of a process that KSM may look at, and how much of it lies in regions. */
struct mc_mergeable {
    uint64_t all, inside;
};

/* The regions do not overlap. -EIO with a sentence. */
int mc_smaps_mergeable(FILE *smaps, const struct mc_scan_region *regions, size_t count,
                       struct mc_mergeable *mergeable, struct mc_error *err);

#endif
