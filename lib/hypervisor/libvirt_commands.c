/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>

int mc_libvirt_set_balloon(struct mc_session *session, const char *uuid, uint64_t bytes,
                           struct mc_error *err)
{
    unsigned events;
    virDomainPtr dom;
    int rc;

    /* The plan may be older than the migration; libvirt would let the call wait for its end. */
    if (mc_cache_is_copied(&mc_libvirt_of(session)->cache, uuid, &events))
        return mc_error_set(err, -EBUSY, "its memory is being copied; the balloon stays as it is");
    rc = mc_libvirt_begin(session, uuid, &dom, err);
    if (rc < 0)
        return rc;
    bytes = mc_less_u64(bytes, mc_cache_told(&mc_libvirt_of(session)->cache, uuid));
    if (virDomainSetMemoryFlags(dom, (unsigned long)(bytes / MC_KIB), VIR_DOMAIN_AFFECT_LIVE) < 0)
        rc = mc_libvirt_fail(session, err, "the balloon's target cannot be set");
    virDomainFree(dom);
    return rc;
}

int mc_libvirt_set_stats_period(struct mc_session *session, const char *uuid, unsigned seconds,
                                struct mc_error *err)
{
    virDomainPtr dom;
    int rc = mc_libvirt_begin(session, uuid, &dom, err);

    if (rc < 0)
        return rc;
    if (virDomainSetMemoryStatsPeriod(dom, (int)seconds, VIR_DOMAIN_AFFECT_LIVE) < 0)
        rc = mc_libvirt_fail(session, err, "the balloon's statistics cannot be turned on");
    else
        mc_cache_set_stats_period(&mc_libvirt_of(session)->cache, uuid, seconds);
    virDomainFree(dom);
    return rc;
}
