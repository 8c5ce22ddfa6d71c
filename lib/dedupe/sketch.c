/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/sketch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void mc_sketch_add_slow(struct mc_sketch *sketch, uint64_t hash)
{
    uint32_t low = 0, high = sketch->count, kept;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (sketch->hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < sketch->count && sketch->hashes[low] == hash)
        return;
    /* When it is full the largest one falls out. */
    kept = sketch->count < MC_SKETCH_SIZE ? sketch->count : MC_SKETCH_SIZE - 1;
    if (low > kept)
        return;
    memmove(&sketch->hashes[low + 1], &sketch->hashes[low], (kept - low) * sizeof(hash));
    sketch->hashes[low] = hash;
    sketch->count = kept + 1;
}

void mc_sketch_union(struct mc_sketch *into, const struct mc_sketch *from)
{
    for (uint32_t i = 0; i < from->count && i < MC_SKETCH_SIZE; i++)
        mc_sketch_add(into, from->hashes[i]);
}

/* The k-th smallest of n hashes is on average at k / (n + 1) of their range. */
double mc_sketch_contents(const struct mc_sketch *sketch)
{
    if (sketch->count < MC_SKETCH_SIZE)
        return sketch->count;
    return (MC_SKETCH_SIZE - 1) / ldexp((double)sketch->hashes[MC_SKETCH_SIZE - 1], -64);
}

static int compare(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, two = *(const uint64_t *)b;

    return (one > two) - (one < two);
}

static bool has(const struct mc_sketch *sketch, uint64_t hash)
{
    return bsearch(&hash, sketch->hashes, sketch->count, sizeof(hash), compare) != NULL;
}

/*
 * The smallest hashes of the union are a sample of it without bias, and of each it is known whether
 * both have it: had one of the two a hash that small, its own sketch would hold it.
 */
double mc_sketch_shared(const struct mc_sketch *a, const struct mc_sketch *b, double *error)
{
    struct mc_sketch all = *a;
    uint32_t both = 0;
    double part, contents;

    mc_sketch_union(&all, b);
    for (uint32_t i = 0; i < all.count; i++)
        both += has(a, all.hashes[i]) && has(b, all.hashes[i]);
    part = all.count ? (double)both / all.count : 0;
    contents = mc_sketch_contents(&all);
    *error = 0;
    /* Of the sample, and of the size of what was sampled. */
    if (all.count == MC_SKETCH_SIZE)
        *error = 1.96 * contents * (sqrt(part * (1 - part) / all.count) + part / sqrt(all.count));
    return part * contents;
}
