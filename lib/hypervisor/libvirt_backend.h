/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between the files of the libvirt backend:
 *
 *   libvirt_backend.c   the hypervisor: its URI, and the table of what it can do
 *   libvirt_session.c   a connection, its events, and how its errors are said
 *   libvirt_records.c   the statistics: of whom they are asked for
 *   libvirt_snapshot.c  from the statistics to a snapshot
 *   libvirt_commands.c  what is done to a running guest
 *   libvirt_agent.c     the channel to an agent
 *   libvirt_stop.c      what is done when the host is short: host reclaim and the last resort
 *   libvirt_metadata.c  the settings that are kept with a guest
 *   libvirt_memory.c    where its RAM is, by QEMU's monitor; qemu_monitor.c reads the answers
 *   libvirt_merge.c     whether KSM may merge it
 *
 * One bulk call per snapshot brings the numbers that change; what changes seldom (devices, memory
 * backends, settings) is read from the domain's XML when a guest is new or libvirt says that it
 * changed, and kept in a cache that all sessions share (domain_cache.h).
 *
 * A QEMU that hangs blocks the first call that needs its monitor, for ever, and the calls after it
 * until libvirt's own time limit. virDomainGetControlInfo never blocks and tells; so no call is
 * made for a domain whose control is occupied, and the bulk call skips such domains (NOWAIT). The
 * first call cannot be avoided, unless QEMU's process is seen to be stopped; sessions exist so that
 * whoever makes it is the only one to wait.
 *
 * libvirt holds a guest's lock while a hook script of the operator's runs for it, at its start, its
 * end or a migration, and whoever lists the guests waits for that. So there is one lister at a
 * time; while it is away, the others ask for the guests that are known, one by one, and leave out
 * those that somebody waits for already.
 */
#ifndef MEMCTL_LIBVIRT_BACKEND_H
#define MEMCTL_LIBVIRT_BACKEND_H

#include <stdatomic.h>

#include <libvirt/libvirt.h>

#include "hypervisor/backend.h"
#include "hypervisor/domain_cache.h"
#include "observe/host.h"

struct libvirt_hypervisor {
    struct mc_hypervisor base;
    char *uri;
    char runtime_folder[4096];  /* where libvirtd keeps its pid files */
    bool local;                 /* the guests run on this host */
    struct mc_host_reader host; /* if so */
    struct mc_domain_cache cache;
    /*
     * The bulk call leaves out a guest that somebody else asks at that moment. So it waits for the
     * short calls that ask one out of turn, but not for one that hangs; they wait for it.
     */
    atomic_uint turns;  /* such calls under way */
    atomic_uint asking; /* calls for statistics that are not back */
    atomic_bool lists;  /* a call that lists all guests is under way */
    atomic_bool listed; /* one has come back */
};

static inline struct libvirt_hypervisor *mc_libvirt_of(struct mc_session *session)
{
    return (struct libvirt_hypervisor *)session->hypervisor;
}

/* libvirt_session.c */
int mc_libvirt_open(struct mc_hypervisor *hypervisor, bool events, struct mc_session **session,
                    struct mc_error *err);
void mc_libvirt_close(struct mc_session *session);
virConnectPtr mc_libvirt_connection(struct mc_session *session);
/* What libvirt's last error was, after `what`. -ENOTCONN, -ENOENT or -EIO. */
int mc_libvirt_fail(struct mc_session *session, struct mc_error *err, const char *what);
/* -EBUSY where a call would have to wait for somebody else's. */
int mc_libvirt_check_idle(virDomainPtr dom, struct mc_error *err);
/* Look the guest up and see that a call for it will not have to wait; 0: free dom afterwards. */
int mc_libvirt_begin(struct mc_session *session, const char *uuid, virDomainPtr *dom,
                     struct mc_error *err);

/* libvirt_records.c */
/*
 * The records of the guests that can be asked, to be freed by the caller; the others are added to
 * the snapshot as they were. How many records; negative: see libvirt's last error.
 */
int mc_libvirt_ask(struct mc_session *session, virDomainStatsRecordPtr **records,
                   struct mc_snapshot *snapshot);

/* libvirt_snapshot.c */
void mc_libvirt_forget_stats(struct mc_guest *guest);
int mc_libvirt_observe(struct mc_session *session, struct mc_snapshot *snapshot,
                       struct mc_error *err);

/* libvirt_commands.c */
int mc_libvirt_set_balloon(struct mc_session *session, const char *uuid, uint64_t bytes,
                           struct mc_error *err);
int mc_libvirt_set_stats_period(struct mc_session *session, const char *uuid, unsigned seconds,
                                struct mc_error *err);

/* libvirt_ask.c */
/* Before the bulk call: let those who are asked out of turn answer, for a moment at most. */
void mc_libvirt_wait_for_turns(struct libvirt_hypervisor *hv);
int mc_libvirt_ask_stats(struct mc_session *session, const char *uuid, unsigned period_s,
                         struct mc_sight *sight, struct mc_error *err);

/* libvirt_memory.c */
int mc_libvirt_locate_memory(struct mc_session *session, const char *uuid,
                             struct mc_guest_memory *memory, struct mc_error *err);

/* libvirt_merge.c */
int mc_libvirt_set_merge(struct mc_session *session, const char *uuid, const char *backend,
                         bool merge, struct mc_error *err);

/* libvirt_stop.c */
int mc_libvirt_reclaim(struct mc_session *session, const char *uuid, uint64_t bytes,
                       struct mc_error *err);
int mc_libvirt_stop(struct mc_session *session, const char *uuid, const struct mc_stopped *stopped,
                    struct mc_error *err);
int mc_libvirt_go_on(struct mc_session *session, const char *uuid, struct mc_error *err);
int mc_libvirt_forget_stop(struct mc_session *session, const char *uuid, struct mc_error *err);

/* libvirt_metadata.c */
int mc_libvirt_find_stopped(struct mc_session *session, struct mc_snapshot *guests,
                            struct mc_error *err);
/*
 * Keep an element with the guest: in what runs, in what it starts from, or in both. xml NULL: drop
 * it. -1 with libvirt's error.
 */
int mc_libvirt_store(virDomainPtr dom, const char *xml, const char *key, const char *uri);
int mc_libvirt_find(struct mc_session *session, const char *name, struct mc_snapshot *guests,
                    struct mc_error *err);
int mc_libvirt_save_settings(struct mc_session *session, const char *uuid,
                             const struct mc_settings *settings, struct mc_error *err);

/* libvirt_agent.c */
int mc_libvirt_add_agent(struct mc_session *session, const char *uuid, struct mc_agent_added *added,
                         struct mc_error *err);

#endif
