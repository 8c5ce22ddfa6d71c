/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XXH3 of whole pages, in the widest vectors that the processor has. A distribution's libxxhash is
 * built for the oldest processor and loses a third of the speed; so the header is compiled here
 * once for each level, and the level is chosen when the program runs.
 */
#ifndef MEMCTL_PAGE_HASH_H
#define MEMCTL_PAGE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The secret from a seed, XXH3_SECRET_DEFAULT_SIZE bytes. */
#define MC_HASH_SECRET 192

typedef uint64_t mc_page_hash_function(const void *page, const uint8_t *secret);

/* What to hash a page of MC_PAGE bytes with on this processor; all give the same values. */
mc_page_hash_function *mc_page_hash_best(void);

/* "avx512", "avx2", "baseline": for people. */
const char *mc_page_hash_level(void);

/* Make a secret that depends on all bytes of a key. */
void mc_page_hash_secret(uint8_t secret[MC_HASH_SECRET], const void *key, size_t size);

#endif
