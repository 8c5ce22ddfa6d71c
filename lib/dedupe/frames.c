/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <memctl/units.h>

/* At this load a look passes four other frames on average, and a new one pushes some thirty. */
#define LOAD_MAX(size) ((size) / 8 * 7)

/* Frames that one batch of the scanner can add. */
#define BATCH_ROOM 1024

/* Of the slots, this part is at the end, for frames that are pushed over the last home. */
#define END_PART 64

#define HUGE_PAGE (2 * MC_MIB)

/* Slots of a cache line, which a look compares at once; it begins with the line's first. */
#define AT_ONCE ((size_t)4)

static size_t bytes_of(size_t size)
{
    return (size + AT_ONCE) * sizeof(struct mc_frame);
}

/* From the start of a huge page on, if there is one: a look at a small page misses the TLB. */
static void *map_slots(size_t bytes)
{
    size_t more = bytes >= HUGE_PAGE ? HUGE_PAGE : 0, before;
    uint8_t *memory =
        mmap(NULL, bytes + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t end = (bytes + MC_PAGE - 1) / MC_PAGE * MC_PAGE;

    if (memory == MAP_FAILED || !more)
        return memory;
    before = -(uintptr_t)memory % HUGE_PAGE;
    if (before)
        munmap(memory, before);
    if (more > before)
        munmap(memory + before + end, more - before);
    madvise(memory + before, bytes, MADV_HUGEPAGE);
    return memory + before;
}

int mc_frames_init(struct mc_frames *frames, size_t size)
{
    void *slots;

    if (size < MC_FRAMES_LEAST)
        size = MC_FRAMES_LEAST;
    slots = map_slots(bytes_of(size));
    if (slots == MAP_FAILED)
        return -ENOMEM;
    *frames = (struct mc_frames){.slots = slots, .size = size, .homes = size - size / END_PART};
    return 0;
}

void mc_frames_free(struct mc_frames *frames)
{
    if (frames->slots)
        munmap(frames->slots, bytes_of(frames->size));
    *frames = (struct mc_frames){0};
}

bool mc_frames_full(const struct mc_frames *frames)
{
    return frames->crowded || frames->used + BATCH_ROOM > LOAD_MAX(frames->size);
}

static size_t home_of(const struct mc_frames *frames, uint64_t hash)
{
    return (size_t)(((unsigned __int128)~hash * frames->homes) >> 64) / AT_ONCE * AT_ONCE;
}

void mc_frames_prefetch(const struct mc_frames *frames, uint64_t hash)
{
    __builtin_prefetch(&frames->slots[home_of(frames, hash)], 1);
}

/* The first slot that is empty or has this hash or a smaller one. */
static size_t place_of(const struct mc_frames *frames, uint64_t hash)
{
    size_t i = home_of(frames, hash), before;

    do {
        before = 0;
        for (size_t j = 0; j < AT_ONCE; j++) /* the greater ones come first */
            before += frames->slots[i + j].hash > hash;
        i += before;
    } while (before == AT_ONCE);
    return i;
}

struct mc_frame_match mc_frames_find(const struct mc_frames *frames, uint64_t hash, unsigned guest)
{
    struct mc_frame_match match = {0};
    size_t i;

    for (i = place_of(frames, hash); frames->slots[i].count && frames->slots[i].hash == hash; i++) {
        struct mc_frame *frame = &frames->slots[i];

        if (frame->guest != guest) {
            if (!match.peer || (frame->proven && !match.peer->proven))
                match.peer = frame;
        } else if (frame->seen && frame->count == MC_FRAME_COUNT_MAX) {
            match.full = frame;
        } else if (!match.own) {
            match.own = frame;
        }
    }
    match.room = i;
    return match;
}

struct mc_frame *mc_frames_add(struct mc_frames *frames, const struct mc_frame_match *match,
                               uint64_t hash, unsigned guest, uint64_t page)
{
    struct mc_frame *room = &frames->slots[match->room];
    size_t end = match->room;

    while (frames->slots[end].count)
        end++;
    if (end == frames->size) {
        frames->crowded = true;
        return NULL;
    }
    memmove(room + 1, room, (end - match->room) * sizeof(*room));
    *room = (struct mc_frame){.hash = hash,
                              .page = (uint32_t)page,
                              .guest = guest & 1023,
                              .count = 1,
                              .seen = 1,
                              .fresh = 1};
    frames->used++;
    return room;
}

/* Where a frame stands that comes in the order: at home, or right behind the one before. */
static size_t next_place(const struct mc_frames *frames, const struct mc_frame *frame, size_t next)
{
    size_t home = home_of(frames, frame->hash);

    return home > next ? home : next;
}

/* No frame moves up: what was put before it stood before it already. */
void mc_frames_drop(struct mc_frames *frames,
                    bool (*drop)(struct mc_frame *frame, const void *opaque), const void *opaque)
{
    size_t next = 0;

    frames->used = 0;
    frames->crowded = false;
    for (size_t i = 0; i < frames->size; i++) {
        struct mc_frame *frame = &frames->slots[i];

        if (!frame->count)
            continue;
        if (drop(frame, opaque)) {
            *frame = (struct mc_frame){0};
            continue;
        }
        next = next_place(frames, frame, next);
        if (next != i) {
            frames->slots[next] = *frame;
            *frame = (struct mc_frame){0};
        }
        next++;
        frames->used++;
    }
}

int mc_frames_resize(struct mc_frames *frames, size_t size)
{
    struct mc_frames resized;
    size_t next = 0;

    if (mc_frames_init(&resized, size) < 0)
        return -ENOMEM;
    resized.used = frames->used;
    for (size_t i = 0; i < frames->size; i++) {
        if (!frames->slots[i].count)
            continue;
        next = next_place(&resized, &frames->slots[i], next);
        if (next == resized.size) {
            mc_frames_free(&resized);
            return -ENOMEM;
        }
        resized.slots[next++] = frames->slots[i];
    }
    mc_frames_free(frames);
    *frames = resized;
    return 0;
}

size_t mc_frames_chain(const struct mc_frames *frames, size_t slot)
{
    size_t end = slot;

    while (frames->slots[end].count && frames->slots[end].hash == frames->slots[slot].hash)
        end++;
    return end - slot;
}
