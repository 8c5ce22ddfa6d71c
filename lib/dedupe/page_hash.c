/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/page_hash.h"

#include <string.h>

#include <xxhash.h>

mc_page_hash_function mc_page_hash_baseline, mc_page_hash_avx2, mc_page_hash_avx512;

_Static_assert(MC_HASH_SECRET >= XXH3_SECRET_SIZE_MIN, "XXH3 wants a longer secret");

static const struct {
    const char *name;
    mc_page_hash_function *function;
} levels[] = {
    {"baseline", mc_page_hash_baseline},
#ifdef __x86_64__
    {"avx2", mc_page_hash_avx2},
    {"avx512", mc_page_hash_avx512},
#endif
};

static size_t best(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return 2;
    if (__builtin_cpu_supports("avx2"))
        return 1;
#endif
    return 0;
}

mc_page_hash_function *mc_page_hash_best(void)
{
    return levels[best()].function;
}

const char *mc_page_hash_level(void)
{
    return levels[best()].name;
}

/* Blocks of 128 bits, each the hash of the key under another seed. */
void mc_page_hash_secret(uint8_t secret[MC_HASH_SECRET], const void *key, size_t size)
{
    XXH128_hash_t block;

    for (size_t at = 0; at < MC_HASH_SECRET; at += sizeof(block)) {
        block = XXH3_128bits_withSeed(key, size, at);
        memcpy(secret + at, &block, sizeof(block));
    }
}
