/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "dedupe/scanner.h"

/* The pagemap is looked at for so much at once: what it said grows old while a pass has pauses. */
#define LOOK_AHEAD MC_GIB

/* Entries that are read at once: those of a whole page table. */
#define LOOK_ENTRIES 512

static uint64_t pages(const struct mc_page_range *range)
{
    return (range->end - range->start) / MC_PAGE;
}

/* Ranges of the cursor's region, or of the guest's next one. 1: this guest has no more. */
static int look_ahead(struct mc_scanner *scanner, struct slot *slot)
{
    struct cursor *cursor = &scanner->cursor;
    const struct mc_scan_region *region = &slot->guest.regions[cursor->region];
    uint64_t end, reached;
    int count;

    if (cursor->region == slot->guest.region_count)
        return 1;
    if (cursor->address < region->address)
        cursor->address = region->address;
    end = region->address + region->size;
    if (cursor->address >= end) {
        cursor->region++;
        cursor->address = 0;
        return 0;
    }
    end = mc_min_u64(end, cursor->address + LOOK_AHEAD);
    count = mc_pagemap_ranges(&slot->map, cursor->address, end, cursor->ranges, &reached);
    if (count < 0)
        return count;
    cursor->next = 0;
    cursor->count = (size_t)count;
    /* A kernel that makes no headway must not make us look for ever. */
    cursor->address = reached > cursor->address ? reached : end;
    return 0;
}

/* Pages before the region in the guest's count. */
static uint64_t first_page(const struct mc_scan_guest *guest, size_t region)
{
    uint64_t count = 0;

    for (size_t i = 0; i < region; i++)
        count += guest->regions[i].size / MC_PAGE;
    return count;
}

/* Ranges of which no page is read. */
static bool pass_over(struct slot *slot, const struct mc_page_range *range)
{
    if (!(range->kinds & MC_PAGES_PRESENT)) {
        slot->met.swapped += pages(range);
        return true;
    }
    return (range->kinds & MC_PAGES_ZERO) != 0;
}

static void take(struct worker *worker, const struct mc_page_range *range, uint64_t first,
                 size_t count)
{
    struct mc_batch *batch = &worker->batch;
    uint64_t base = worker->region->address;

    for (size_t i = 0; i < count; i++) {
        uint64_t address = range->start + i * MC_PAGE;

        batch->addresses[batch->count] = address;
        batch->numbers[batch->count] = (uint32_t)(first + (address - base) / MC_PAGE);
        worker->huge[batch->count] = (range->kinds & MC_PAGES_HUGE) != 0;
        batch->count++;
    }
}

int mc_walk_take(struct mc_scanner *scanner, struct worker *worker)
{
    struct cursor *cursor = &scanner->cursor;
    struct slot *slot = &scanner->slots[cursor->slot];
    struct mc_batch *batch = &worker->batch;
    size_t most = MC_BATCH_PAGES;
    int rc = 0;

    batch->count = 0;
    worker->slot = slot;
    while (rc == 0 && batch->count < most) {
        struct mc_page_range *range = &cursor->ranges[cursor->next];
        size_t count;

        if (cursor->next == cursor->count) {
            if (batch->count)
                return 0; /* a batch is of one region */
            rc = look_ahead(scanner, slot);
            continue;
        }
        if (pass_over(slot, range)) {
            cursor->next++;
            continue;
        }
        worker->region = &slot->guest.regions[cursor->region];
        most = mc_reader_likes(&worker->reader, worker->region);
        count = (size_t)mc_min_u64(pages(range), most - batch->count);
        take(worker, range, first_page(&slot->guest, cursor->region), count);
        range->start += count * MC_PAGE;
        cursor->next += range->start >= range->end;
    }
    return rc;
}

/* Entries of the pagemap from one of the batch's pages on. */
struct look {
    uint64_t start, end; /* addresses */
    uint64_t entries[LOOK_ENTRIES];
};

/* As far as the batch goes, in one call: where pages lie scattered, that is one for many of them.
 */
static int look_at(struct look *look, const struct worker *worker, uint64_t address)
{
    uint64_t last = worker->batch.addresses[worker->batch.count - 1];
    size_t count = (size_t)mc_min_u64((last - address) / MC_PAGE + 1, LOOK_ENTRIES);

    look->start = address;
    look->end = address + count * MC_PAGE;
    return mc_pagemap_entries(&worker->slot->map, address, look->entries, count);
}

/* Private memory: only what is mapped once, and here, may be read; see reading.h. */
static int settle_private(struct worker *worker)
{
    struct mc_batch *batch = &worker->batch;
    struct look look = {0};
    size_t kept = 0;

    for (size_t i = 0; i < batch->count; i++) {
        uint64_t address = batch->addresses[i], entry;
        int rc = address < look.end ? 0 : look_at(&look, worker, address);

        if (rc < 0)
            return rc;
        entry = look.entries[(address - look.start) / MC_PAGE];
        worker->met.present += (entry & MC_PAGEMAP_PRESENT) != 0;
        if (mc_pagemap_is_readable(entry)) {
            worker->met.huge += worker->huge[i];
            batch->addresses[kept] = address;
            batch->numbers[kept++] = batch->numbers[i];
        } else if (entry & MC_PAGEMAP_PRESENT) {
            worker->met.merged++;
        } else if (entry & MC_PAGEMAP_SWAPPED) {
            worker->met.swapped++;
        }
    }
    batch->count = kept;
    return 0;
}

int mc_walk_settle(struct worker *worker)
{
    worker->met = (struct met){0};
    if (worker->region->fd < 0)
        return settle_private(worker);
    worker->met.present = worker->batch.count;
    for (size_t i = 0; i < worker->batch.count; i++)
        worker->met.huge += worker->huge[i];
    return 0;
}

void mc_walk_go_to(struct mc_scanner *scanner, size_t slot)
{
    scanner->cursor.slot = slot;
    scanner->cursor.region = 0;
    scanner->cursor.address = 0;
    scanner->cursor.next = scanner->cursor.count = 0;
}

uint64_t mc_walk_census(struct slot *slot)
{
    struct mc_page_range ranges[MC_PAGE_RANGES];
    uint64_t bytes = 0;

    for (size_t i = 0; i < slot->guest.region_count; i++) {
        const struct mc_scan_region *region = &slot->guest.regions[i];
        uint64_t at = region->address, end = region->address + region->size, reached;

        while (at < end) {
            int count = mc_pagemap_ranges(&slot->map, at, end, ranges, &reached);

            if (count < 0 || reached <= at)
                return bytes;
            for (int j = 0; j < count; j++)
                if (ranges[j].kinds & MC_PAGES_PRESENT && !(ranges[j].kinds & MC_PAGES_ZERO))
                    bytes += ranges[j].end - ranges[j].start;
            at = reached;
        }
    }
    return bytes;
}
