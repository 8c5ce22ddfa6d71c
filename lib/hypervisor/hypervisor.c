/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/backend.h"

#include <errno.h>
#include <string.h>

int mc_hypervisor_open(const char *uri, struct mc_hypervisor **hypervisor, struct mc_error *err)
{
    if (strncmp(uri, "sim:", 4) == 0)
        return mc_sim_new(uri + 4, hypervisor, err);
    return mc_libvirt_new(uri, hypervisor, err);
}

void mc_hypervisor_free(struct mc_hypervisor *hypervisor)
{
    if (hypervisor)
        hypervisor->backend->free(hypervisor);
}

void mc_hypervisor_on_change(struct mc_hypervisor *hypervisor, void (*changed)(void *),
                             void *opaque)
{
    hypervisor->changed = changed;
    hypervisor->opaque = opaque;
}

int mc_hypervisor_stalls(struct mc_hypervisor *hypervisor)
{
    return hypervisor->backend->stalls ? hypervisor->backend->stalls(hypervisor) : -1;
}

int mc_session_open(struct mc_hypervisor *hypervisor, bool events, struct mc_session **session,
                    struct mc_error *err)
{
    return hypervisor->backend->open(hypervisor, events, session, err);
}

void mc_session_close(struct mc_session *session)
{
    if (session)
        session->hypervisor->backend->close(session);
}

/* A guest that stands still because memctl has suspended it is known by its note. */
static void tell_suspended(struct mc_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        struct mc_guest *guest = &snapshot->guests[i];

        if (guest->stopped.how == MC_LAST_RESORT_SUSPEND && guest->state == MC_GUEST_PAUSED &&
            guest->exempt == MC_EXEMPT_NOT_RUNNING)
            guest->exempt = MC_EXEMPT_LAST_RESORT;
    }
}

int mc_session_observe(struct mc_session *session, uint64_t now_ms, struct mc_snapshot *snapshot,
                       struct mc_error *err)
{
    int rc;

    mc_snapshot_reset(snapshot);
    snapshot->now_ms = now_ms;
    rc = session->hypervisor->backend->observe(session, snapshot, err);
    tell_suspended(snapshot);
    mc_snapshot_sort(snapshot);
    return rc;
}

int mc_session_set_balloon(struct mc_session *session, const char *uuid, uint64_t bytes,
                           struct mc_error *err)
{
    return session->hypervisor->backend->set_balloon(session, uuid, bytes, err);
}

int mc_session_set_stats_period(struct mc_session *session, const char *uuid, unsigned seconds,
                                struct mc_error *err)
{
    return session->hypervisor->backend->set_stats_period(session, uuid, seconds, err);
}

int mc_session_ask_stats(struct mc_session *session, const char *uuid, unsigned period_s,
                         struct mc_sight *sight, struct mc_error *err)
{
    const struct mc_backend *backend = session->hypervisor->backend;

    if (!backend->ask_stats)
        return mc_error_set(err, -ENOTSUP, "this hypervisor's guests cannot be asked out of turn");
    return backend->ask_stats(session, uuid, period_s, sight, err);
}

int mc_session_locate_memory(struct mc_session *session, const char *uuid,
                             struct mc_guest_memory *memory, struct mc_error *err)
{
    const struct mc_backend *backend = session->hypervisor->backend;

    if (!backend->locate_memory)
        return mc_error_set(err, -ENOTSUP, "this hypervisor has no memory that can be read");
    return backend->locate_memory(session, uuid, memory, err);
}

int mc_session_set_merge(struct mc_session *session, const char *uuid, const char *backend,
                         bool merge, struct mc_error *err)
{
    if (!session->hypervisor->backend->set_merge)
        return mc_error_set(err, -ENOTSUP, "this hypervisor cannot merge pages");
    return session->hypervisor->backend->set_merge(session, uuid, backend, merge, err);
}

int mc_session_find(struct mc_session *session, const char *name_or_uuid,
                    struct mc_snapshot *guests, struct mc_error *err)
{
    return session->hypervisor->backend->find(session, name_or_uuid, guests, err);
}

struct mc_guest *mc_backend_add_defined(struct mc_snapshot *guests)
{
    struct mc_guest *guest = mc_snapshot_add(guests);

    if (!guest)
        return NULL;
    guest->run_id = -1;
    guest->state = MC_GUEST_STOPPED;
    guest->exempt = MC_EXEMPT_NOT_RUNNING;
    guest->known = true;
    guest->actual = guest->rss = guest->overhead = MC_UNKNOWN;
    guest->used = guest->active = guest->held = MC_UNKNOWN;
    guest->stats = (struct mc_balloon_stats){
        .available = MC_UNKNOWN,
        .unused = MC_UNKNOWN,
        .usable = MC_UNKNOWN,
        .disk_caches = MC_UNKNOWN,
        .swap_in = MC_UNKNOWN,
        .swap_out = MC_UNKNOWN,
        .major_faults = MC_UNKNOWN,
        .minor_faults = MC_UNKNOWN,
    };
    return guest;
}

int mc_backend_no_guest(struct mc_error *err, const char *name)
{
    return mc_error_set(err, -ENOENT,
                        "no guest is named '%.64s' or has it as its UUID; 'memctl list --all' "
                        "shows them all",
                        name);
}

int mc_session_save_settings(struct mc_session *session, const char *uuid,
                             const struct mc_settings *settings, struct mc_error *err)
{
    return session->hypervisor->backend->save_settings(session, uuid, settings, err);
}

int mc_session_add_agent(struct mc_session *session, const char *uuid, struct mc_agent_added *added,
                         struct mc_error *err)
{
    *added = (struct mc_agent_added){0};
    if (!session->hypervisor->backend->add_agent)
        return mc_error_set(err, -EOPNOTSUPP, "guests of this hypervisor have no agents");
    return session->hypervisor->backend->add_agent(session, uuid, added, err);
}

int mc_session_reclaim(struct mc_session *session, const char *uuid, uint64_t bytes,
                       struct mc_error *err)
{
    return session->hypervisor->backend->reclaim(session, uuid, bytes, err);
}

int mc_session_stop(struct mc_session *session, const char *uuid, const struct mc_stopped *stopped,
                    struct mc_error *err)
{
    return session->hypervisor->backend->stop(session, uuid, stopped, err);
}

int mc_session_continue(struct mc_session *session, const char *uuid, struct mc_error *err)
{
    return session->hypervisor->backend->go_on(session, uuid, err);
}

int mc_session_forget_stop(struct mc_session *session, const char *uuid, struct mc_error *err)
{
    return session->hypervisor->backend->forget_stop(session, uuid, err);
}

int mc_session_find_stopped(struct mc_session *session, struct mc_snapshot *guests,
                            struct mc_error *err)
{
    return session->hypervisor->backend->find_stopped(session, guests, err);
}
