/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of hint frames (Waldspurger, "Memory Resource Management in VMware ESX Server", OSDI
 * 2002, section 4): which contents each guest has, by the hash of a page.
 *
 * A frame of 16 bytes says: guest g has `count` pages with this hash, one of them is `page`. There
 * is one frame for each hash and guest, so that the frames of one hash together say who shares that
 * content with whom. The table is one array with linear probing. The place where a hash begins to
 * be looked for grows with the hash: all frames of one hash stand close together, and a reader of
 * the table meets all of them on one walk.
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
    uint64_t spare : 1;
};

_Static_assert(sizeof(struct mc_frame) == 16, "a hint frame has 16 bytes");

struct mc_frames {
    struct mc_frame *slots;
    size_t size; /* slots */
    size_t used;
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
    struct mc_frame *room; /* the empty slot for a frame of the guest's own */
};

/* All pointers into the table last until the next call that changes its size or drops frames. */
struct mc_frame_match mc_frames_find(const struct mc_frames *frames, uint64_t hash, unsigned guest);

/* Put a frame into the match's room: count 1, seen, fresh. The table must not be full. */
struct mc_frame *mc_frames_add(struct mc_frames *frames, const struct mc_frame_match *match,
                               uint64_t hash, unsigned guest, uint64_t page);

/* Forget the frames of which `drop` says so, and close the gaps. */
void mc_frames_drop(struct mc_frames *frames,
                    bool (*drop)(const struct mc_frame *frame, const void *opaque),
                    const void *opaque);

/* Move into so many slots, which must hold twice what is used. -ENOMEM: all is as before. */
int mc_frames_resize(struct mc_frames *frames, size_t size);

/*
 * All frames of the slot's hash, for a walk over the slots: the first `most` into `chain`. Returns
 * how many there are, or 0 if the slot is empty or not the first of its hash.
 */
size_t mc_frames_chain(const struct mc_frames *frames, size_t slot, struct mc_frame **chain,
                       size_t most);

#endif
