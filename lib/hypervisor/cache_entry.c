/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An array of pointers in the order of the UUIDs: looked up several times per guest and snapshot,
 * and changed only when a guest comes or goes.
 */
#include "hypervisor/cache_entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mc_cache_init(struct mc_domain_cache *cache)
{
    *cache = (struct mc_domain_cache){0};
    pthread_mutex_init(&cache->lock, NULL);
}

static void free_domain(struct mc_cached_domain *domain)
{
    if (domain->stat >= 0)
        close(domain->stat);
    free(domain);
}

void mc_cache_free(struct mc_domain_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++)
        free_domain(cache->domains[i]);
    free(cache->domains);
    pthread_mutex_destroy(&cache->lock);
}

/* Where the guest is, or belongs; the lock is held here and below. */
static size_t position(const struct mc_domain_cache *cache, const char *uuid)
{
    size_t from = 0, to = cache->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (strcmp(cache->domains[middle]->uuid, uuid) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct mc_cached_domain *find(const struct mc_domain_cache *cache, const char *uuid)
{
    size_t at = position(cache, uuid);

    if (at == cache->count || strcmp(cache->domains[at]->uuid, uuid) != 0)
        return NULL;
    return cache->domains[at];
}

struct mc_cached_domain *mc_cache_hold(struct mc_domain_cache *cache, const char *uuid)
{
    pthread_mutex_lock(&cache->lock);
    return find(cache, uuid);
}

void mc_cache_release(struct mc_domain_cache *cache)
{
    pthread_mutex_unlock(&cache->lock);
}

static bool make_room(struct mc_domain_cache *cache)
{
    size_t room = cache->room ? cache->room * 2 : 16;
    struct mc_cached_domain **domains;

    if (cache->count < cache->room)
        return true;
    domains = reallocarray(cache->domains, room, sizeof(struct mc_cached_domain *));
    if (!domains)
        return false;
    cache->domains = domains;
    cache->room = room;
    return true;
}

static struct mc_cached_domain *add(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain = make_room(cache) ? calloc(1, sizeof(*domain)) : NULL;
    size_t at = position(cache, uuid);

    if (!domain)
        return NULL;
    domain->stat = -1;
    memmove(&cache->domains[at + 1], &cache->domains[at],
            (cache->count - at) * sizeof(struct mc_cached_domain *));
    cache->domains[at] = domain;
    cache->count++;
    return domain;
}

void mc_cache_set_process(struct mc_cached_domain *domain, pid_t pid)
{
    if (domain->stat >= 0)
        close(domain->stat);
    domain->pid = pid;
    domain->stat = pid ? mc_qemu_open_stat(pid) : -1;
}

struct mc_cached_domain *mc_cache_enter(struct mc_domain_cache *cache, const char *uuid, int run_id)
{
    struct mc_cached_domain *domain = find(cache, uuid);

    if (domain && domain->run_id == run_id)
        return domain;
    if (!domain)
        domain = add(cache, uuid);
    if (!domain)
        return NULL;
    mc_cache_set_process(domain, 0);
    *domain = (struct mc_cached_domain){
        .run_id = run_id, .looked_up = domain->looked_up, .stat = domain->stat};
    snprintf(domain->uuid, sizeof(domain->uuid), "%s", uuid);
    return domain;
}

/* By the time and not by the snapshot: one that was overtaken must not drop what is newer. */
void mc_cache_forget(struct mc_domain_cache *cache, uint64_t now_ms)
{
    size_t kept = 0;

    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < cache->count; i++) {
        struct mc_cached_domain *domain = cache->domains[i];

        if (domain->seen_ms < now_ms && !domain->expected) {
            free_domain(domain);
        } else {
            domain->expected = false; /* for one snapshot: then it was there, or is gone */
            cache->domains[kept++] = domain;
        }
    }
    cache->count = kept;
    mc_cache_release(cache);
}
