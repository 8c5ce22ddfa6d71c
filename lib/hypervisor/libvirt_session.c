/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libvirt/virterror.h>

/* Kinds of events that are listened to. */
#define EVENTS 7

/* A guest that is busy for so many times 10 ms does not answer. */
#define BUSY_MOMENTS 50

struct libvirt_session {
    struct mc_session base;
    virConnectPtr connection;
    int callbacks[EVENTS]; /* of the events it listens to, or -1 */
};

virConnectPtr mc_libvirt_connection(struct mc_session *session)
{
    return ((struct libvirt_session *)session)->connection;
}

int mc_libvirt_fail(struct mc_session *session, struct mc_error *err, const char *what)
{
    /* Copied, and the code kept: the next call into libvirt forgets them. */
    char reason[MC_ERROR_TEXT / 2];
    int code = virGetLastErrorCode();

    snprintf(reason, sizeof(reason), "%s", virGetLastErrorMessage());
    if (virConnectIsAlive(mc_libvirt_connection(session)) != 1)
        return mc_error_set(err, -ENOTCONN, "the connection to libvirt was lost: %s", reason);
    return mc_error_set(err, code == VIR_ERR_NO_DOMAIN ? -ENOENT : -EIO, "%s: %s", what, reason);
}

int mc_libvirt_check_idle(virDomainPtr dom, struct mc_error *err)
{
    virDomainControlInfo info;

    if (virDomainGetControlInfo(dom, &info, 0) == 0 && info.state != VIR_DOMAIN_CONTROL_OK)
        return mc_error_set(
            err, -EBUSY, "guest '%s' does not answer now (control is %s); try again",
            virDomainGetName(dom), info.state == VIR_DOMAIN_CONTROL_ERROR ? "broken" : "occupied");
    return 0;
}

/* Somebody else's call for the guest, most often our own look at it, is over in a moment. */
static int wait_idle(virDomainPtr dom, struct mc_error *err)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    int rc = mc_libvirt_check_idle(dom, err);

    for (int i = 0; rc == -EBUSY && i < BUSY_MOMENTS; i++) {
        nanosleep(&moment, NULL);
        rc = mc_libvirt_check_idle(dom, err);
    }
    return rc;
}

int mc_libvirt_begin(struct mc_session *session, const char *uuid, virDomainPtr *dom,
                     struct mc_error *err)
{
    int rc;

    *dom = virDomainLookupByUUIDString(mc_libvirt_connection(session), uuid);
    if (!*dom)
        return mc_libvirt_fail(session, err, "the guest is gone");
    rc = wait_idle(*dom, err);
    if (rc < 0)
        virDomainFree(*dom);
    return rc;
}

/* ---- events; called from the process's event loop ---- */

static void mark_changed(struct libvirt_hypervisor *hv, virDomainPtr dom)
{
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (dom && virDomainGetUUIDString(dom, uuid) == 0)
        mc_cache_mark_changed(&hv->cache, uuid);
    if (hv->base.changed)
        hv->base.changed(hv->base.opaque);
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr dom, int event, int detail,
                        void *opaque)
{
    struct libvirt_hypervisor *hv = opaque;
    char uuid[VIR_UUID_STRING_BUFLEN];

    (void)connection;
    (void)detail;
    if (event == VIR_DOMAIN_EVENT_STARTED && virDomainGetUUIDString(dom, uuid) == 0)
        mc_cache_expect(&hv->cache, uuid);
    mark_changed(hv, dom);
    return 0;
}

static void on_reboot(virConnectPtr connection, virDomainPtr dom, void *opaque)
{
    struct libvirt_hypervisor *hv = opaque;
    char uuid[VIR_UUID_STRING_BUFLEN];

    (void)connection;
    if (virDomainGetUUIDString(dom, uuid) == 0)
        mc_cache_rebooted(&hv->cache, uuid);
}

static void on_device(virConnectPtr connection, virDomainPtr dom, const char *alias, void *opaque)
{
    (void)connection;
    (void)alias;
    mark_changed(opaque, dom);
}

static void on_metadata(virConnectPtr connection, virDomainPtr dom, int type, const char *uri,
                        void *opaque)
{
    (void)connection;
    (void)type;
    if (uri && (strcmp(uri, MC_METADATA_URI) == 0 || strcmp(uri, MC_STOPPED_URI) == 0))
        mark_changed(opaque, dom);
}

/* A pass over the guest's memory begins: it is migrated, or its state goes into a file. */
static void on_copy(virConnectPtr connection, virDomainPtr dom, int iteration, void *opaque)
{
    struct libvirt_hypervisor *hv = opaque;
    char uuid[VIR_UUID_STRING_BUFLEN];

    (void)connection;
    if (virDomainGetUUIDString(dom, uuid) == 0)
        mc_cache_copy_begins(&hv->cache, uuid);
    if (iteration == 1 && hv->base.changed)
        hv->base.changed(hv->base.opaque);
}

static void on_job_completed(virConnectPtr connection, virDomainPtr dom,
                             virTypedParameterPtr params, int count, void *opaque)
{
    (void)connection;
    (void)params;
    (void)count;
    mark_changed(opaque, dom);
}

static void register_events(struct libvirt_session *session)
{
    static const struct {
        int id;
        virConnectDomainEventGenericCallback callback;
    } wanted[EVENTS] = {
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)},
        {VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device)},
        {VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_metadata)},
        {VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, VIR_DOMAIN_EVENT_CALLBACK(on_copy)},
        {VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(on_job_completed)},
    };

    /* Drivers without an event are polled all the same: DESCRIPTION_LASTS_MS. */
    for (size_t i = 0; i < EVENTS; i++)
        session->callbacks[i] =
            virConnectDomainEventRegisterAny(session->connection, NULL, wanted[i].id,
                                             wanted[i].callback, session->base.hypervisor, NULL);
}

/* ---- connecting ---- */

int mc_libvirt_open(struct mc_hypervisor *hypervisor, bool events, struct mc_session **session,
                    struct mc_error *err)
{
    struct libvirt_hypervisor *hv = (struct libvirt_hypervisor *)hypervisor;
    struct libvirt_session *opened = calloc(1, sizeof(*opened));

    if (!opened)
        return mc_error_set(err, -ENOMEM, "out of memory");
    opened->base.hypervisor = hypervisor;
    for (size_t i = 0; i < EVENTS; i++)
        opened->callbacks[i] = -1;
    opened->connection = virConnectOpen(hv->uri);
    if (!opened->connection) {
        free(opened);
        return mc_error_set(err, -ENOTCONN, "cannot connect to libvirt at %s: %s", hv->uri,
                            virGetLastErrorMessage());
    }
    /* A libvirtd that stops answering closes the connection after 15 s. */
    virConnectSetKeepAlive(opened->connection, 5, 3);
    if (events) {
        register_events(opened);
        mc_cache_mark_all_changed(&hv->cache); /* nobody has listened so far */
    }
    *session = &opened->base;
    return 0;
}

void mc_libvirt_close(struct mc_session *session)
{
    struct libvirt_session *closed = (struct libvirt_session *)session;

    /* A connection with callbacks is kept alive by them. */
    for (size_t i = 0; i < EVENTS; i++)
        if (closed->callbacks[i] >= 0)
            virConnectDomainEventDeregisterAny(closed->connection, closed->callbacks[i]);
    virConnectClose(closed->connection);
    free(closed);
}
