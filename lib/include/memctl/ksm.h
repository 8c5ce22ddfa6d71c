/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's same-page merging as /sys/kernel/mm/ksm and /proc/PID/ksm_stat show it. What a
 * kernel does not have is MC_UNKNOWN. See Documentation/admin-guide/mm/ksm.rst of Linux.
 */
#ifndef MEMCTL_KSM_H
#define MEMCTL_KSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <memctl/error.h>
#include <memctl/visibility.h>

#define MC_KSM_FOLDER "/sys/kernel/mm/ksm"

/*
 * In the order in which they are to be written: a change of the advisor sets pages_to_scan, which
 * cannot be written while there is one; and ksmd runs when all others are as they should be.
 */
enum mc_ksm_knob {
    MC_KSM_ADVISOR_MODE, /* 0 none, 1 scan-time (kernel 6.8) */
    MC_KSM_ADVISOR_MAX_CPU,
    MC_KSM_ADVISOR_MIN_PAGES,
    MC_KSM_ADVISOR_MAX_PAGES,
    MC_KSM_ADVISOR_TARGET_SCAN_TIME, /* seconds */
    MC_KSM_PAGES_TO_SCAN,
    MC_KSM_SLEEP_MS,
    MC_KSM_SMART_SCAN,
    MC_KSM_USE_ZERO_PAGES,
    MC_KSM_RUN, /* 0 off, 1 on, 2 off and everything parted */
    MC_KSM_KNOBS,
};

struct mc_ksm_knobs {
    uint64_t value[MC_KSM_KNOBS];
};

struct mc_ksm {
    bool present;
    struct mc_ksm_knobs knobs;
    uint64_t shared, sharing;  /* pages that are kept, and what they save beyond that */
    uint64_t zero_pages;       /* pages of zeros that ksmd replaced by the kernel's own */
    uint64_t full_scans;       /* passes over all that is mergeable */
    uint64_t pages_scanned;    /* since the host's boot (kernel 6.6) */
    uint64_t max_page_sharing; /* so many pages are kept as one */
    uint64_t merge_across_nodes;
};

/* One process. */
struct mc_ksm_process {
    bool tells;          /* the kernel says whether it is mergeable (6.18 does, 6.1 not) */
    bool mergeable;      /* if so: KSM looks at some of its memory */
    uint64_t items;      /* pages that KSM keeps a record of */
    uint64_t merging;    /* of its pages, those that are merged */
    uint64_t zero_pages; /* pages of zeros replaced by the kernel's own */
};

MC_PUBLIC const char *mc_ksm_knob_name(enum mc_ksm_knob knob);

/* present is false where `folder` is no KSM's. */
MC_PUBLIC void mc_ksm_read(const char *folder, struct mc_ksm *ksm);
/* -ENOENT, -EACCES, -EINVAL, with a sentence. */
MC_PUBLIC int mc_ksm_write(const char *folder, enum mc_ksm_knob knob, uint64_t value,
                           struct mc_error *err);

/* -ESRCH, -EACCES; -ENOTSUP where the kernel has no ksm_stat (before 6.1). May wait for the
 * process' own work on its memory map. */
MC_PUBLIC int mc_ksm_read_process(pid_t pid, struct mc_ksm_process *process);

#endif
