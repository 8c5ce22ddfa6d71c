/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is done to a guest when the host is short: host reclaim and the last resort. */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/virterror.h>

#include "observe/cgroup.h"
#include "observe/qemu_process.h"

#define CGROUPFS "/sys/fs/cgroup"

/* QEMU's process and its cgroup. No call of these needs the guest's monitor. */
static int find_cgroup(struct libvirt_hypervisor *hv, const char *name, const char *uuid,
                       char *folder, size_t size, struct mc_error *err)
{
    pid_t pid = mc_qemu_pid(hv->runtime_folder, name, uuid);
    int rc;

    if (!pid)
        return mc_error_set(err, -ENOTSUP, "its QEMU is not found on this host");
    rc = mc_cgroup_of_guest("/proc", CGROUPFS, pid, folder, size, err);
    /* The process may have ended meanwhile, and another one have got its number. */
    if (rc == 0 && mc_qemu_pid(hv->runtime_folder, name, uuid) != pid)
        rc = mc_error_set(err, -ENOENT, "the guest is gone");
    return rc;
}

int mc_libvirt_reclaim(struct mc_session *session, const char *uuid, uint64_t bytes,
                       struct mc_error *err)
{
    struct libvirt_hypervisor *hv = mc_libvirt_of(session);
    char folder[4096];
    virDomainPtr dom;
    int rc;

    if (!hv->local)
        return mc_error_set(err, -ENOTSUP, "it does not run on this host");
    dom = virDomainLookupByUUIDString(mc_libvirt_connection(session), uuid);
    if (!dom)
        return mc_libvirt_fail(session, err, "the guest is gone");
    rc = find_cgroup(hv, virDomainGetName(dom), uuid, folder, sizeof(folder), err);
    virDomainFree(dom);
    return rc < 0 ? rc : mc_cgroup_reclaim(folder, bytes, err);
}

/* ---- the last resort ---- */

static const struct mc_stopped nothing;

/* The note comes before the deed: whoever takes over after a crash has to find it. */
static int write_note(struct mc_session *session, virDomainPtr dom, const char *uuid,
                      const struct mc_stopped *stopped, struct mc_error *err)
{
    char *xml = mc_stopped_xml(stopped);
    int rc = 0;

    if (!xml)
        return mc_error_set(err, -ENOMEM, "out of memory");
    if (mc_libvirt_store(dom, xml, MC_STOPPED_KEY, MC_STOPPED_URI) < 0)
        rc = mc_libvirt_fail(session, err,
                             "it cannot be noted in its metadata that memctl stops it");
    else
        mc_cache_set_stopped(&mc_libvirt_of(session)->cache, uuid, stopped);
    free(xml);
    return rc;
}

static int drop_note(struct mc_session *session, virDomainPtr dom, const char *uuid,
                     struct mc_error *err)
{
    if (mc_libvirt_store(dom, NULL, MC_STOPPED_KEY, MC_STOPPED_URI) < 0)
        return mc_libvirt_fail(session, err,
                               "the note that memctl stopped it cannot be taken out of its "
                               "metadata");
    mc_cache_set_stopped(&mc_libvirt_of(session)->cache, uuid, &nothing);
    return 0;
}

static int check_can_stop(virDomainPtr dom, enum mc_last_resort how, struct mc_error *err)
{
    int state, reason;

    if (virDomainGetState(dom, &state, &reason, 0) < 0 || state != VIR_DOMAIN_RUNNING)
        return mc_error_set(err, -EBUSY, "it does not run any more");
    if (how == MC_LAST_RESORT_SAVE && virDomainIsPersistent(dom) != 1)
        return mc_error_set(err, -ENOTSUP,
                            "it is transient, and there would be nothing to start it from; use "
                            "last-resort=suspend, or define it");
    return 0;
}

int mc_libvirt_stop(struct mc_session *session, const char *uuid, const struct mc_stopped *stopped,
                    struct mc_error *err)
{
    virDomainPtr dom;
    int rc = mc_libvirt_begin(session, uuid, &dom, err);

    if (rc < 0)
        return rc;
    rc = check_can_stop(dom, stopped->how, err);
    if (rc == 0)
        rc = write_note(session, dom, uuid, stopped, err);
    if (rc == 0) {
        bool save = stopped->how == MC_LAST_RESORT_SAVE;

        if ((save ? virDomainManagedSave(dom, 0) : virDomainSuspend(dom)) < 0) {
            rc = mc_libvirt_fail(session, err,
                                 save ? "it cannot be saved" : "it cannot be suspended");
            if (rc != -ENOTCONN)
                drop_note(session, dom, uuid, NULL);
        }
    }
    virDomainFree(dom);
    return rc;
}

/* One that is paused for another reason, an error of its disk, was not paused by us alone. */
static int resume(struct mc_session *session, virDomainPtr dom, struct mc_error *err)
{
    int state, reason;

    if (virDomainGetState(dom, &state, &reason, 0) < 0)
        return mc_libvirt_fail(session, err, "its state cannot be read");
    if (state == VIR_DOMAIN_RUNNING)
        return 0;
    if (state != VIR_DOMAIN_PAUSED || reason != VIR_DOMAIN_PAUSED_USER)
        return mc_error_set(err, -EBUSY, "it stands still for another reason as well");
    if (virDomainResume(dom) < 0)
        return mc_libvirt_fail(session, err, "it cannot be resumed");
    return 0;
}

/* Without its saved state it would boot, which is not what is to be undone. */
static int start(struct mc_session *session, virDomainPtr dom, const char *uuid,
                 struct mc_error *err)
{
    if (virDomainHasManagedSaveImage(dom, 0) != 1) {
        drop_note(session, dom, uuid, NULL);
        return mc_error_set(err, -ENOENT, "its saved state is gone; it is left to its operator");
    }
    if (virDomainCreate(dom) < 0)
        return mc_libvirt_fail(session, err, "it cannot be started from its saved state");
    return 0;
}

/* The note goes last: without it a guest that is still stopped would stay so for ever. */
int mc_libvirt_go_on(struct mc_session *session, const char *uuid, struct mc_error *err)
{
    virDomainPtr dom;
    int rc = mc_libvirt_begin(session, uuid, &dom, err);

    if (rc < 0)
        return rc;
    rc = virDomainIsActive(dom) == 1 ? resume(session, dom, err) : start(session, dom, uuid, err);
    if (rc == 0)
        drop_note(session, dom, uuid, NULL); /* whoever finds it running with a note drops that */
    virDomainFree(dom);
    return rc;
}

int mc_libvirt_forget_stop(struct mc_session *session, const char *uuid, struct mc_error *err)
{
    virDomainPtr dom;
    int rc = mc_libvirt_begin(session, uuid, &dom, err);

    if (rc < 0)
        return rc;
    rc = drop_note(session, dom, uuid, err);
    virDomainFree(dom);
    return rc;
}
