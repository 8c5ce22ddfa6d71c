/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The outside world: what can be seen of the guests, and what can be done to them. Two backends:
 * libvirt (any libvirt URI) and a simulated host ("sim:FILE").
 *
 * A hypervisor is shared by all threads. A session is one connection to it, used by one thread at a
 * time; every call on a session may block for as long as the hypervisor pleases, so nothing that
 * has to be on time may call one.
 */
#ifndef MEMCTL_HYPERVISOR_H
#define MEMCTL_HYPERVISOR_H

#include <memctl/error.h>
#include <memctl/filling.h>
#include <memctl/model.h>
#include <memctl/settings.h>
#include <memctl/visibility.h>

struct mc_hypervisor;
struct mc_session;

/* Prepare a backend; connects to nothing yet. -EINVAL, -ENOENT with a sentence for a bad URI. */
MC_PUBLIC int mc_hypervisor_open(const char *uri, struct mc_hypervisor **hypervisor,
                                 struct mc_error *err);

/* All its sessions must be closed before. */
MC_PUBLIC void mc_hypervisor_free(struct mc_hypervisor *hypervisor);

/*
 * Call `changed` whenever a guest starts, stops or changes. It is called from whatever thread runs
 * the hypervisor's events (for libvirt: the event loop that the process registered). Set it before
 * the first session is opened.
 */
MC_PUBLIC void mc_hypervisor_on_change(struct mc_hypervisor *hypervisor, void (*changed)(void *),
                                       void *opaque);

/*
 * A descriptor that becomes readable for a moment when tasks on the host begin to wait for memory;
 * there is nothing to read from it. -1 if that cannot be known. It lasts as long as the hypervisor.
 */
MC_PUBLIC int mc_hypervisor_stalls(struct mc_hypervisor *hypervisor);

/*
 * A guest as a domain XML of libvirt's describes it: name, UUID, memory, actual (what it will be
 * started with), exempt and own. -EBADMSG with a sentence.
 */
MC_PUBLIC int mc_guest_from_xml(const char *xml, struct mc_guest *guest, struct mc_error *err);

/* Connect. `events` asks for notices of changes on this connection; one session suffices. */
MC_PUBLIC int mc_session_open(struct mc_hypervisor *hypervisor, bool events,
                              struct mc_session **session, struct mc_error *err);
MC_PUBLIC void mc_session_close(struct mc_session *session);

/*
 * Take a snapshot at now_ms (a simulation advances to that time). Fills the host and the observed
 * part of all running guests, sorted. -ENOTCONN: the connection is lost, close the session.
 */
MC_PUBLIC int mc_session_observe(struct mc_session *session, uint64_t now_ms,
                                 struct mc_snapshot *snapshot, struct mc_error *err);

/* Tell the balloon how much the guest may keep. Returns when the target is set, not reached. */
MC_PUBLIC int mc_session_set_balloon(struct mc_session *session, const char *uuid, uint64_t bytes,
                                     struct mc_error *err);

/* Have the balloon's driver report its statistics every so many seconds (1 or more). */
MC_PUBLIC int mc_session_set_stats_period(struct mc_session *session, const char *uuid,
                                          unsigned seconds, struct mc_error *err);

/*
 * Have the balloon's driver report out of turn, and wait a moment for what it says; period_s is how
 * often it reports otherwise. sight->at_ms is left to the caller. -EAGAIN: it did not say anything
 * new. -ENOTSUP, -EBUSY, -ENOENT, -ENOTCONN.
 */
MC_PUBLIC int mc_session_ask_stats(struct mc_session *session, const char *uuid, unsigned period_s,
                                   struct mc_sight *sight, struct mc_error *err);

/* How much processor time a QEMU on this host has used. 0, -ENOENT, -ENODATA. Does not block. */
MC_PUBLIC int mc_qemu_cpu_ms(pid_t pid, uint64_t *cpu_ms);

