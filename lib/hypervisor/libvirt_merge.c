/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <libvirt/libvirt-qemu.h>

#include "hypervisor/libvirt_backend.h"
#include "hypervisor/qemu_monitor.h"

/* The backend's name comes from QEMU, and goes back as a string of JSON and a part of a path. */
static char *command_for(const char *backend, bool merge)
{
    json_t *path = strchr(backend, '/') ? NULL : json_sprintf("/objects/%s", backend);
    json_t *command;
    char *text;

    if (!path)
        return NULL;
    command = json_pack("{s:s, s:{s:o, s:s, s:b}}", "execute", "qom-set", "arguments", "path", path,
                        "property", "merge", "value", merge);
    text = command ? json_dumps(command, JSON_COMPACT) : NULL;
    json_decref(command);
    return text;
}

static int set_merge(struct mc_session *session, virDomainPtr dom, const char *command,
                     struct mc_error *err)
{
    char *answer = NULL;
    int rc;

    if (virDomainQemuMonitorCommand(dom, command, &answer, 0) < 0)
        return mc_libvirt_fail(session, err, "QEMU's monitor cannot be told what to merge");
    rc = mc_qemu_read_done(answer, err);
    free(answer);
    return rc;
}

int mc_libvirt_set_merge(struct mc_session *session, const char *uuid, const char *backend,
                         bool merge, struct mc_error *err)
{
    char *command = command_for(backend, merge);
    virDomainPtr dom;
    unsigned events;
    int rc;

    if (!command)
        return mc_error_set(err, -EINVAL, "'%s' is no name of a memory backend", backend);
    if (mc_cache_is_copied(&mc_libvirt_of(session)->cache, uuid, &events))
        rc = mc_error_set(err, -EBUSY, "its memory is being copied; merging stays as it is");
    else
        rc = mc_libvirt_begin(session, uuid, &dom, err);
    if (rc == 0) {
        rc = set_merge(session, dom, command, err);
        virDomainFree(dom);
    }
    free(command);
    return rc;
}
