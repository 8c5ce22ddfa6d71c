/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was read of the guests, until it is old, and what it says of one that is seen. */
#include "hypervisor/cache_entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A description is read again after so long even if no event came. */
#define DESCRIPTION_LASTS_MS 600000

/* One that is doubted is read again after so long. */
#define DOUBT_AFTER_MS 20000

/*
 * A guest that is seen for the first time, but has run for so long, was there before memctld: its
 * balloon may be on its way to a target that somebody else told. In one that is just being started
 * nothing is asked, since libvirt lets whoever asks wait until it has started.
 */
#define WAS_THERE_MS 60000

bool mc_cache_see(struct mc_domain_cache *cache, const char *uuid, int run_id, uint64_t now_ms)
{
    struct mc_cached_domain *domain;
    bool due = false;

    pthread_mutex_lock(&cache->lock);
    domain = mc_cache_enter(cache, uuid, run_id);
    if (domain) {
        domain->seen_ms = mc_max_u64(domain->seen_ms, now_ms);
        domain->expected = false;
        due = !domain->known || domain->stale ||
              mc_less_u64(now_ms, domain->read_ms) > DESCRIPTION_LASTS_MS;
        if (due)
            domain->stale = false;
    }
    mc_cache_release(cache);
    return due;
}

void mc_cache_keep(struct mc_domain_cache *cache, const char *uuid, int run_id,
                   const struct mc_domain_description *description, pid_t pid, uint64_t now_ms)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = mc_cache_enter(cache, uuid, run_id);
    if (domain) {
        domain->description = *description;
        domain->known = true;
        if (pid != domain->pid) {
            domain->began_ms = MC_UNKNOWN;
            mc_cache_set_process(domain, pid);
        }
        domain->read_ms = now_ms;
    }
    mc_cache_release(cache);
}

void mc_cache_set_age(struct mc_domain_cache *cache, const char *uuid, uint64_t age_ms)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain && domain->began_ms == MC_UNKNOWN && age_ms >= WAS_THERE_MS) {
        domain->told = true;
        domain->told_ms = domain->seen_ms;
    }
    if (domain && !domain->rebooted)
        domain->began_ms = mc_less_u64(domain->seen_ms, age_ms);
    mc_cache_release(cache);
}

void mc_cache_rebooted(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain)
        domain->rebooted = domain->reboots = true;
    mc_cache_release(cache);
}

void mc_cache_mark_changed(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain)
        domain->stale = true;
    mc_cache_release(cache);
}

void mc_cache_doubt(struct mc_domain_cache *cache, const char *uuid, uint64_t now_ms)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain && mc_less_u64(now_ms, domain->read_ms) > DOUBT_AFTER_MS)
        domain->stale = true;
    mc_cache_release(cache);
}

void mc_cache_mark_all_changed(struct mc_domain_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < cache->count; i++)
        cache->domains[i]->stale = true;
    mc_cache_release(cache);
}

static void remember(struct mc_cached_domain *domain, const struct mc_guest *guest)
{
    domain->last.state = guest->state;
    domain->last.memory = guest->memory;
    domain->last.actual = guest->actual;
    domain->last.rss = guest->rss;
    memcpy(domain->last.name, guest->name, sizeof(domain->last.name));
}

/* What its description says, and what was measured. */
static void describe(struct mc_cached_domain *domain, struct mc_guest *guest)
{
    const struct mc_domain_description *description = &domain->description;

    guest->memory = mc_less_u64(guest->memory, description->pluggable) + description->plugged;
    guest->exempt = description->exempt;
    guest->own = description->own;
    guest->stopped = description->stopped;
    guest->stats_period_s = description->stats_period_s;
    guest->deflates_on_oom = description->deflates_on_oom;
    guest->pid = domain->pid;
    if (domain->reboots)
        domain->began_ms = domain->seen_ms;
    domain->reboots = false;
    if (domain->pid && domain->began_ms != MC_UNKNOWN)
        guest->age_ms = mc_less_u64(domain->seen_ms, domain->began_ms);
    memcpy(guest->agent_socket, description->agent_socket, sizeof(guest->agent_socket));
    guest->known = true;
    domain->rss = guest->rss;
    guest->overhead = domain->memory.overhead;
    guest->ram_count = domain->memory.ram_count;
    memcpy(guest->ram, domain->memory.ram, sizeof(guest->ram));
    if (domain->copied && guest->exempt == MC_EXEMPT_NO)
        guest->exempt = MC_EXEMPT_MIGRATING;
    if (!guest->overhead && guest->rss != MC_UNKNOWN)
        guest->overhead = mc_less_u64(guest->rss, guest->actual); /* at the least */
}

void mc_cache_apply(struct mc_domain_cache *cache, struct mc_guest *guest)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, guest->uuid);

    if (domain) {
        domain->current = guest->actual;
        mc_cache_catch_up(domain, guest);
        remember(domain, guest);
    }
    if (domain && domain->known)
        describe(domain, guest);
    else /* nothing may be done to a guest that is not understood yet */
        guest->exempt = MC_EXEMPT_NOT_RUNNING;
    mc_cache_release(cache);
}

void mc_cache_expect(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (!domain)
        domain = mc_cache_enter(cache, uuid, -1);
    if (domain)
        domain->expected = true;
    mc_cache_release(cache);
}

int mc_cache_known(struct mc_domain_cache *cache, struct mc_known_guest **list, size_t *count)
{
    pthread_mutex_lock(&cache->lock);
    *count = cache->count;
    *list = calloc(cache->count + 1, sizeof(**list));
    for (size_t i = 0; *list && i < cache->count; i++) {
        const struct mc_cached_domain *domain = cache->domains[i];
        struct mc_known_guest *known = &(*list)[i];

        *known = domain->last;
        known->run_id = domain->run_id;
        known->pid = domain->pid;
        if (domain->pid)
            known->process = mc_qemu_state_of(domain->stat, domain->pid);
        memcpy(known->uuid, domain->uuid, sizeof(known->uuid));
    }
    mc_cache_release(cache);
    return *list ? 0 : -ENOMEM;
}

bool mc_cache_begin_lookup(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);
    bool may = domain && !domain->looked_up;

    if (may)
        domain->looked_up = true;
    mc_cache_release(cache);
    return may;
}

void mc_cache_end_lookup(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain)
        domain->looked_up = false;
    mc_cache_release(cache);
}

void mc_cache_set_own(struct mc_domain_cache *cache, const char *uuid,
                      const struct mc_settings *own)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain)
        domain->description.own = *own;
    mc_cache_release(cache);
}

void mc_cache_set_stopped(struct mc_domain_cache *cache, const char *uuid,
                          const struct mc_stopped *stopped)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain)
        domain->description.stopped = *stopped;
    mc_cache_release(cache);
}

void mc_cache_set_stats_period(struct mc_domain_cache *cache, const char *uuid, unsigned seconds)
{
    struct mc_cached_domain *domain = mc_cache_hold(cache, uuid);

    if (domain)
        domain->description.stats_period_s = seconds;
    mc_cache_release(cache);
}
