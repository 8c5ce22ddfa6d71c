/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page-dedupe scanner: reads the memory of guests and finds equal pages. It never writes to it,
 * brings no page in that is absent or swapped, parts no page that the kernel has merged, and breaks
 * no huge page. The process memctl-scan is made of it; it can be used alone as well.
 *
 * It is no thread's own, and one thread's at a time; it may have threads of its own, which work
 * only during a step. Shared memory is read where it is mapped, and a page that vanishes under the
 * reader's hands raises SIGBUS: the scanner handles that signal.
 */
#ifndef MEMCTL_SCAN_H
#define MEMCTL_SCAN_H

#include <memctl/dedupe.h>

#define MC_SCAN_REGIONS_MAX 32
#define MC_SCAN_THREADS_MAX 4

/* A part of a guest's memory, as it lies in the address space of its QEMU; whole pages. */
struct mc_scan_region {
    uint64_t address, size;
    int fd;          /* of shared memory, open for reading and writing (userfaultfd wants that, and
                        nothing is written); -1 for private memory */
    uint64_t offset; /* of the region in fd */
};

struct mc_scan_guest {
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    char domain[MC_UUID_TEXT];  /* trust domain */
    enum mc_dedupe_state state; /* MC_DEDUPE_OFF and _FAILED: it is only reported */
    char why[MC_ERROR_TEXT / 2];
    bool mergeable;
    pid_t pid;
    int pagemap; /* an open /proc/PID/pagemap; -1 if it is not read */
    struct mc_scan_region regions[MC_SCAN_REGIONS_MAX];
    size_t region_count;
};

/* Start from this: what owns nothing. */
MC_PUBLIC void mc_scan_guest_init(struct mc_scan_guest *guest);
/* Close its descriptors. */
MC_PUBLIC void mc_scan_guest_close(struct mc_scan_guest *guest);

/*
 * Open what is needed to read memory of a process of this host, and find out from its smaps what
 * kind of memory it is: guest->regions has addresses and sizes; fills in pid, pagemap, descriptors
 * and mergeable. Wants CAP_SYS_PTRACE and, where the process belongs to somebody else,
 * CAP_DAC_OVERRIDE. On an error nothing stays open. -ESRCH, -EACCES, -ENOENT, -EINVAL.
 */
MC_PUBLIC int mc_scan_guest_open(struct mc_scan_guest *guest, pid_t pid, struct mc_error *err);

/*
 * How much of a process' memory KSM may look at, in all and inside of the regions, by its smaps.
 * -ESRCH, -EACCES, -EIO with a sentence; err may be NULL.
 */
MC_PUBLIC int mc_scan_mergeable(pid_t pid, const struct mc_scan_region *regions, size_t count,
                                uint64_t *all, uint64_t *inside, struct mc_error *err);

struct mc_scanner_config {
    unsigned table_share; /* memory for the table, ten-thousandths of what is scanned (50: 0.5 %) */
    uint64_t table_least; /* but this much at least, bytes */
    bool compare;         /* pages of equal hashes in full before they count; else only hashes */
    unsigned threads;     /* that work in a step, the caller's among them */
};

/* 0.5 %, 1 MiB, compare, one thread. */
MC_PUBLIC struct mc_scanner_config mc_scanner_config_default(void);

struct mc_scanner;

/*
 * Makes config->threads, at most MC_SCAN_THREADS_MAX: there will not be more than that later on.
 * -ENOMEM, -EAGAIN (no threads), -EIO (no random numbers for the secret).
 */
MC_PUBLIC int mc_scanner_new(const struct mc_scanner_config *config, struct mc_scanner **scanner,
                             struct mc_error *err);
MC_PUBLIC void mc_scanner_free(struct mc_scanner *scanner);
MC_PUBLIC void mc_scanner_configure(struct mc_scanner *scanner,
                                    const struct mc_scanner_config *config);

/*
 * Say of a guest, or say it anew. Takes over its descriptors in any case. -ENOSPC when there are
 * MC_DEDUPE_GUESTS_MAX already. One that said off or failed is not read any more at once.
 */
MC_PUBLIC int mc_scanner_put(struct mc_scanner *scanner, struct mc_scan_guest *guest);
MC_PUBLIC void mc_scanner_remove(struct mc_scanner *scanner, const char *uuid);

/*
 * Go on where the last call stopped, for about so many bytes of memory. Returns 1 when that
 * finished a pass over all guests, 0 when there is more to do, -EAGAIN when there is nothing to
 * scan, or -ENOMEM.
 */
MC_PUBLIC int mc_scanner_step(struct mc_scanner *scanner, uint64_t bytes);

/*
 * From the next pass on, take a sketch of every guest as well, under this key; size 0: no more. It
 * costs hashing every page twice.
 */
MC_PUBLIC void mc_scanner_set_sketch_key(struct mc_scanner *scanner, const void *key, size_t size);
/* Of the last pass, NULL if there is none; lasts until the next call of a function above. */
MC_PUBLIC const struct mc_sketch *mc_scanner_sketch(const struct mc_scanner *scanner,
                                                    const char *uuid);

/* How far the running pass is: bytes of memory that were met, and that were there when it began. */
MC_PUBLIC void mc_scanner_progress(const struct mc_scanner *scanner, uint64_t *met, uint64_t *all);

/* Of the last finished pass; lasts until the next one is finished. */
MC_PUBLIC const struct mc_dedupe_report *mc_scanner_report(const struct mc_scanner *scanner);

#endif
