/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An array of pointers in the order of the UUIDs: looked up several times per guest and snapshot,
 * and changed only when a guest comes or goes.
 */
#include "hypervisor/domain_cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* QEMU's own memory is measured again after so long; less at first, while it still grows. */
#define OVERHEAD_LASTS_MS 300000
#define OVERHEAD_FIRST_MS 2000

/* What resident memory may change by until it is worth a look before that. */
#define OVERHEAD_TOLERANCE MC_MIB

/* A description is read again after so long even if no event came. */
#define DESCRIPTION_LASTS_MS 600000

/* One that is doubted is read again after so long. */
#define DOUBT_AFTER_MS 20000

/* A balloon that was told a target is on its way for so long. */
#define UNDER_WAY_MS 10000

/*
 * A guest that is seen for the first time, but has run for so long, was there before memctld: its
 * balloon may be on its way to a target that somebody else told. In one that is just being started
 * nothing is asked, since libvirt lets whoever asks wait until it has started.
 */
#define WAS_THERE_MS 60000

/* An event about a balloon comes within this time. */
#define EVENT_LAG_MS 1500

struct mc_cached_domain {
    char uuid[MC_UUID_TEXT];
    int run_id;
    uint64_t seen_ms;
    bool expected;  /* an event said that it runs, and no snapshot did yet */
    bool looked_up; /* somebody is at it */
    struct mc_known_guest last;
    bool known; /* the description below is that of this run */
    bool stale; /* libvirt said that something changed */
    uint64_t read_ms;
    struct mc_domain_description description;
    bool copied;          /* a job copies its memory away */
    unsigned copy_events; /* that said so */
    pid_t pid;
    uint64_t began_ms; /* when its QEMU was started or it rebooted, MC_UNKNOWN */
    bool rebooted;     /* QEMU's age is not its age */
    bool reboots;      /* it did, and began_ms does not say so yet */
    uint64_t current;  /* as libvirt says it */
    bool told; /* its balloon's target, by us or perhaps by somebody before us */
    uint64_t told_ms;
    uint64_t size, size_ms; /* as QEMU said last, and when; size_ms 0: events are newer */
    uint64_t size_current;  /* as libvirt said then */
    struct mc_qemu_memory memory;
    uint64_t overhead_next_ms, overhead_pause_ms, overhead_last_ms;
    uint64_t rss, overhead_rss; /* now, and when it was measured */
};

void mc_cache_init(struct mc_domain_cache *cache)
{
    *cache = (struct mc_domain_cache){0};
    pthread_mutex_init(&cache->lock, NULL);
}

void mc_cache_free(struct mc_domain_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++)
        free(cache->domains[i]);
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
    memmove(&cache->domains[at + 1], &cache->domains[at],
            (cache->count - at) * sizeof(struct mc_cached_domain *));
    cache->domains[at] = domain;
    cache->count++;
    return domain;
}

/* The guest's entry for this run; what was known of an earlier run is forgotten. */
static struct mc_cached_domain *entry(struct mc_domain_cache *cache, const char *uuid, int run_id)
{
    struct mc_cached_domain *domain = find(cache, uuid);

    if (domain && domain->run_id == run_id)
        return domain;
    if (!domain)
        domain = add(cache, uuid);
    if (!domain)
        return NULL;
    *domain = (struct mc_cached_domain){.run_id = run_id, .looked_up = domain->looked_up};
    snprintf(domain->uuid, sizeof(domain->uuid), "%s", uuid);
    return domain;
}

bool mc_cache_see(struct mc_domain_cache *cache, const char *uuid, int run_id, uint64_t now_ms)
{
    struct mc_cached_domain *domain;
    bool due = false;

    pthread_mutex_lock(&cache->lock);
    domain = entry(cache, uuid, run_id);
    if (domain) {
        domain->seen_ms = mc_max_u64(domain->seen_ms, now_ms);
        domain->expected = false;
        due = !domain->known || domain->stale ||
              mc_less_u64(now_ms, domain->read_ms) > DESCRIPTION_LASTS_MS;
        if (due)
            domain->stale = false;
    }
    pthread_mutex_unlock(&cache->lock);
    return due;
}

