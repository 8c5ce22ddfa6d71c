/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small fingerprint of what a guest's memory contains: the k smallest hashes of its contents,
 * under a key that the operator's hosts have in common (Bar-Yossef and others, "Counting distinct
 * elements in a data stream", 2002; used for placing guests by Wood and others, "Memory Buddies",
 * VEE 2009). From the sketches of two guests on two hosts follows how much they would share on one,
 * within a few per cent, and from a sketch nothing follows about contents that one does not have.
 */
#ifndef MEMCTL_SKETCH_H
#define MEMCTL_SKETCH_H

#include <stddef.h>
#include <stdint.h>

#include <memctl/dedupe.h>

static inline void mc_sketch_clear(struct mc_sketch *sketch)
{
    sketch->count = 0;
}

void mc_sketch_add_slow(struct mc_sketch *sketch, uint64_t hash);

/* A content; the same one again changes nothing. */
static inline void mc_sketch_add(struct mc_sketch *sketch, uint64_t hash)
{
    if (sketch->count < MC_SKETCH_SIZE || hash < sketch->hashes[MC_SKETCH_SIZE - 1])
        mc_sketch_add_slow(sketch, hash);
}

#endif
