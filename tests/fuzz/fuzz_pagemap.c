/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries of /proc/PID/pagemap: the ranges are in order, hold what is there, and nothing else. */
#include "fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

#include "dedupe/pagemap.h"

#define START UINT64_C(0x7f0000000000)
#define MOST 8

const char *const fuzz_seeds[] = {
    "aaaaaaa\x81"
    "aaaaaaa\x81"
    "aaaaaaa\x01"
    "aaaaaaa\x41"
    "aaaaaaa\xa1",
    "aaaaaaa\x81"
    "aaaaaaa\x01"
    "aaaaaaa\x81"
    "aaaaaaa\x01"
    "aaaaaaa\xc1",
    "",
    NULL,
};

static void demand(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t count = size / sizeof(uint64_t), inside = 0, there = 0, found;
    uint64_t *entries = malloc(count * sizeof(*entries) + 1), reached = START, last = START;
    struct mc_page_range ranges[MOST];

    demand(entries != NULL);
    if (count)
        memcpy(entries, data, count * sizeof(*entries));
    found = mc_pagemap_group(START, entries, count, ranges, MOST, &reached);
    demand(found <= MOST);
    for (size_t i = 0; i < found; i++) {
        demand(ranges[i].start >= last && ranges[i].end > ranges[i].start);
        demand(ranges[i].end <= reached);
        demand(ranges[i].kinds & (MC_PAGES_PRESENT | MC_PAGES_SWAPPED));
        last = ranges[i].end;
        inside += (ranges[i].end - ranges[i].start) / MC_PAGE;
    }
    demand(found == MOST || reached == START + count * MC_PAGE);
    for (size_t i = 0; i < (reached - START) / MC_PAGE; i++)
        there += (entries[i] & (MC_PAGEMAP_PRESENT | MC_PAGEMAP_SWAPPED)) != 0;
    demand(inside == there);
    free(entries);
    return 0;
}
