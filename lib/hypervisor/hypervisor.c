/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/backend.h"

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

int mc_session_observe(struct mc_session *session, uint64_t now_ms, struct mc_snapshot *snapshot,
                       struct mc_error *err)
{
    int rc;

    mc_snapshot_reset(snapshot);
    snapshot->now_ms = now_ms;
    rc = session->hypervisor->backend->observe(session, snapshot, err);
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

int mc_session_save_settings(struct mc_session *session, const char *uuid,
                             const struct mc_settings *settings, struct mc_error *err)
{
    return session->hypervisor->backend->save_settings(session, uuid, settings, err);
}
