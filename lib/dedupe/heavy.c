/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/heavy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 4

int mc_heavy_init(struct mc_heavy *heavy, size_t bytes)
{
    heavy->groups = bytes / (WAYS * sizeof(*heavy->counters));
    if (!heavy->groups)
        heavy->groups = 1;
    heavy->counters = calloc(heavy->groups * WAYS, sizeof(*heavy->counters));
    return heavy->counters ? 0 : -ENOMEM;
}

void mc_heavy_free(struct mc_heavy *heavy)
{
    free(heavy->counters);
    *heavy = (struct mc_heavy){0};
}

void mc_heavy_clear(struct mc_heavy *heavy)
{
    memset(heavy->counters, 0, heavy->groups * WAYS * sizeof(*heavy->counters));
}

static struct mc_heavy_counter *group_of(const struct mc_heavy *heavy, uint64_t hash)
{
    return &heavy->counters[(size_t)(((unsigned __int128)hash * heavy->groups) >> 64) * WAYS];
}

uint64_t mc_heavy_see(struct mc_heavy *heavy, uint64_t hash)
{
    struct mc_heavy_counter *group = group_of(heavy, hash), *least = group;

    for (size_t i = 0; i < WAYS; i++) {
        if (group[i].count && group[i].hash == hash)
            return ++group[i].count;
        if (group[i].count < least->count)
            least = &group[i];
    }
    if (least->count)
        least->count--;
    if (least->count)
        return 0;
    *least = (struct mc_heavy_counter){hash, 1};
    return 1;
}

void mc_heavy_forget(struct mc_heavy *heavy, uint64_t hash)
{
    struct mc_heavy_counter *group = group_of(heavy, hash);

    for (size_t i = 0; i < WAYS; i++)
        if (group[i].hash == hash)
            group[i].count = 0;
}
