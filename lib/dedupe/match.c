/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "dedupe/scanner.h"
#include "dedupe/tally.h"

/* A page whose hash somebody has already. Frames stay where they are for the time of a batch. */
struct suspect {
    size_t index;         /* in the batch */
    struct mc_frame *own; /* of this guest */
    struct mc_frame
        *other; /* whose page is the one to compare with; own: a copy inside the guest */
    bool done;
};

struct matching {
    struct mc_scanner *scanner;
    struct slot *slot;
    size_t next; /* page to be hashed */
    uint64_t hashes[MC_BATCH_PAGES];
    bool zero[MC_BATCH_PAGES];
    struct suspect suspects[MC_BATCH_PAGES];
    size_t suspect_count;
};

static const uint8_t zeros[MC_PAGE];

/* ---- hashing ---- */

/* May be left in the middle when a page is not there any more. */
static void hash_pages(void *opaque)
{
    struct matching *m = opaque;
    const struct mc_scanner *scanner = m->scanner;

    for (; m->next < scanner->batch.count; m->next++) {
        const uint8_t *page = scanner->batch.pages[m->next];

        if (!page)
            continue;
        m->zero[m->next] = memcmp(page, zeros, MC_PAGE) == 0;
        if (!m->zero[m->next])
            m->hashes[m->next] = scanner->hash(page, scanner->secret);
    }
}

static void hash_all(struct matching *m)
{
    while (mc_reader_try(hash_pages, m) < 0)
        m->scanner->batch.pages[m->next++] = NULL;
}

static void sketch_pages(void *opaque)
{
    struct matching *m = opaque;
    const struct mc_scanner *scanner = m->scanner;

    for (; m->next < scanner->batch.count; m->next++)
        if (scanner->batch.pages[m->next] && !m->zero[m->next])
            mc_sketch_add(&m->slot->sketch,
                          scanner->hash(scanner->batch.pages[m->next], scanner->sketch_secret));
}

/* ---- the table ---- */

static void suspect(struct matching *m, size_t index, struct mc_frame *own, struct mc_frame *other)
{
    if (!m->scanner->config.compare) {
        own->proven = own != other ? 1 : own->proven;
        other->proven = own != other ? 1 : other->proven;
        if (own == other && own->count < MC_FRAME_COUNT_MAX)
            own->count++;
        return;
    }
    m->suspects[m->suspect_count++] = (struct suspect){index, own, other, false};
}

/* Is a content that has no frame yet known to be new, because it would have one? */
static bool is_fresh(const struct matching *m, uint64_t hash)
{
    return m->slot->passes > 0 && mc_tally_samples(hash, m->scanner->last_shift) &&
           mc_tally_samples(hash, m->scanner->shift);
}

/* A content outside of the sample gets a frame when it was met often. */
static void watch_heavy(struct matching *m, size_t i, const struct mc_frame_match *match)
{
    struct mc_scanner *scanner = m->scanner;
    uint64_t count = mc_heavy_see(&scanner->heavy, m->hashes[i]);
    struct mc_frame *frame;

    if (count < PROMOTE_AT)
        return;
    mc_heavy_forget(&scanner->heavy, m->hashes[i]);
    frame = mc_frames_add(&scanner->frames, match, m->hashes[i], (unsigned)scanner->cursor.slot,
                          scanner->batch.numbers[i]);
    frame->fresh = 0;
    frame->count = count & MC_FRAME_COUNT_MAX;
}

static void note_page(struct matching *m, size_t i)
{
    struct mc_scanner *scanner = m->scanner;
    unsigned guest = (unsigned)scanner->cursor.slot;
    struct mc_frame_match match = mc_frames_find(&scanner->frames, m->hashes[i], guest);
    struct mc_frame *own = match.own;

    if (!own && !match.peer && !mc_tally_samples(m->hashes[i], scanner->shift)) {
        watch_heavy(m, i, &match);
        return;
    }
    if (own && own->seen) {
        suspect(m, i, own, own);
        return;
    }
    if (own) {
        own->seen = 1;
        own->count = 1;
        own->page = scanner->batch.numbers[i];
    } else {
        own =
            mc_frames_add(&scanner->frames, &match, m->hashes[i], guest, scanner->batch.numbers[i]);
        own->fresh = match.full ? match.full->fresh : is_fresh(m, m->hashes[i]);
        own->proven = match.full ? match.full->proven : 0;
    }
    if (match.peer && !own->proven)
        suspect(m, i, own, match.peer);
}