void mc_cache_keep(struct mc_domain_cache *cache, const char *uuid, int run_id,
                   const struct mc_domain_description *description, pid_t pid, uint64_t now_ms)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = entry(cache, uuid, run_id);
    if (domain) {
        domain->description = *description;
        domain->known = true;
        if (pid != domain->pid)
            domain->began_ms = MC_UNKNOWN;
        domain->pid = pid;
        domain->read_ms = now_ms;
    }
    pthread_mutex_unlock(&cache->lock);
}

void mc_cache_set_age(struct mc_domain_cache *cache, const char *uuid, uint64_t age_ms)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain && domain->began_ms == MC_UNKNOWN && age_ms >= WAS_THERE_MS) {
        domain->told = true;
        domain->told_ms = domain->seen_ms;
    }
    if (domain && !domain->rebooted)
        domain->began_ms = mc_less_u64(domain->seen_ms, age_ms);
    pthread_mutex_unlock(&cache->lock);
}

void mc_cache_rebooted(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain)
        domain->rebooted = domain->reboots = true;
    pthread_mutex_unlock(&cache->lock);
}

void mc_cache_mark_changed(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain)
        domain->stale = true;
    pthread_mutex_unlock(&cache->lock);
}

void mc_cache_doubt(struct mc_domain_cache *cache, const char *uuid, uint64_t now_ms)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain && mc_less_u64(now_ms, domain->read_ms) > DOUBT_AFTER_MS)
        domain->stale = true;
    pthread_mutex_unlock(&cache->lock);
}

void mc_cache_mark_all_changed(struct mc_domain_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < cache->count; i++)
        cache->domains[i]->stale = true;
    pthread_mutex_unlock(&cache->lock);
}

static void remember(struct mc_cached_domain *domain, const struct mc_guest *guest)
{
    domain->last.state = guest->state;
    domain->last.memory = guest->memory;
    domain->last.actual = guest->actual;
    domain->last.rss = guest->rss;
    memcpy(domain->last.name, guest->name, sizeof(domain->last.name));
}

/* QEMU's word is newer than the last event as long as no other one came, or could have. */
static void catch_up(struct mc_cached_domain *domain, struct mc_guest *guest)
{
    if (domain->size_ms && domain->current != domain->size_current &&
        domain->seen_ms >= domain->size_ms + EVENT_LAG_MS)
        domain->size_ms = 0;
    if (domain->size_ms)
        guest->actual = domain->size;
}

void mc_cache_apply(struct mc_domain_cache *cache, struct mc_guest *guest)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, guest->uuid);
    if (domain)
        domain->current = guest->actual;
    if (domain)
        catch_up(domain, guest);
    if (domain)
        remember(domain, guest);
    if (!domain || !domain->known) {
        /* Nothing may be done to a guest that is not understood yet. */
        guest->exempt = MC_EXEMPT_NOT_RUNNING;
    } else {
        guest->memory =
            mc_less_u64(guest->memory, domain->description.pluggable) + domain->description.plugged;
        guest->exempt = domain->description.exempt;
        guest->own = domain->description.own;
        guest->stopped = domain->description.stopped;
        guest->stats_period_s = domain->description.stats_period_s;
        guest->deflates_on_oom = domain->description.deflates_on_oom;
        guest->pid = domain->pid;
        if (domain->reboots)
            domain->began_ms = domain->seen_ms;
        domain->reboots = false;
        if (domain->pid && domain->began_ms != MC_UNKNOWN)
            guest->age_ms = mc_less_u64(domain->seen_ms, domain->began_ms);
        memcpy(guest->agent_socket, domain->description.agent_socket, sizeof(guest->agent_socket));
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
    pthread_mutex_unlock(&cache->lock);
}

/* By the time and not by the snapshot: one that was overtaken must not drop what is newer. */
void mc_cache_forget(struct mc_domain_cache *cache, uint64_t now_ms)
{
    size_t kept = 0;

    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < cache->count; i++) {
        struct mc_cached_domain *domain = cache->domains[i];

        if (domain->seen_ms < now_ms && !domain->expected) {
            free(domain);
        } else {
            domain->expected = false; /* for one snapshot: then it was there, or is gone */
            cache->domains[kept++] = domain;
        }
    }
    cache->count = kept;
    pthread_mutex_unlock(&cache->lock);
}

void mc_cache_expect(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (!domain)
        domain = entry(cache, uuid, -1);
    if (domain)
        domain->expected = true;
    pthread_mutex_unlock(&cache->lock);
}

