/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* A probe takes two cache lines on average at this load, and quickly more beyond it. */
#define LOAD_MAX(size) ((size) / 8 * 7)

/* Frames that one batch of the scanner can add. */
#define BATCH_ROOM 1024

int mc_frames_init(struct mc_frames *frames, size_t size)
{
    void *slots;

    if (size < MC_FRAMES_LEAST)
        size = MC_FRAMES_LEAST;
    slots = mmap(NULL, size * sizeof(struct mc_frame), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED)
        return -ENOMEM;
    /* Every look goes to a page of its own otherwise, and misses the TLB. */
    madvise(slots, size * sizeof(struct mc_frame), MADV_HUGEPAGE);
    *frames = (struct mc_frames){.slots = slots, .size = size};
    return 0;
}

void mc_frames_free(struct mc_frames *frames)
{
    if (frames->slots)
        munmap(frames->slots, frames->size * sizeof(struct mc_frame));
    *frames = (struct mc_frames){0};
}

bool mc_frames_full(const struct mc_frames *frames)
{
    return frames->used + BATCH_ROOM > LOAD_MAX(frames->size);
}

static size_t home_of(const struct mc_frames *frames, uint64_t hash)
{
    return (size_t)(((unsigned __int128)hash * frames->size) >> 64);
}

static size_t after(const struct mc_frames *frames, size_t slot)
{
    return slot + 1 == frames->size ? 0 : slot + 1;
}

void mc_frames_prefetch(const struct mc_frames *frames, uint64_t hash)
{
    __builtin_prefetch(&frames->slots[home_of(frames, hash)], 1);
}

struct mc_frame_match mc_frames_find(const struct mc_frames *frames, uint64_t hash, unsigned guest)
{
    struct mc_frame_match match = {0};

    for (size_t i = home_of(frames, hash);; i = after(frames, i)) {
        struct mc_frame *frame = &frames->slots[i];

        if (!frame->count) {
            match.room = frame;
            return match;
        }
        if (frame->hash != hash)
            continue;
        if (frame->guest != guest) {
            if (!match.peer || (frame->proven && !match.peer->proven))
                match.peer = frame;
        } else if (frame->seen && frame->count == MC_FRAME_COUNT_MAX) {
            match.full = frame;
        } else if (!match.own) {
            match.own = frame;
        }
    }
}

struct mc_frame *mc_frames_add(struct mc_frames *frames, const struct mc_frame_match *match,
                               uint64_t hash, unsigned guest, uint64_t page)
{
    *match->room = (struct mc_frame){.hash = hash,
                                     .page = (uint32_t)page,
                                     .guest = guest & 1023,
                                     .count = 1,
                                     .seen = 1,
                                     .fresh = 1};
    frames->used++;
    return match->room;
}

/* Linear probing without tombstones: into the first empty slot from its home on. */
static void put(struct mc_frames *frames, const struct mc_frame *frame)
{
    size_t i = home_of(frames, frame->hash);

    while (frames->slots[i].count)
        i = after(frames, i);
    frames->slots[i] = *frame;
    frames->used++;
}

/*
 * In the order of the slots, from one that was empty before: each frame is taken out and put in
 * again, which can only move it towards its home. Nothing that was put before it moves any more,
 * and taking out leaves gaps only behind it; so no frame loses the way from its home.
 */
void mc_frames_drop(struct mc_frames *frames,
                    bool (*drop)(const struct mc_frame *frame, const void *opaque),
                    const void *opaque)
{
    size_t start = 0;

    while (frames->slots[start].count)
        start++;
    for (size_t n = 0, i = start; n < frames->size; n++, i = after(frames, i)) {
        struct mc_frame frame = frames->slots[i];

        if (!frame.count)
            continue;
        frames->slots[i] = (struct mc_frame){0};
        frames->used--;
        if (!drop(&frame, opaque))
            put(frames, &frame);
    }
}

int mc_frames_resize(struct mc_frames *frames, size_t size)
{
    struct mc_frames resized;

    if (mc_frames_init(&resized, size) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < frames->size; i++)
        if (frames->slots[i].count)
            put(&resized, &frames->slots[i]);
    mc_frames_free(frames);
    *frames = resized;
    return 0;
}

size_t mc_frames_chain(const struct mc_frames *frames, size_t slot, struct mc_frame **chain,
                       size_t most)
{
    const struct mc_frame *first = &frames->slots[slot];
    size_t count = 0;

    if (!first->count)
        return 0;
    for (size_t i = home_of(frames, first->hash); frames->slots[i].count; i = after(frames, i)) {
        if (frames->slots[i].hash != first->hash)
            continue;
        if (!count && i != slot)
            return 0;
        if (count < most)
            chain[count] = &frames->slots[i];
        count++;
    }
    return count;
}
