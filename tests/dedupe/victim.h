/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process with memory of known contents, which stands in for a QEMU. */
#ifndef MEMCTL_TESTS_VICTIM_H
#define MEMCTL_TESTS_VICTIM_H

#include <memctl/scan.h>

enum victim_kind {
    VICTIM_PRIVATE,     /* in small pages */
    VICTIM_HUGE,        /* private, in transparent huge pages */
    VICTIM_SHARED,      /* a memfd */
    VICTIM_SHARED_HUGE, /* a memfd in huge pages, of which the host must have enough */
};

struct victim {
    pid_t pid;
    uint64_t address, pages;
    int commands, answers;
};

/* All absent at first. It ends with this process. */
struct victim victim_start(enum victim_kind kind, uint64_t pages);
void victim_end(struct victim *victim);

/* `count` pages from `first` on get the contents id, id + step, ...; the content 0 is zeros. */
void victim_fill(struct victim *victim, uint64_t first, uint64_t count, uint64_t id, uint64_t step);
/* They are absent again. */
void victim_drop(struct victim *victim, uint64_t first, uint64_t count);
/* KSM may merge the memory. */
void victim_make_mergeable(struct victim *victim);
/* To swap, if there is any. */
void victim_page_out(struct victim *victim, uint64_t first, uint64_t count);
/* It writes new contents to these pages for ever, as fast as it can. */
void victim_churn(struct victim *victim, uint64_t first, uint64_t count);

/* Of the pages that it writes again and again: wait until each was written since the call. */
void victim_await_churn(const struct victim *victim, uint64_t first, uint64_t count);

/* A field of the memory's smaps, in bytes: "Pss", "Rss", "KSM", "AnonHugePages", "Swap". */
uint64_t victim_smaps(const struct victim *victim, const char *field);
/* Page faults of the process so far. */
uint64_t victim_faults(const struct victim *victim);

/* As a guest for a scanner; asserts that it can be opened. */
struct mc_scan_guest victim_guest(const struct victim *victim, const char *name,
                                  const char *domain);

#endif
