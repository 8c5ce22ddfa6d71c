/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the cache keeps of a guest, for the files of the cache. */
#ifndef MEMCTL_CACHE_ENTRY_H
#define MEMCTL_CACHE_ENTRY_H

#include "hypervisor/domain_cache.h"

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
    int stat;          /* its file, or -1; see mc_qemu_open_stat() */
    uint64_t began_ms; /* when its QEMU was started or it rebooted, MC_UNKNOWN */
    bool rebooted;     /* QEMU's age is not its age */
    bool reboots;      /* it did, and began_ms does not say so yet */
    uint64_t current;  /* as libvirt says it */
    bool told;         /* its balloon's target, by us or perhaps by somebody before us */
    uint64_t told_ms;
    uint64_t size, size_ms; /* as QEMU said last, and when; size_ms 0: events are newer */
    uint64_t size_current;  /* as libvirt said then */
    struct mc_qemu_memory memory;
    uint64_t overhead_next_ms, overhead_pause_ms, overhead_last_ms;
    uint64_t rss, overhead_rss; /* now, and when it was measured */
};

/* Take the cache's lock, and find the guest: NULL if it is not known. mc_cache_release() follows.
 */
struct mc_cached_domain *mc_cache_hold(struct mc_domain_cache *cache, const char *uuid);
void mc_cache_release(struct mc_domain_cache *cache);

/*
 * With the lock held, here and below: the guest's entry for this run, a new one if there is none;
 * what was known of an earlier run is forgotten. NULL when out of memory.
 */
struct mc_cached_domain *mc_cache_enter(struct mc_domain_cache *cache, const char *uuid,
                                        int run_id);

/* Its QEMU is this process; 0: it is not known. */
void mc_cache_set_process(struct mc_cached_domain *domain, pid_t pid);

/* When libvirt's size of the guest was seen: what QEMU said last, if that is newer. */
void mc_cache_catch_up(struct mc_cached_domain *domain, struct mc_guest *guest);

#endif
