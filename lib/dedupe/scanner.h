/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between the files of the scanner:
 *
 *   scanner.c   the guests, the passes and their reports
 *   walk.c      where the next pages are: from the pagemap to a batch
 *   match.c     from a batch to the hint frames; equal hashes are compared
 *   scan_report.c   from the frames to the report
 *
 * A pass meets every page of every guest once. It begins with a census, which says how large the
 * table may be, and ends with the tally. What the table has no room for is sampled: contents whose
 * hash has `shift` zero bits at its end keep their frames, and those that occur most (heavy.h). A
 * pass in which that had to be changed is of no use for figures and only shows what to sample; the
 * next one tells.
 */
#ifndef MEMCTL_SCANNER_H
#define MEMCTL_SCANNER_H

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

struct mc_scanner {
    struct mc_scanner_config config;
    uint8_t secret[MC_HASH_SECRET];
    mc_page_hash_function *hash;
    bool sketches;
    uint8_t sketch_secret[MC_HASH_SECRET];
    struct slot slots[MC_DEDUPE_GUESTS_MAX];
    size_t slot_count; /* slots beyond were never used */
    struct mc_frames frames;
    struct mc_heavy heavy;
    struct mc_reader reader;
    struct mc_batch batch;
    unsigned shift, last_shift; /* in this pass and in the one before */
    bool calibrating;           /* the shift was raised in this pass */
    bool running;               /* a pass has begun */
    struct cursor cursor;
    uint64_t all, done; /* bytes, as for mc_scanner_progress() */
    uint64_t began_ms, cpu_us, cpu_all_us;
    uint64_t compared, different;
    struct mc_dedupe_report report;
};

/* walk.c: the next pages of the slot under the cursor into the scanner's batch; 1 when there are no
 * more of this guest, or a negative errno. */
int mc_walk_fill(struct mc_scanner *scanner);
/* Bytes that are there now. */
uint64_t mc_walk_census(struct slot *slot);

/* match.c */
int mc_match_batch(struct mc_scanner *scanner);
/* After a batch: if the table is full, sample less. */
void mc_match_make_room(struct mc_scanner *scanner);

/* scan_report.c: from the frames of a pass that was finished; the times are left out. -ENOMEM. */
int mc_report_make(struct mc_scanner *scanner, struct mc_dedupe_report *report);

static inline bool mc_slot_is_read(const struct slot *slot)
{
    return slot->used && !slot->gone && slot->guest.pagemap >= 0 &&
           (slot->guest.state == MC_DEDUPE_WAITING || slot->guest.state == MC_DEDUPE_SCANNED);
}

#endif
