/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Three questions to QEMU: which backends there are (query-memdev), where the guest sees them (info
 * mtree), and where QEMU has that address (gpa2hva). A backend that the guest does not see at all,
 * such as a device that was just taken away, is left out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <libvirt/libvirt-qemu.h>

#include "hypervisor/libvirt_backend.h"
#include "hypervisor/qemu_monitor.h"

static int ask(struct mc_session *session, virDomainPtr dom, const char *question, bool human,
               char **answer, struct mc_error *err)
{
    unsigned flags = human ? VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP : 0;

    *answer = NULL;
    if (virDomainQemuMonitorCommand(dom, question, answer, flags) < 0)
        return mc_libvirt_fail(session, err, "QEMU's monitor cannot be asked for the memory");
    return 0;
}

static int locate(struct mc_session *session, virDomainPtr dom, const char *mtree,
                  struct mc_memory_backend *backend, struct mc_error *err)
{
    uint64_t guest_address, offset, address = 0;
    char question[64], *answer;
    int rc;

    if (mc_qemu_find_range(mtree, backend->id, &guest_address, &offset) < 0)
        return 0;
    snprintf(question, sizeof(question), "gpa2hva 0x%" PRIx64, guest_address);
    rc = ask(session, dom, question, true, &answer, err);
    if (rc < 0)
        return rc;
    rc = mc_qemu_read_host_address(answer, backend->id, &address);
    free(answer);
    if (rc < 0 || address <= offset)
        return mc_error_set(err, -EPROTO, "QEMU does not say where its memory '%s' is",
                            backend->id);
    backend->address = address - offset;
    return 0;
}

static int locate_all(struct mc_session *session, virDomainPtr dom, struct mc_guest_memory *memory,
                      struct mc_error *err)
{
    size_t found = 0;
    char *mtree;
    int rc = ask(session, dom, "info mtree -f", true, &mtree, err);

    for (size_t i = 0; rc == 0 && i < memory->count; i++) {
        rc = locate(session, dom, mtree, &memory->backends[i], err);
        if (rc == 0 && memory->backends[i].address)
            memory->backends[found++] = memory->backends[i];
    }
    free(mtree);
    memory->count = found;
    if (rc == 0 && !found)
        return mc_error_set(err, -EPROTO, "QEMU does not say where the guest's memory is");
    return rc;
}

int mc_libvirt_locate_memory(struct mc_session *session, const char *uuid,
                             struct mc_guest_memory *memory, struct mc_error *err)
{
    virDomainPtr dom;
    char *answer;
    int rc;

    if (!mc_libvirt_of(session)->local)
        return mc_error_set(err, -ENOTSUP, "the guests do not run on this host under QEMU");
    rc = mc_libvirt_begin(session, uuid, &dom, err);
    if (rc < 0)
        return rc;
    rc = ask(session, dom, "{\"execute\":\"query-memdev\"}", false, &answer, err);
    if (rc == 0) {
        rc = mc_qemu_read_memdevs(answer, memory, err);
        free(answer);
    }
    if (rc == 0)
        rc = locate_all(session, dom, memory, err);
    virDomainFree(dom);
    return rc;
}
