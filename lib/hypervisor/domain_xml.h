/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What memctl reads from libvirt's XML, and writes into a guest's metadata. */
#ifndef MEMCTL_DOMAIN_XML_H
#define MEMCTL_DOMAIN_XML_H

#include <stdint.h>

#include <memctl/error.h>
#include <memctl/model.h>

/* The name space of the element <memctl:guest .../> in <metadata>. */
#define MC_METADATA_URI "https://memctl.org/xmlns/guest/1.0"
#define MC_METADATA_KEY "memctl"

/* And of <memctl-stopped:stopped .../>, which says that memctl has stopped the guest. */
#define MC_STOPPED_URI "https://memctl.org/xmlns/stopped/1.0"
#define MC_STOPPED_KEY "memctl-stopped"

#define MC_BACKENDS_MAX 16

/* What of a guest changes seldom. */
struct mc_domain_description {
    enum mc_exempt exempt;   /* what its devices and memory forbid */
    unsigned stats_period_s; /* of the balloon, 0 for never */
    bool deflates_on_oom;
    uint64_t pluggable, plugged; /* of its virtio-mem devices, bytes: all, and what it has of it */
    uint64_t backends[MC_BACKENDS_MAX];
    size_t backend_count;   /* memory backends by size, bytes */
    char agent_socket[108]; /* the host's end of the agent's channel, "" without one */
    struct mc_settings own;
    struct mc_stopped stopped;
};

/* Parse virDomainGetXMLDesc's answer. Unknown or impossible settings are left out and said in err
 * with a return of 1; -EBADMSG if it is no domain at all. */
int mc_domain_xml_parse(const char *xml, struct mc_domain_description *description,
                        struct mc_error *err);

/* The metadata element for these settings, to be freed; NULL when out of memory. */
char *mc_settings_xml(const struct mc_settings *settings);

/* The same for what says that the guest was stopped. */
char *mc_stopped_xml(const struct mc_stopped *stopped);

#endif
