/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of the running guests from one snapshot to the next: their descriptions, which are
 * expensive to read and change seldom, and the memory of their QEMUs, which is expensive to
 * measure. Shared by all sessions; every function takes the lock for itself, and none blocks.
 */
#ifndef MEMCTL_DOMAIN_CACHE_H
#define MEMCTL_DOMAIN_CACHE_H

#include <pthread.h>
#include <stdbool.h>

#include <memctl/model.h>

#include "hypervisor/domain_xml.h"
#include "observe/qemu_process.h"

struct mc_cached_domain;

struct mc_domain_cache {
    pthread_mutex_t lock; /* of everything below */
    struct mc_cached_domain **domains;
    size_t count, room;
};

void mc_cache_init(struct mc_domain_cache *cache);
void mc_cache_free(struct mc_domain_cache *cache);

/*
 * The guest is seen in this run at now_ms. True if its description has to be read: then either
 * mc_cache_keep() or mc_cache_mark_changed() follows. False also when out of memory.
 */
bool mc_cache_see(struct mc_domain_cache *cache, const char *uuid, int run_id, uint64_t now_ms);

/* The description that was read, and QEMU's process, 0 if it is not known. */
void mc_cache_keep(struct mc_domain_cache *cache, const char *uuid, int run_id,
                   const struct mc_domain_description *description, pid_t pid, uint64_t now_ms);

/* How long its QEMU has been running. */
void mc_cache_set_age(struct mc_domain_cache *cache, const char *uuid, uint64_t age_ms);

/* The guest began anew, in the same QEMU: that is its age from here on. */
void mc_cache_rebooted(struct mc_domain_cache *cache, const char *uuid);

/* What is kept of the guest is old, or was not read: it is due at once. */
void mc_cache_mark_changed(struct mc_domain_cache *cache, const char *uuid);

/* What is kept of the guest does not explain what is seen: it is due, but not all the time. */
void mc_cache_doubt(struct mc_domain_cache *cache, const char *uuid, uint64_t now_ms);

/* Events were missed: every guest is due. */
void mc_cache_mark_all_changed(struct mc_domain_cache *cache);

/* Fill in what the cache knows of the guest; a guest that it does not know is exempt. */
void mc_cache_apply(struct mc_domain_cache *cache, struct mc_guest *guest);

/* An event said that this guest began to run: whoever asks for the running ones shall know it. */
void mc_cache_expect(struct mc_domain_cache *cache, const char *uuid);

/* The guests that run as far as is known, as they were seen last; for when they cannot be listed.
 */
struct mc_known_guest {
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    int run_id;                 /* -1: it is expected, and was not seen yet */
    pid_t pid;                  /* of QEMU, 0 if it is not known */
    enum mc_qemu_state process; /* of that, now */
    enum mc_guest_state state;
    uint64_t memory, actual, rss;
};

/* The caller frees *list. 0 or -ENOMEM. */
int mc_cache_known(struct mc_domain_cache *cache, struct mc_known_guest **list, size_t *count);

/*
 * Before a look-up that may block: false if one for this guest is under way already. Each one that
 * was begun is ended.
 */
bool mc_cache_begin_lookup(struct mc_domain_cache *cache, const char *uuid);
void mc_cache_end_lookup(struct mc_domain_cache *cache, const char *uuid);

/* Drop the guests that were last seen before now_ms. */
void mc_cache_forget(struct mc_domain_cache *cache, uint64_t now_ms);

/* What this process stored, so that it holds before it was read again. */
void mc_cache_set_own(struct mc_domain_cache *cache, const char *uuid,
                      const struct mc_settings *own);
void mc_cache_set_stopped(struct mc_domain_cache *cache, const char *uuid,
                          const struct mc_stopped *stopped);
void mc_cache_set_stats_period(struct mc_domain_cache *cache, const char *uuid, unsigned seconds);

/*
 * libvirt learns of a balloon's size from QEMU's events, at most one a second. While a balloon is
 * on its way, QEMU itself is asked. Is it? So it is for some seconds after it was told a target,
 * or was first seen, if it had been running for a while: another memctld may have told it one;
 * and what QEMU said stands until the events must have caught up with it.
 *
 * libvirt's size is with what is plugged in by virtio-mem. QEMU's size and the target are without:
 * _told() returns what to subtract from the target, _set_size() the size with it.
 */
uint64_t mc_cache_told(struct mc_domain_cache *cache, const char *uuid);
bool mc_cache_is_under_way(struct mc_domain_cache *cache, const char *uuid);
uint64_t mc_cache_set_size(struct mc_domain_cache *cache, const char *uuid, uint64_t bytes,
                           uint64_t now_ms);

/* Its size, as libvirt says it, changed: perhaps because of what is plugged in, which is read. */
bool mc_cache_is_replugged(struct mc_domain_cache *cache, const struct mc_guest *guest);

/*
 * Is the guest's memory being copied away, for a migration or a snapshot? Events say when that
 * begins, and a look at the guest's job whether it goes on. *events goes back with what was seen,
 * which counts for nothing if an event came in between.
 */
void mc_cache_copy_begins(struct mc_domain_cache *cache, const char *uuid);
bool mc_cache_is_copied(struct mc_domain_cache *cache, const char *uuid, unsigned *events);
void mc_cache_set_copied(struct mc_domain_cache *cache, const char *uuid, bool copied,
                         unsigned events);

/* Of which QEMU the memory shall be measured now. */
struct mc_overhead_due {
    char uuid[MC_UUID_TEXT];
    pid_t pid;
    uint64_t backends[MC_BACKENDS_MAX];
    size_t backend_count;
};

/*
 * False if none is due; else the one that waits for longest, and its next time is set. One whose
 * resident memory is what it was at its last measurement waits longer.
 */
bool mc_cache_overhead_due(struct mc_domain_cache *cache, uint64_t now_ms,
                           struct mc_overhead_due *due);
void mc_cache_set_overhead(struct mc_domain_cache *cache, const char *uuid,
                           const struct mc_qemu_memory *memory);

#endif