static void note_pages(struct matching *m)
{
    const struct mc_batch *batch = &m->scanner->batch;

    for (size_t i = 0; i < batch->count; i++)
        if (batch->pages[i] && !m->zero[i])
            mc_frames_prefetch(&m->scanner->frames, m->hashes[i]);
    for (size_t i = 0; i < batch->count; i++) {
        if (!batch->pages[i])
            continue;
        if (m->zero[i]) {
            m->slot->met.zero++;
            continue;
        }
        m->slot->met.nonzero++;
        note_page(m, i);
    }
}

/* ---- comparing ---- */

/* Pages of one guest that suspects are compared with. */
struct peers {
    struct slot *slot;
    size_t region;
    struct mc_batch batch;
    struct suspect *suspects[MC_BATCH_PAGES];
};

static bool locate(const struct slot *slot, uint64_t number, size_t *region, uint64_t *address)
{
    for (size_t i = 0; i < slot->guest.region_count; i++) {
        uint64_t count = slot->guest.regions[i].size / MC_PAGE;

        if (number < count) {
            *region = i;
            *address = slot->guest.regions[i].address + number * MC_PAGE;
            return true;
        }
        number -= count;
    }
    return false;
}

static void judge(struct matching *m, const struct suspect *suspect, const uint8_t *page)
{
    struct mc_scanner *scanner = m->scanner;
    bool inside = suspect->own == suspect->other;

    scanner->compared++;
    if (memcmp(page, scanner->batch.pages[suspect->index], MC_PAGE) != 0) {
        scanner->different++;
        if (inside) /* that page has changed: the new one stands for the content */
            suspect->own->page = scanner->batch.numbers[suspect->index];
    } else if (!inside) {
        suspect->own->proven = 1;
        suspect->other->proven = 1;
    } else if (suspect->own->count < MC_FRAME_COUNT_MAX) {
        suspect->own->count++;
    }
}

struct judging {
    struct matching *m;
    const struct suspect *suspect;
    const uint8_t *page;
};

/* The page in the batch can have vanished as well. */
static void judge_guarded(void *opaque)
{
    struct judging *judging = opaque;

    judge(judging->m, judging->suspect, judging->page);
}

static void try_to_judge(struct matching *m, struct suspect *suspect, const uint8_t *page)
{
    struct judging judging = {m, suspect, page};

    if (mc_reader_try(judge_guarded, &judging) < 0)
        m->scanner->different++;
    suspect->done = true;
}

