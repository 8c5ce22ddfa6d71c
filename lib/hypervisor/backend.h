/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a backend implements. Every function is called without locks held. */
#ifndef MEMCTL_BACKEND_H
#define MEMCTL_BACKEND_H

#include <memctl/hypervisor.h>

struct mc_backend {
    void (*free)(struct mc_hypervisor *hypervisor);
    int (*stalls)(struct mc_hypervisor *hypervisor); /* NULL: it cannot tell */
    int (*open)(struct mc_hypervisor *hypervisor, bool events, struct mc_session **session,
                struct mc_error *err);
    void (*close)(struct mc_session *session);
    /* snapshot->now_ms is set */
    int (*observe)(struct mc_session *session, struct mc_snapshot *snapshot, struct mc_error *err);
    int (*set_balloon)(struct mc_session *session, const char *uuid, uint64_t bytes,
                       struct mc_error *err);
    int (*set_stats_period)(struct mc_session *session, const char *uuid, unsigned seconds,
                            struct mc_error *err);
    /* NULL: it cannot */
    int (*ask_stats)(struct mc_session *session, const char *uuid, unsigned period_s,
                     struct mc_sight *sight, struct mc_error *err);
    /* NULL: it cannot */
    int (*locate_memory)(struct mc_session *session, const char *uuid,
                         struct mc_guest_memory *memory, struct mc_error *err);
    /* NULL: it cannot */
    int (*set_merge)(struct mc_session *session, const char *uuid, const char *backend, bool merge,
                     struct mc_error *err);
    /* name NULL: all */
    int (*find)(struct mc_session *session, const char *name, struct mc_snapshot *guests,
                struct mc_error *err);
    int (*save_settings)(struct mc_session *session, const char *uuid,
                         const struct mc_settings *settings, struct mc_error *err);
    int (*add_agent)(struct mc_session *session, const char *uuid, struct mc_agent_added *added,
                     struct mc_error *err); /* NULL: its guests have no agents */
    int (*reclaim)(struct mc_session *session, const char *uuid, uint64_t bytes,
                   struct mc_error *err);
    int (*stop)(struct mc_session *session, const char *uuid, const struct mc_stopped *stopped,
                struct mc_error *err);
    int (*go_on)(struct mc_session *session, const char *uuid, struct mc_error *err);
    int (*forget_stop)(struct mc_session *session, const char *uuid, struct mc_error *err);
    int (*find_stopped)(struct mc_session *session, struct mc_snapshot *guests,
                        struct mc_error *err);
};

/* Both are the first member of the backend's own structures. */
struct mc_hypervisor {
    const struct mc_backend *backend;
    void (*changed)(void *);
    void *opaque;
};

struct mc_session {
    struct mc_hypervisor *hypervisor;
};

/* Append a guest that was not observed: stopped, unless the caller knows better, and nothing known
 * of it but what its definition says. */
struct mc_guest *mc_backend_add_defined(struct mc_snapshot *guests);

/* -ENOENT with the sentence for a name that nobody has. */
int mc_backend_no_guest(struct mc_error *err, const char *name);

int mc_libvirt_new(const char *uri, struct mc_hypervisor **hypervisor, struct mc_error *err);
int mc_sim_new(const char *file, struct mc_hypervisor **hypervisor, struct mc_error *err);

#endif
