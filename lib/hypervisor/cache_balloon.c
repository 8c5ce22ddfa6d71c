/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest's memory on its way: its balloon, what is plugged in, and copies of all of it. */
#include "hypervisor/cache_entry.h"

/* A balloon that was told a target is on its way for so long. */
#define UNDER_WAY_MS 10000

/* An event about a balloon comes within this time. */
#define EVENT_LAG_MS 1500

/* QEMU's word is newer than the last event as long as no other one came, or could have. */
void mc_cache_catch_up(struct mc_cached_domain *domain, struct mc_guest *guest)
{
    if (domain->size_ms && domain->current != domain->size_current &&
        domain->seen_ms >= domain->size_ms + EVENT_LAG_MS)
        domain->size_ms = 0;
    if (domain->size_ms)
        guest->actual = domain->size;
}

uint64_t mc_cache_told(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);
    uint64_t plugged = domain ? domain->description.plugged : 0;

    if (domain) {
        domain->told = true;
        domain->told_ms = domain->seen_ms;
    }
    mc_cache_release(cache);
    return plugged;
}

bool mc_cache_is_replugged(struct mc_domain_cache *cache, const struct mc_guest *guest)
{
    const struct mc_cached_domain *domain = mc_cache_hold(cache, guest->uuid);
    bool replugged = domain && domain->known && domain->description.pluggable &&
                     domain->current != guest->actual;

    mc_cache_release(cache);
    return replugged;
}

bool mc_cache_is_under_way(struct mc_domain_cache *cache, const char *uuid)
{
    const struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);
    bool under_way = domain && domain->told && domain->seen_ms - domain->told_ms < UNDER_WAY_MS;

    mc_cache_release(cache);
    return under_way;
}

uint64_t mc_cache_set_size(struct mc_domain_cache *cache, const char *uuid, uint64_t bytes,
                           uint64_t now_ms)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain) {
        bytes += domain->description.plugged;
        domain->size = domain->last.actual = bytes;
        domain->size_current = domain->current;
        domain->size_ms = now_ms;
    }
    mc_cache_release(cache);
    return bytes;
}

void mc_cache_copy_begins(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain) {
        domain->copied = true;
        domain->copy_events++;
    }
    mc_cache_release(cache);
}

bool mc_cache_is_copied(struct mc_domain_cache *cache, const char *uuid, unsigned *events)
{
    const struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);
    bool copied = domain && domain->copied;

    *events = domain ? domain->copy_events : 0;
    mc_cache_release(cache);
    return copied;
}

void mc_cache_set_copied(struct mc_domain_cache *cache, const char *uuid, bool copied,
                         unsigned events)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain && domain->copy_events == events)
        domain->copied = copied;
    mc_cache_release(cache);
}
