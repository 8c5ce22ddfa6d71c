/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When the memory of which QEMU is measured, and what came out. */
#include "hypervisor/cache_entry.h"

#include <string.h>

/* QEMU's own memory is measured again after so long; less at first, while it still grows. */
#define OVERHEAD_LASTS_MS 300000
#define OVERHEAD_FIRST_MS 2000

/* What resident memory may change by until it is worth a look before that. */
#define OVERHEAD_TOLERANCE MC_MIB

static bool overhead_is_due(const struct mc_cached_domain *domain, uint64_t now_ms)
{
    uint64_t change = domain->rss > domain->overhead_rss ? domain->rss - domain->overhead_rss
                                                         : domain->overhead_rss - domain->rss;

    if (!domain->known || !domain->pid || now_ms < domain->overhead_next_ms)
        return false;
    return change > OVERHEAD_TOLERANCE || !domain->overhead_pause_ms ||
           now_ms >= domain->overhead_last_ms + OVERHEAD_LASTS_MS;
}

bool mc_cache_overhead_due(struct mc_domain_cache *cache, uint64_t now_ms,
                           struct mc_overhead_due *due)
{
    struct mc_cached_domain *first = NULL;

    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < cache->count; i++) {
        struct mc_cached_domain *domain = cache->domains[i];

        if (overhead_is_due(domain, now_ms) &&
            (!first || domain->overhead_next_ms < first->overhead_next_ms))
            first = domain;
    }
    if (first) {
        memcpy(due->uuid, first->uuid, sizeof(due->uuid));
        due->pid = first->pid;
        due->backend_count = first->description.backend_count;
        memcpy(due->backends, first->description.backends, sizeof(due->backends));
        first->overhead_pause_ms = first->overhead_pause_ms
                                       ? mc_min_u64(first->overhead_pause_ms * 4, OVERHEAD_LASTS_MS)
                                       : OVERHEAD_FIRST_MS;
        first->overhead_next_ms = now_ms + first->overhead_pause_ms;
        first->overhead_last_ms = now_ms;
        first->overhead_rss = first->rss;
    }
    mc_cache_release(cache);
    return first;
}

void mc_cache_set_overhead(struct mc_domain_cache *cache, const char *uuid,
                           const struct mc_qemu_memory *memory)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain)
        domain->memory = *memory;
    mc_cache_release(cache);
}
