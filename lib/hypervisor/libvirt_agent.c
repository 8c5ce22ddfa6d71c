/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The channel to an agent, added to a guest that has none. */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/agent_protocol.h>

/* libvirt chooses the path of the host's end. */
static const char channel_xml[] = "<channel type='unix'><source mode='bind'/>"
                                  "<target type='virtio' name='" MC_AGENT_PORT "'/></channel>";

/* 1: it has one, in what runs or in what it starts from. */
static int has_channel(virDomainPtr dom, bool running)
{
    char *xml = virDomainGetXMLDesc(dom, running ? 0 : VIR_DOMAIN_XML_INACTIVE);
    bool found = xml && strstr(xml, "name='" MC_AGENT_PORT "'");
    int rc = xml ? found : -EIO;

    free(xml);
    return rc;
}

/* Where it is missing: VIR_DOMAIN_AFFECT_ flags, 0 for nowhere. */
static int find_missing(virDomainPtr dom)
{
    bool runs = virDomainIsActive(dom) == 1;
    bool is_defined = virDomainIsPersistent(dom) == 1;
    int live = runs ? has_channel(dom, true) : 1, config = is_defined ? has_channel(dom, false) : 1;

    if (live < 0 || config < 0)
        return -EIO;
    return (live ? 0 : VIR_DOMAIN_AFFECT_LIVE) | (config ? 0 : VIR_DOMAIN_AFFECT_CONFIG);
}

/*
 * The definition first: it can take the channel when a running guest cannot, for want of a
 * controller or of a free port.
 */
static int attach(struct mc_session *session, virDomainPtr dom, int missing, struct mc_error *err)
{
    struct mc_error why;

    if (missing & VIR_DOMAIN_AFFECT_CONFIG &&
        virDomainAttachDeviceFlags(dom, channel_xml, VIR_DOMAIN_AFFECT_CONFIG) < 0)
        return mc_libvirt_fail(session, err,
                               "the agent's channel cannot be added to the guest's definition");
    if (!(missing & VIR_DOMAIN_AFFECT_LIVE) ||
        virDomainAttachDeviceFlags(dom, channel_xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
        return 0;
    mc_libvirt_fail(session, &why, "the running guest cannot take the channel");
    if (virDomainIsPersistent(dom) != 1)
        return mc_error_set(err, -EOPNOTSUPP,
                            "%s; it is not defined anywhere else, so it has to be started with the "
                            "channel in its definition",
                            why.text);
    return mc_error_set(err, -EOPNOTSUPP,
                        "%s; its definition has it now: shut the guest down and start it again",
                        why.text);
}

int mc_libvirt_add_agent(struct mc_session *session, const char *uuid, struct mc_agent_added *added,
                         struct mc_error *err)
{
    struct libvirt_hypervisor *hv = mc_libvirt_of(session);
    unsigned events;
    virDomainPtr dom;
    int rc, missing;

    if (mc_cache_is_copied(&hv->cache, uuid, &events))
        return mc_error_set(err, -EBUSY,
                            "the guest is being migrated, saved or dumped; try again afterwards");
    rc = mc_libvirt_begin(session, uuid, &dom, err);
    if (rc < 0)
        return rc;
    missing = find_missing(dom);
    if (missing < 0)
        rc = mc_libvirt_fail(session, err, "the guest's definition cannot be read");
    else if (missing > 0)
        rc = attach(session, dom, missing, err);
    *added = (struct mc_agent_added){.any = missing > 0, .lasts = virDomainIsPersistent(dom) == 1};
    virDomainFree(dom);
    mc_cache_mark_changed(&hv->cache, uuid);
    return rc;
}
