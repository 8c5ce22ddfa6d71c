/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the contents that occur most, in little memory, while their hashes pass by: groups of
 * four counters; a hash that finds none lowers the smallest of its group and takes its place at
 * zero. What occurs often enough stays (after Misra and Gries, "Finding repeated elements", 1982).
 * A few contents make up most of the sharing of a host; a sample meets or misses them whole, which
 * is why they are looked for apart.
 */
#ifndef MEMCTL_HEAVY_H
#define MEMCTL_HEAVY_H

#include <stddef.h>
#include <stdint.h>

struct mc_heavy_counter {
    uint64_t hash;
    uint64_t count;
};

struct mc_heavy {
    struct mc_heavy_counter *counters;
    size_t groups;
};

/* Within so many bytes. -ENOMEM. */
int mc_heavy_init(struct mc_heavy *heavy, size_t bytes);
void mc_heavy_free(struct mc_heavy *heavy);
void mc_heavy_clear(struct mc_heavy *heavy);

/* Seen once more; returns how often, as far as is remembered. Never too many. */
uint64_t mc_heavy_see(struct mc_heavy *heavy, uint64_t hash);

/* It is counted elsewhere from now on. */
void mc_heavy_forget(struct mc_heavy *heavy, uint64_t hash);

#endif
