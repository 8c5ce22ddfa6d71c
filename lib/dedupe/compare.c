/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "dedupe/scanner.h"

/* Copies often lie side by side as well: so many entries of the pagemap at once. */
#define PEER_ENTRIES 16

/* Pages of one guest that suspects are compared with. */
struct peers {
    const struct slot *slot;
    size_t region;
    struct mc_batch batch;
    struct suspect *suspects[MC_BATCH_PAGES];
    uint64_t looked_at; /* the pagemap was, from this address on */
    uint64_t entries[PEER_ENTRIES];
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

struct comparing {
    const uint8_t *one, *two;
    bool equal;
};

/* The page in the batch can have vanished as well. */
static void compare_guarded(void *opaque)
{
    struct comparing *comparing = opaque;

    comparing->equal = memcmp(comparing->one, comparing->two, MC_PAGE) == 0;
}

static void compare(const struct worker *worker, struct suspect *suspect, const uint8_t *page)
{
    struct comparing comparing = {page, worker->batch.pages[suspect->index], false};

    suspect->done = true;
    suspect->was_compared = mc_reader_try(compare_guarded, &comparing) == 0;
    suspect->equal = suspect->was_compared && comparing.equal;
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

/* The entry of a private page; 0 if there is none any more. */
static uint64_t entry_of(struct peers *peers, uint64_t address)
{
    const struct mc_scan_region *region = &peers->slot->guest.regions[peers->region];
    size_t count =
        (size_t)mc_min_u64((region->address + region->size - address) / MC_PAGE, PEER_ENTRIES);

    if (!peers->looked_at || address < peers->looked_at ||
        address >= peers->looked_at + PEER_ENTRIES * MC_PAGE) {
        memset(peers->entries, 0, sizeof(peers->entries));
        peers->looked_at = address;
        if (mc_pagemap_entries(&peers->slot->map, address, peers->entries, count) < 0)
            return 0;
    }
    return peers->entries[(address - peers->looked_at) / MC_PAGE];
}

static void add_peer(struct peers *peers, struct suspect *suspect)
{
    struct mc_batch *batch = &peers->batch;
    uint64_t address, entry = 0;
    size_t region;
    bool there = locate(peers->slot, suspect->page, &region, &address);

    if (there && batch->count && region != peers->region)
        return; /* in the next round */
    peers->region = there ? region : peers->region;
    if (there && peers->slot->guest.regions[region].fd < 0) {
        entry = entry_of(peers, address);
        there = mc_pagemap_is_readable(entry);
    }
    if (!there) {
        suspect->done = true;
        suspect->merged = (entry & MC_PAGEMAP_PRESENT) != 0;
        return;
    }
    peers->suspects[batch->count] = suspect;
    batch->addresses[batch->count++] = address;
}

static void compare_with(struct worker *worker, struct peers *peers)
{
    const struct mc_scan_guest *guest = &peers->slot->guest;
    const struct mc_scan_region *region = &guest->regions[peers->region];
    uint8_t *copies = worker->reader.peers;
    int rc = region->fd < 0 ? mc_read_private(guest->pid, &peers->batch, copies)
                            : mc_read_shared_copies(region, &peers->batch, copies);

    for (size_t i = 0; i < peers->batch.count; i++) {
        if (rc < 0 || !peers->batch.pages[i])
            peers->suspects[i]->done = true;
        else
            compare(worker, peers->suspects[i], peers->batch.pages[i]);
    }
}

/* The suspects whose other page is of this guest, and there in one region. */
static void compare_in(struct worker *worker, struct peers *peers, size_t first)
{
    unsigned guest = worker->suspects[first].guest;

    peers->slot = &worker->scanner->slots[guest];
    peers->batch.count = 0;
    peers->region = 0;
    peers->looked_at = 0;
    for (size_t i = first; i < worker->suspect_count; i++) {
        struct suspect *suspect = &worker->suspects[i];
        const uint8_t *near;

        if (suspect->done || suspect->guest != guest)
            continue;
        near = suspect->inside ? in_batch(&worker->batch, suspect->page) : NULL;
        if (near)
            compare(worker, suspect, near);
        else if (mc_slot_is_read(peers->slot))
            add_peer(peers, suspect);
        else
            suspect->done = true;
    }
    if (peers->batch.count)
        compare_with(worker, peers);
}

void mc_compare_all(struct worker *worker)
{
    struct peers peers;

    for (size_t first = 0; first < worker->suspect_count; first += worker->suspects[first].done)
        if (!worker->suspects[first].done) /* else: one of another region waits */
            compare_in(worker, &peers, first);
}

/* The other page has changed, or is gone or merged: the new one stands for the content. */
static void replace(struct worker *worker, const struct suspect *suspect, struct mc_frame *own)
{
    if (own)
        own->page = worker->batch.numbers[suspect->index];
    if (suspect->merged) { /* counted as read, and merged now */
        worker->slot->met.merged++;
        worker->slot->met.nonzero--;
    }
}

void mc_compare_judge(struct mc_scanner *scanner, struct worker *worker)
{
    for (size_t i = 0; i < worker->suspect_count; i++) {
        const struct suspect *suspect = &worker->suspects[i];
        uint64_t hash = worker->hashes[suspect->index];
        struct mc_frame *own =
            mc_frames_find(&scanner->frames, hash, (unsigned)(worker->slot - scanner->slots)).own;
        struct mc_frame *other = mc_frames_find(&scanner->frames, hash, suspect->guest).own;

        scanner->compared += suspect->was_compared;
        scanner->different += !suspect->equal;
        if (!suspect->equal && suspect->inside) {
            replace(worker, suspect, own);
        } else if (suspect->equal && suspect->inside && own) {
            own->copied = 1;
            own->count++; /* a frame that is full is not found */
        } else if (suspect->equal && own && other) {
            own->proven = 1;
            other->proven = 1;
        }
    }
}