/* The other page may be in this very batch, as copies often lie close together. */
static const uint8_t *in_batch(const struct mc_batch *batch, uint64_t number)
{
    size_t low = 0, high = batch->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (batch->numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < batch->count && batch->numbers[low] == number ? batch->pages[low] : NULL;
}

/* The page cannot be read: merged meanwhile, or gone. A new page stands for the content. */
static void give_up(struct matching *m, struct suspect *suspect, uint64_t entry)
{
    m->scanner->different++;
    suspect->done = true;
    if (suspect->own != suspect->other)
        return;
    suspect->own->page = m->scanner->batch.numbers[suspect->index];
    if (entry & MC_PAGEMAP_PRESENT) { /* counted as read, and merged now */
        m->slot->met.merged++;
        m->slot->met.nonzero--;
    }
}

static void add_peer(struct matching *m, struct peers *peers, struct suspect *suspect)
{
    struct mc_batch *batch = &peers->batch;
    uint64_t address, entry = 0;
    size_t region;
    bool there = locate(peers->slot, suspect->other->page, &region, &address);

    if (there && batch->count && region != peers->region)
        return; /* in the next round */
    if (there && peers->slot->guest.regions[region].fd < 0)
        there = mc_pagemap_entries(&peers->slot->map, address, &entry, 1) == 0 &&
                mc_pagemap_is_readable(entry);
    if (!there) {
        give_up(m, suspect, entry);
        return;
    }
    peers->region = region;
    peers->suspects[batch->count] = suspect;
    batch->addresses[batch->count++] = address;
}

static void compare_with(struct matching *m, struct peers *peers)
{
    const struct mc_scan_guest *guest = &peers->slot->guest;
    const struct mc_scan_region *region = &guest->regions[peers->region];
    uint8_t *copies = m->scanner->reader.peers;
    int rc = region->fd < 0 ? mc_read_private(guest->pid, &peers->batch, copies)
                            : mc_read_shared_copies(region, &peers->batch, copies);

    for (size_t i = 0; i < peers->batch.count; i++) {
        if (rc < 0 || !peers->batch.pages[i])
            give_up(m, peers->suspects[i], 0);
        else
            try_to_judge(m, peers->suspects[i], peers->batch.pages[i]);
    }
}

static void compare_all(struct matching *m)
{
    struct peers peers;

    for (size_t first = 0; first < m->suspect_count; first++) {
        unsigned guest = m->suspects[first].other->guest;

        if (m->suspects[first].done)
            continue;
        peers.slot = &m->scanner->slots[guest];
        peers.batch.count = 0;
        for (size_t i = first; i < m->suspect_count; i++) {
            struct suspect *suspect = &m->suspects[i];
            const uint8_t *near;

            if (suspect->done || suspect->other->guest != guest)
                continue;
            near =
                peers.slot == m->slot ? in_batch(&m->scanner->batch, suspect->other->page) : NULL;
            if (near)
                try_to_judge(m, suspect, near);
            else if (mc_slot_is_read(peers.slot))
                add_peer(m, &peers, suspect);
            else
                give_up(m, suspect, 0);
        }
        if (peers.batch.count)
            compare_with(m, &peers);
        first -= !m->suspects[first].done; /* one of another region waits */
    }
}

static int read_pages(struct mc_scanner *scanner)
{
    const struct mc_scan_guest *guest = &scanner->slots[scanner->cursor.slot].guest;
    const struct mc_scan_region *region = &guest->regions[scanner->cursor.region];

    if (region->fd >= 0)
        return mc_read_shared(&scanner->reader, region, &scanner->batch);
    return mc_read_private(guest->pid, &scanner->batch, scanner->reader.copies);
}

int mc_match_batch(struct mc_scanner *scanner)
{
    struct matching m = {.scanner = scanner, .slot = &scanner->slots[scanner->cursor.slot]};
    int rc = read_pages(scanner);

    if (rc < 0)
        return rc;
    hash_all(&m);
    note_pages(&m);
    compare_all(&m);
    m.next = 0;
    while (scanner->sketches && mc_reader_try(sketch_pages, &m) < 0)
        m.next++;
    return 0;
}

/* ---- room ---- */

/* Beyond this the sample is next to nothing: then it is the frequent contents that fill the table.
 */
#define SHIFT_ALL 24

static bool is_outside_sample(const struct mc_frame *frame, const void *opaque)
{
    const struct mc_scanner *scanner = opaque;

    bool often = frame->count >= PROMOTE_AT && scanner->shift < SHIFT_ALL;

    return (!often && !mc_tally_samples(frame->hash, scanner->shift)) ||
           !mc_slot_is_read(&scanner->slots[frame->guest]);
}

void mc_match_make_room(struct mc_scanner *scanner)
{
    while (mc_frames_full(&scanner->frames)) {
        scanner->shift++;
        scanner->calibrating = true;
        mc_frames_drop(&scanner->frames, is_outside_sample, scanner);
    }
}