/* A memory backend of a guest: a block of its RAM as QEMU has it in its address space. */
struct mc_memory_backend {
    char id[64];      /* below /objects: "pc.ram", "ram-node0", "memvirtiomem0" */
    uint64_t address; /* in QEMU's address space */
    uint64_t size;
    bool shared; /* as QEMU was told; the mapping decides */
    bool merge;  /* the same: KSM may merge it */
};

#define MC_MEMORY_BACKENDS_MAX 32

struct mc_guest_memory {
    struct mc_memory_backend backends[MC_MEMORY_BACKENDS_MAX];
    size_t count;
};

/*
 * Where a running guest's RAM is. Asks QEMU's monitor, by which libvirt marks the guest as tainted
 * (custom-monitor). -ENOTSUP where the hypervisor cannot tell, -EPROTO when QEMU's answers make no
 * sense, -EBUSY, -ENOENT, -ENOTCONN.
 */
MC_PUBLIC int mc_session_locate_memory(struct mc_session *session, const char *uuid,
                                       struct mc_guest_memory *memory, struct mc_error *err);

/*
 * Have QEMU let KSM merge the backend, or not; then what was merged of it is parted, which takes
 * memory and, for a gigabyte, part of a second in which the guest stands still. Errors as above.
 */
MC_PUBLIC int mc_session_set_merge(struct mc_session *session, const char *uuid,
                                   const char *backend, bool merge, struct mc_error *err);

/*
 * Add to `guests` what the definitions say, memory and settings: of all guests that do not run, or
 * of the one with this name, or else this UUID, which may have started meanwhile. -ENOENT: nobody
 * has it.
 */
MC_PUBLIC int mc_session_find(struct mc_session *session, const char *name_or_uuid,
                              struct mc_snapshot *guests, struct mc_error *err);

/*
 * Keep settings with the guest, so that they outlive it and this process. For one that does not run
 * they hold from its next start; -EBUSY where they would not.
 */
MC_PUBLIC int mc_session_save_settings(struct mc_session *session, const char *uuid,
                                       const struct mc_settings *settings, struct mc_error *err);

struct mc_agent_added {
    bool any;   /* it was missing somewhere */
    bool lasts; /* the guest is defined, so that its next start has the channel as well */
};

/*
 * Give the guest the channel of an agent, while it runs and in its definition, wherever it is
 * missing; `added` says what that was. -EOPNOTSUPP where a running guest cannot take it: then the
 * definition may have it.
 */
MC_PUBLIC int mc_session_add_agent(struct mc_session *session, const char *uuid,
                                   struct mc_agent_added *added, struct mc_error *err);

/*
 * Have the host's kernel take that much of the guest's resident memory, which goes to the host's
 * swap. Takes as long as the disk does. Returns 0, or 1 if there was less to be had; -ENOTSUP where
 * that cannot be done to this guest.
 */
MC_PUBLIC int mc_session_reclaim(struct mc_session *session, const char *uuid, uint64_t bytes,
                                 struct mc_error *err);

/*
 * Suspend the guest, or save it and let its QEMU end, as stopped->how says; saving takes as long as
 * the disk does. Before that `stopped` is noted beside its settings, so that whoever finds it knows
 * who did it. -EBUSY: it does not run any more. When it fails the guest runs on.
 */
MC_PUBLIC int mc_session_stop(struct mc_session *session, const char *uuid,
                              const struct mc_stopped *stopped, struct mc_error *err);

/*
 * Let it go on where it was stopped, and drop the note. -ENOENT: it is gone, or its saved state is.
 */
MC_PUBLIC int mc_session_continue(struct mc_session *session, const char *uuid,
                                  struct mc_error *err);

/* Drop the note: the guest was continued by somebody else. */
MC_PUBLIC int mc_session_forget_stop(struct mc_session *session, const char *uuid,
                                     struct mc_error *err);

/* Add to `guests` those that mc_session_stop() has saved and nobody has started since. */
MC_PUBLIC int mc_session_find_stopped(struct mc_session *session, struct mc_snapshot *guests,
                                      struct mc_error *err);

#endif
