/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "dedupe/scanner.h"

/* The pagemap is looked at for so much at once: what it said grows old while a pass has pauses. */
#define LOOK_AHEAD MC_GIB

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

static void add_page(struct mc_scanner *scanner, uint64_t address, uint64_t base, uint64_t first)
{
    struct mc_batch *batch = &scanner->batch;

    batch->addresses[batch->count] = address;
    batch->numbers[batch->count] = (uint32_t)(first + (address - base) / MC_PAGE);
    batch->count++;
}

/* Pages before the region in the guest's count. */
static uint64_t first_page(const struct mc_scan_guest *guest, size_t region)
{
    uint64_t count = 0;

    for (size_t i = 0; i < region; i++)
        count += guest->regions[i].size / MC_PAGE;
    return count;
}

/* Private memory: only what is mapped once, and here, may be read; see reading.h. */
static int take_private(struct mc_scanner *scanner, struct slot *slot,
                        const struct mc_scan_region *region, const struct mc_page_range *range,
                        size_t count)
{
    uint64_t entries[MC_BATCH_PAGES];
    uint64_t first = first_page(&slot->guest, scanner->cursor.region);
    size_t before = scanner->batch.count;
    int rc = mc_pagemap_entries(&slot->map, range->start, entries, count);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        if (mc_pagemap_is_readable(entries[i]))
            add_page(scanner, range->start + i * MC_PAGE, region->address, first);
        else if (entries[i] & MC_PAGEMAP_PRESENT)
            slot->met.merged++;
        else if (entries[i] & MC_PAGEMAP_SWAPPED)
            slot->met.swapped++;
        slot->met.present += (entries[i] & MC_PAGEMAP_PRESENT) != 0;
    }
    if (range->kinds & MC_PAGES_HUGE)
        slot->met.huge += scanner->batch.count - before;
    return 0;
}

static void take_shared(struct mc_scanner *scanner, struct slot *slot,
                        const struct mc_scan_region *region, const struct mc_page_range *range,
                        size_t count)
{
    uint64_t first = first_page(&slot->guest, scanner->cursor.region);

    for (size_t i = 0; i < count; i++)
        add_page(scanner, range->start + i * MC_PAGE, region->address, first);
    slot->met.present += count;
    if (range->kinds & MC_PAGES_HUGE)
        slot->met.huge += count;
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

int mc_walk_fill(struct mc_scanner *scanner)
{
    struct cursor *cursor = &scanner->cursor;
    struct slot *slot = &scanner->slots[cursor->slot];
    int rc = 0;

    scanner->batch.count = 0;
    while (rc == 0 && scanner->batch.count < MC_BATCH_PAGES) {
        struct mc_page_range *range = &cursor->ranges[cursor->next];
        const struct mc_scan_region *region = &slot->guest.regions[cursor->region];
        size_t count;

        if (cursor->next == cursor->count) {
            if (scanner->batch.count)
                return 0; /* a batch is of one region */
            rc = look_ahead(scanner, slot);
            continue;
        }
        count = (size_t)mc_min_u64(pages(range), MC_BATCH_PAGES - scanner->batch.count);
        if (pass_over(slot, range)) {
            cursor->next++;
            continue;
        }
        if (region->fd >= 0)
            take_shared(scanner, slot, region, range, count);
        else
            rc = take_private(scanner, slot, region, range, count);
        range->start += count * MC_PAGE;
        cursor->next += range->start >= range->end;
    }
    return rc;
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
