/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One page after the other to whoever has the cheapest one next. */
#ifndef MEMCTL_NEXT_PAGES_H
#define MEMCTL_NEXT_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include <memctl/allocate.h>

#include "decide/price.h"

/* A min-heap of guests, ordered by the price of the next page of each. */
struct mc_next_pages {
    const struct mc_demand *demands;
    struct mc_price *next; /* per guest; this and the heap are the caller's memory */
    uint32_t *heap;
    size_t count; /* of the heap */
};

/*
 * Add `rest` pages to what the guests have, the cheapest first; of pages of one price the one of
 * the lower key. Nobody gets more than his max. O(count + rest log count).
 */
void mc_next_pages_give(struct mc_next_pages *q, size_t count, uint64_t rest, uint64_t *pages);

#endif
