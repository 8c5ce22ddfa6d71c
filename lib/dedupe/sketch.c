/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/sketch.h"

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
