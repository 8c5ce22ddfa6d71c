/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between the files of the scanner:
 *
 *   scanner.c   the guests, the passes and their reports
 *   workers.c   the threads of a step: each takes a batch, reads it, and notes what it found
 *   walk.c      where the next pages are: from the pagemap to a batch
 *   match.c     from a batch to the hint frames
 *   compare.c   pages of equal hashes in full
 *   scan_report.c   from the frames to the report
 *
 * A pass meets every page of every guest once. It begins with a census, which says how large the
 * table may be, and ends with the tally. What the table has no room for is sampled: contents whose
 * hash has `shift` zero bits at its end keep their frames, and those that occur most (heavy.h). A
 * pass in which that had to be changed is of no use for figures and only shows what to sample; the
 * next one tells.
 *
 * Threads: outside of a step there is one. In a step the guests and their descriptors stay as they
 * are; the cursor, the table and what was met belong to whoever holds the lock. Reading, hashing
 * and comparing, which take nine tenths of the time, are done without it. Frames move when others
 * are added: no pointer to one is kept from one holding of the lock to the next.
 */
#ifndef MEMCTL_SCANNER_H
#define MEMCTL_SCANNER_H

#include <pthread.h>

#include <memctl/scan.h>

#include "dedupe/frames.h"
#include "dedupe/heavy.h"
#include "dedupe/page_hash.h"
#include "dedupe/pagemap.h"
#include "dedupe/reading.h"
#include "dedupe/sketch.h"

/* A content that was met so often gets frames of its own. Twice that, and it is heavy. */
#define PROMOTE_AT 8
#define HEAVY_AT ((uint64_t)2 * PROMOTE_AT)

/* What a pass has met of one guest, in pages. */
struct met {
    uint64_t present, merged, swapped, huge, zero, nonzero;
};

struct slot {
    bool used;
    bool gone; /* removed; free again when its frames are */
    struct mc_scan_guest guest;
    struct mc_pagemap map;
    uint64_t passes;
    struct met met;
    bool whole; /* the running pass began with it: its figures will be of all its memory */
    int failed; /* in this step: a negative errno */
    struct mc_dedupe_figures figures;
    struct mc_sketch sketch;      /* of the running pass */
    struct mc_sketch last_sketch; /* of the last one */
};

struct cursor {
    size_t slot, region;
    uint64_t address; /* from here on the region was not looked at */
    struct mc_page_range ranges[MC_PAGE_RANGES];
    size_t next, count;
};

/* A page whose hash somebody has already. */
struct suspect {
    size_t index;      /* in the batch */
    unsigned guest;    /* whose frame it was */
    uint32_t page;     /* the page of that frame */
    bool inside;       /* it is this guest's own */
    bool done, equal;  /* was looked at; in full */
    bool merged;       /* the page cannot be read any more: the kernel has merged it */
    bool was_compared; /* and was not gone */
};

/* A thread, and the batch in its hands. */
struct worker {
    struct mc_scanner *scanner;
    pthread_t thread; /* of the first one: unused */
    bool started, ready;
    uint64_t steps; /* that it took part in */
    struct mc_reader reader;
    struct slot *slot;
    const struct mc_scan_region *region;
    struct mc_batch batch;
    bool huge[MC_BATCH_PAGES];
    struct met met; /* of the batch */
    size_t next;    /* page to be hashed */
    uint64_t hashes[MC_BATCH_PAGES], sketch_hashes[MC_BATCH_PAGES];
    bool zero[MC_BATCH_PAGES];
    struct suspect suspects[MC_BATCH_PAGES];
    size_t suspect_count;
};

/* What threads wait for, under the lock. */
struct workers {
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    struct worker *all[MC_SCAN_THREADS_MAX];
    unsigned count, active, busy; /* there are; take part in this step; are not through with it */
    uint64_t step;                /* its number */
    bool stop;
    uint64_t left;   /* bytes of this step that nobody has taken */
    int rc;          /* 1: the pass has come to its end */
    uint64_t cpu_us; /* of all but the first */
};

struct mc_scanner {
    struct mc_scanner_config config;
    uint8_t secret[MC_HASH_SECRET];
    mc_page_hash_function *hash;
    uint64_t zero_hash; /* of a page of zeros */
    bool sketches;
    uint8_t sketch_secret[MC_HASH_SECRET];
    struct slot slots[MC_DEDUPE_GUESTS_MAX];
    size_t slot_count; /* slots beyond were never used */
    struct mc_frames frames;
    struct mc_heavy heavy;
    struct workers workers;
    unsigned shift, last_shift; /* in this pass and in the one before */
    bool calibrating;           /* the shift was raised in this pass */
    bool running;               /* a pass has begun */
    struct cursor cursor;
    uint64_t all, done; /* bytes, as for mc_scanner_progress() */
    uint64_t began_ms, cpu_us, cpu_all_us;
    uint64_t compared, different;
    struct mc_dedupe_report report;
};

/* workers.c. -ENOMEM, -EAGAIN: threads cannot be made. */
int mc_workers_init(struct mc_scanner *scanner, unsigned count);
void mc_workers_free(struct mc_scanner *scanner);
/* About so many bytes; 1 when the pass has come to its end. */
int mc_workers_step(struct mc_scanner *scanner, uint64_t bytes);
/* Take down what any of them has mapped. */
void mc_workers_unmap(struct mc_scanner *scanner);

/* walk.c, with the lock: the next pages of the cursor's guest into the worker's batch, as far as
 * they may be there, and the cursor on; 1 when there are no more of this guest, or a negative
 * errno. */
int mc_walk_take(struct mc_scanner *scanner, struct worker *worker);
/* Without: leave only those that may be read, and count. A negative errno. */
int mc_walk_settle(struct worker *worker);
void mc_walk_go_to(struct mc_scanner *scanner, size_t slot);
/* Bytes that are there now. */
uint64_t mc_walk_census(struct slot *slot);

/* match.c. Without the lock: read and hash the batch. A negative errno. */
int mc_match_read(struct worker *worker);
/* Likewise: it is not needed any more. */
void mc_match_release(struct worker *worker);
/* With it: to the frames; leaves suspects. Afterwards, if the table is full, it samples less. */
void mc_match_note(struct mc_scanner *scanner, struct worker *worker);

/* compare.c: the suspects with what they are like, without the lock; and what follows from that,
 * with it. */
void mc_compare_all(struct worker *worker);
void mc_compare_judge(struct mc_scanner *scanner, struct worker *worker);

/* scan_report.c: from the frames of a pass that was finished; the times are left out. -ENOMEM. */
int mc_report_make(struct mc_scanner *scanner, struct mc_dedupe_report *report);

static inline bool mc_slot_is_read(const struct slot *slot)
{
    return slot->used && !slot->gone && slot->guest.pagemap >= 0 &&
           (slot->guest.state == MC_DEDUPE_WAITING || slot->guest.state == MC_DEDUPE_SCANNED);
}

#endif
