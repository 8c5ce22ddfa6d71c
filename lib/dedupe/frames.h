/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of hint frames (Waldspurger, "Memory Resource Management in VMware ESX Server", OSDI
 * 2002, section 4): which contents each guest has, by the hash of a page.
 *
 * A frame of 16 bytes says: guest g has `count` pages with this hash, one of them is `page`. There
 * is one frame for each hash and guest, so that the frames of one hash together say who shares that
 * content with whom. The table is one array with linear probing, in which the place where a hash
 * begins to be looked for falls as the hash grows, and frames stand in the order of their hashes,
 * the greatest first (Amble and Knuth, "Ordered hash tables", 1974). So all frames of one hash
 * stand side by side, a look ends at the first smaller hash even where the table is nearly full,
 * and to forget or to move frames is one walk. An empty slot has the hash 0 and ends a look
 * likewise: so a look compares hashes and nothing else, and some of them without waiting for the
 * answer, as it would be guessed wrong half of the time. The price is that a new frame pushes those
 * behind it up to the next empty slot. There is no way around from the last slot to the first: some
 * slots at the end are no hash's own.
 *
 * Frames stay from one pass to the next. A content that has no frame from the last pass is fresh:
 * a page was written since. That replaces a hash remembered for each page, which would cost half as
 * much again.
 */
#ifndef MEMCTL_FRAMES_H
#define MEMCTL_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MC_FRAME_COUNT_MAX ((1U << 18) - 1)

struct mc_frame {
    uint64_t hash;
    uint64_t page : 32;  /* one of the pages, counted from the guest's first */
    uint64_t guest : 10; /* of the scanner's guests */
    uint64_t count : 18; /* pages; 0: the slot is empty. When full, another frame goes on. */
    uint64_t seen : 1;   /* in this pass; until then count and page are those of the last one */
    uint64_t fresh : 1;  /* not there in the last pass */
    uint64_t proven : 1; /* compared in full with a page of another frame of this hash */
    uint64_t copied : 1; /* compared in full with another page of this guest */
};

_Static_assert(sizeof(struct mc_frame) == 16, "a hint frame has 16 bytes");

struct mc_frames {
    struct mc_frame *slots; /* and a few more, which stay empty */
    size_t size;            /* slots */
    size_t homes;           /* the first so many, in which looks begin */
    size_t used;
    bool crowded; /* the last slots had no room for a frame */
};

/* So many slots, at least MC_FRAMES_LEAST. -ENOMEM. */
#define MC_FRAMES_LEAST ((size_t)4096)
int mc_frames_init(struct mc_frames *frames, size_t size);
void mc_frames_free(struct mc_frames *frames);

/* Is there so little room that another batch might fill it? */
bool mc_frames_full(const struct mc_frames *frames);

/* Have the processor fetch what a look at this hash will need. */
void mc_frames_prefetch(const struct mc_frames *frames, uint64_t hash);

struct mc_frame_match {
    struct mc_frame *own;  /* the guest's frame that can count on, or NULL */
    struct mc_frame *full; /* the guest's frame that cannot, or NULL */
    struct mc_frame *peer; /* a frame of another guest, a proven one if there is one; or NULL */
    size_t room;           /* the slot for a frame of the guest's own */
};

/* All pointers into the table last until a frame is added or dropped. */
struct mc_frame_match mc_frames_find(const struct mc_frames *frames, uint64_t hash, unsigned guest);

/* Put a frame into the match's room: count 1, seen, fresh. NULL when the table is crowded there. */
struct mc_frame *mc_frames_add(struct mc_frames *frames, const struct mc_frame_match *match,
                               uint64_t hash, unsigned guest, uint64_t page);

/* Forget the frames of which `drop` says so, and close the gaps; it may change the others' flags.
 */
void mc_frames_drop(struct mc_frames *frames,
                    bool (*drop)(struct mc_frame *frame, const void *opaque), const void *opaque);

/* Move into so many slots, which must hold twice what is used. -ENOMEM: all is as before. */
int mc_frames_resize(struct mc_frames *frames, size_t size);

/* How many frames there are from this slot on with its hash: 0 if it is empty. */
size_t mc_frames_chain(const struct mc_frames *frames, size_t slot);

#endif
