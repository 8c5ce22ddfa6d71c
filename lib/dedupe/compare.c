/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "dedupe/scanner.h"

/* Copies often lie side by side as well: up to so many entries of the pagemap at once. */
#define PEER_ENTRIES 128

/* Pages of one guest that suspects are compared with. */
struct peers {
    const struct slot *slot;
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

static void add_peer(const struct worker *worker, struct peers *peers, struct suspect *suspect)
{
    struct mc_batch *batch = &peers->batch;
    uint64_t address;
    size_t region;

    if (!locate(peers->slot, suspect->page, &region, &address)) {
        suspect->done = true;
        return;
    }
    if (!batch->count)
        peers->region = region;
    if (region != peers->region ||
        batch->count == mc_reader_likes(&worker->reader, &peers->slot->guest.regions[region]))
        return; /* in the next round */
    peers->suspects[batch->count] = suspect;
    batch->addresses[batch->count++] = address;
}

/* Entries from the address of one peer to that of the last one that lies not far behind it. */
static size_t entries_from(const struct mc_batch *batch, size_t first)
{
    uint64_t start = batch->addresses[first];
    size_t i = first + 1;

    while (i < batch->count && batch->addresses[i] > batch->addresses[i - 1] &&
           batch->addresses[i] - start < PEER_ENTRIES * MC_PAGE)
        i++;
    return (size_t)(batch->addresses[i - 1] - start) / MC_PAGE + 1;
}

static bool may_be_read(const struct mc_scan_region *region, uint64_t entry)
{
    return region->fd < 0 ? mc_pagemap_is_readable(entry) : (entry & MC_PAGEMAP_PRESENT) != 0;
}

/* Leave the peers that are there and may be read now. */
static void settle(struct peers *peers)
{
    struct mc_batch *batch = &peers->batch;
    uint64_t entries[PEER_ENTRIES], start = 0, end = 0;
    size_t kept = 0;

    for (size_t i = 0; i < batch->count; i++) {
        uint64_t address = batch->addresses[i], entry;

        if (address < start || address >= end) {
            size_t count = entries_from(batch, i);

            start = address;
            end = address + count * MC_PAGE;
            if (mc_pagemap_entries(&peers->slot->map, address, entries, count) < 0)
                memset(entries, 0, sizeof(entries));
        }
        entry = entries[(address - start) / MC_PAGE];
        if (may_be_read(&peers->slot->guest.regions[peers->region], entry)) {
            batch->addresses[kept] = address;
            peers->suspects[kept++] = peers->suspects[i];
        } else {
            peers->suspects[i]->done = true;
            peers->suspects[i]->merged = (entry & MC_PAGEMAP_PRESENT) != 0;
        }
    }
    batch->count = kept;
}

static void compare_with(struct worker *worker, struct peers *peers)
{
    const struct mc_scan_guest *guest = &peers->slot->guest;
    const struct mc_scan_region *region = &guest->regions[peers->region];
    struct mc_reader *reader = &worker->reader;
    int rc = region->fd < 0
                 ? mc_read_private(guest->pid, &peers->batch, reader->peers)
                 : mc_read_shared(reader, &reader->others, region, &peers->batch, reader->peers);

    for (size_t i = 0; i < peers->batch.count; i++) {
        if (rc < 0 || !peers->batch.pages[i])
            peers->suspects[i]->done = true;
        else
            compare(worker, peers->suspects[i], peers->batch.pages[i]);
    }
    if (region->fd >= 0)
        mc_reader_release(&reader->others, &peers->batch);
}

/* The suspects whose other page is of this guest, and there in one region. */
static void compare_in(struct worker *worker, struct peers *peers, size_t first)
{
    unsigned guest = worker->suspects[first].guest;

    peers->slot = &worker->scanner->slots[guest];
    peers->batch.count = 0;
    peers->region = 0;
    for (size_t i = first; i < worker->suspect_count; i++) {
        struct suspect *suspect = &worker->suspects[i];
        const uint8_t *near;

        if (suspect->done || suspect->guest != guest)
            continue;
        near = suspect->inside ? in_batch(&worker->batch, suspect->page) : NULL;
        if (near)
            compare(worker, suspect, near);
        else if (mc_slot_is_read(peers->slot))
            add_peer(worker, peers, suspect);
        else
            suspect->done = true;
    }
    settle(peers);
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