int mc_cache_known(struct mc_domain_cache *cache, struct mc_known_guest **list, size_t *count)
{
    pthread_mutex_lock(&cache->lock);
    *count = cache->count;
    *list = calloc(cache->count + 1, sizeof(**list));
    for (size_t i = 0; *list && i < cache->count; i++) {
        (*list)[i] = cache->domains[i]->last;
        (*list)[i].run_id = cache->domains[i]->run_id;
        (*list)[i].pid = cache->domains[i]->pid;
        memcpy((*list)[i].uuid, cache->domains[i]->uuid, sizeof((*list)[i].uuid));
    }
    pthread_mutex_unlock(&cache->lock);
    return *list ? 0 : -ENOMEM;
}

bool mc_cache_begin_lookup(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain;
    bool may;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    may = domain && !domain->looked_up;
    if (may)
        domain->looked_up = true;
    pthread_mutex_unlock(&cache->lock);
    return may;
}

void mc_cache_end_lookup(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain)
        domain->looked_up = false;
    pthread_mutex_unlock(&cache->lock);
}

void mc_cache_set_own(struct mc_domain_cache *cache, const char *uuid,
                      const struct mc_settings *own)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain)
        domain->description.own = *own;
    pthread_mutex_unlock(&cache->lock);
}

void mc_cache_set_stopped(struct mc_domain_cache *cache, const char *uuid,
                          const struct mc_stopped *stopped)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain)
        domain->description.stopped = *stopped;
    pthread_mutex_unlock(&cache->lock);
}

void mc_cache_set_stats_period(struct mc_domain_cache *cache, const char *uuid, unsigned seconds)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain)
        domain->description.stats_period_s = seconds;
    pthread_mutex_unlock(&cache->lock);
}

uint64_t mc_cache_told(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain;
    uint64_t plugged;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain) {
        domain->told = true;
        domain->told_ms = domain->seen_ms;
    }
    plugged = domain ? domain->description.plugged : 0;
    pthread_mutex_unlock(&cache->lock);
    return plugged;
}

bool mc_cache_is_replugged(struct mc_domain_cache *cache, const struct mc_guest *guest)
{
    const struct mc_cached_domain *domain;
    bool replugged;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, guest->uuid);
    replugged = domain && domain->known && domain->description.pluggable &&
                domain->current != guest->actual;
    pthread_mutex_unlock(&cache->lock);
    return replugged;
}

bool mc_cache_is_under_way(struct mc_domain_cache *cache, const char *uuid)
{
    const struct mc_cached_domain *domain;
    bool under_way;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    under_way = domain && domain->told && domain->seen_ms - domain->told_ms < UNDER_WAY_MS;
    pthread_mutex_unlock(&cache->lock);
    return under_way;
}

uint64_t mc_cache_set_size(struct mc_domain_cache *cache, const char *uuid, uint64_t bytes,
                           uint64_t now_ms)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain) {
        bytes += domain->description.plugged;
        domain->size = domain->last.actual = bytes;
        domain->size_current = domain->current;
        domain->size_ms = now_ms;
    }
    pthread_mutex_unlock(&cache->lock);
    return bytes;
}

void mc_cache_copy_begins(struct mc_domain_cache *cache, const char *uuid)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain) {
        domain->copied = true;
        domain->copy_events++;
    }
    pthread_mutex_unlock(&cache->lock);
}

bool mc_cache_is_copied(struct mc_domain_cache *cache, const char *uuid, unsigned *events)
{
    const struct mc_cached_domain *domain;
    bool copied;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    copied = domain && domain->copied;
    *events = domain ? domain->copy_events : 0;
    pthread_mutex_unlock(&cache->lock);
    return copied;
}

void mc_cache_set_copied(struct mc_domain_cache *cache, const char *uuid, bool copied,
                         unsigned events)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain && domain->copy_events == events)
        domain->copied = copied;
    pthread_mutex_unlock(&cache->lock);
}

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
    pthread_mutex_unlock(&cache->lock);
    return first;
}

void mc_cache_set_overhead(struct mc_domain_cache *cache, const char *uuid,
                           const struct mc_qemu_memory *memory)
{
    struct mc_cached_domain *domain;

    pthread_mutex_lock(&cache->lock);
    domain = find(cache, uuid);
    if (domain)
        domain->memory = *memory;
    pthread_mutex_unlock(&cache->lock);
}
