/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>
#include <stdlib.h>

int mc_libvirt_save_settings(struct mc_session *session, const char *uuid,
                             const struct mc_settings *settings, struct mc_error *err)
{
    char *xml = mc_settings_xml(settings);
    unsigned flags = VIR_DOMAIN_AFFECT_LIVE;
    virDomainPtr dom;
    int rc;

    if (!xml)
        return mc_error_set(err, -ENOMEM, "out of memory");
    rc = mc_libvirt_begin(session, uuid, &dom, err);
    if (rc == 0) {
        if (virDomainIsPersistent(dom) == 1)
            flags |= VIR_DOMAIN_AFFECT_CONFIG;
        if (virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, xml, MC_METADATA_KEY,
                                 MC_METADATA_URI, flags) < 0)
            rc = mc_libvirt_fail(session, err,
                                 "the settings cannot be stored in the guest's metadata");
        virDomainFree(dom);
    }
    free(xml);
    if (rc == 0)
        mc_cache_set_own(&mc_libvirt_of(session)->cache, uuid, settings);
    return rc;
}
