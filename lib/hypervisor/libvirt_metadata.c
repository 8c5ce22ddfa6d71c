/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The settings that are kept with a guest, in its metadata, whether it runs or not. */
#include "hypervisor/libvirt_backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <libvirt/virterror.h>

/* ---- finding guests that were not observed ---- */

/* 1: it is there no more, or does not answer. */
static int add_defined(virDomainPtr dom, struct mc_snapshot *guests)
{
    struct mc_domain_description description;
    bool runs = virDomainIsActive(dom) == 1;
    char *xml = mc_libvirt_check_idle(dom, NULL) < 0
                    ? NULL
                    : virDomainGetXMLDesc(dom, runs ? 0 : VIR_DOMAIN_XML_INACTIVE);
    int rc = xml ? mc_domain_xml_parse(xml, &description, NULL) : -EIO;
    struct mc_guest *guest;
    virDomainInfo info;

    free(xml);
    if (rc < 0 || virDomainGetInfo(dom, &info) < 0)
        return 1;
    guest = mc_backend_add_defined(guests);
    if (!guest)
        return -ENOMEM;
    if (virDomainGetUUIDString(dom, guest->uuid) < 0) {
        guests->count--;
        return 1;
    }
    snprintf(guest->name, sizeof(guest->name), "%s", virDomainGetName(dom));
    guest->memory = info.maxMem * MC_KIB;
    guest->own = description.own;
    guest->stopped = description.stopped;
    if (runs)
        guest->state = MC_GUEST_RUNNING;
    return 0;
}

int mc_libvirt_find_stopped(struct mc_session *session, struct mc_snapshot *guests,
                            struct mc_error *err)
{
    virDomainPtr *doms;
    int rc = 0;
    int count = virConnectListAllDomains(mc_libvirt_connection(session), &doms,
                                         VIR_CONNECT_LIST_DOMAINS_INACTIVE |
                                             VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE);

    if (count < 0)
        return mc_libvirt_fail(session, err, "the saved guests cannot be listed");
    for (int i = 0; i < count; i++) {
        size_t before = guests->count;

        if (rc >= 0)
            rc = add_defined(doms[i], guests);
        if (guests->count > before && (guests->guests[before].stopped.how != MC_LAST_RESORT_SAVE ||
                                       guests->guests[before].state != MC_GUEST_STOPPED))
            guests->count = before; /* somebody else saved it, or it was started just now */
        virDomainFree(doms[i]);
    }
    free(doms);
    return rc < 0 ? mc_error_set(err, rc, "out of memory for %d guests", count) : 0;
}

static int find_one(struct mc_session *session, const char *name, struct mc_snapshot *guests,
                    struct mc_error *err)
{
    virDomainPtr dom = virDomainLookupByName(mc_libvirt_connection(session), name);
    int rc;

    if (!dom && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        dom = virDomainLookupByUUIDString(mc_libvirt_connection(session), name);
    if (!dom) {
        int code = virGetLastErrorCode();

        if (code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_INVALID_ARG)
            return mc_backend_no_guest(err, name);
        return mc_libvirt_fail(session, err, "the guest cannot be looked up");
    }
    rc = add_defined(dom, guests);
    virDomainFree(dom);
    if (rc > 0)
        return mc_error_set(err, -EBUSY, "guest '%.64s' does not answer now; try again", name);
    return rc < 0 ? mc_error_set(err, rc, "out of memory") : 0;
}

int mc_libvirt_find(struct mc_session *session, const char *name, struct mc_snapshot *guests,
                    struct mc_error *err)
{
    virDomainPtr *doms;
    int count, rc = 0;

    if (name)
        return find_one(session, name, guests, err);
    count = virConnectListAllDomains(mc_libvirt_connection(session), &doms,
                                     VIR_CONNECT_LIST_DOMAINS_INACTIVE);
    if (count < 0)
        return mc_libvirt_fail(session, err, "the guests cannot be listed");
    for (int i = 0; i < count; i++) {
        if (rc >= 0)
            rc = add_defined(doms[i], guests);
        virDomainFree(doms[i]);
    }
    free(doms);
    return rc < 0 ? mc_error_set(err, rc, "out of memory for %d guests", count) : 0;
}

/* ---- storing ---- */

static int set_metadata(virDomainPtr dom, const char *xml, const char *key, const char *uri,
                        unsigned flags)
{
    return virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, xml, xml ? key : NULL, uri,
                                flags);
}

/*
 * Where the guest will read them: in what runs, in what it starts from, or in both. One that is
 * started while its definition is changed may have begun with the old settings.
 */
int mc_libvirt_store(virDomainPtr dom, const char *xml, const char *key, const char *uri)
{
    bool runs = virDomainIsActive(dom) == 1;
    unsigned flags = runs ? VIR_DOMAIN_AFFECT_LIVE : VIR_DOMAIN_AFFECT_CONFIG;

    if (runs && virDomainIsPersistent(dom) == 1)
        flags |= VIR_DOMAIN_AFFECT_CONFIG;
    if (set_metadata(dom, xml, key, uri, flags) < 0)
        return -1;
    if (!runs && virDomainIsActive(dom) == 1)
        return set_metadata(dom, xml, key, uri, VIR_DOMAIN_AFFECT_LIVE);
    return 0;
}

/* libvirt changes nothing of a guest that it copies, and would let the call wait for the end. */
static int check_not_copied(struct mc_session *session, const char *uuid, struct mc_error *err)
{
    unsigned events;

    if (mc_cache_is_copied(&mc_libvirt_of(session)->cache, uuid, &events))
        return mc_error_set(
            err, -EBUSY, "the guest is being migrated, saved or dumped; set it again afterwards");
    return 0;
}

/* A guest that was saved starts as it was saved, settings included. */
static int check_not_saved(virDomainPtr dom, struct mc_error *err)
{
    if (virDomainIsActive(dom) == 0 && virDomainHasManagedSaveImage(dom, 0) == 1)
        return mc_error_set(err, -EBUSY,
                            "guest '%.64s' is saved with its old settings; start it first, or drop "
                            "its saved state with 'virsh managedsave-remove'",
                            virDomainGetName(dom));
    return 0;
}

int mc_libvirt_save_settings(struct mc_session *session, const char *uuid,
                             const struct mc_settings *settings, struct mc_error *err)
{
    int rc = check_not_copied(session, uuid, err);
    char *xml = rc < 0 ? NULL : mc_settings_xml(settings);
    virDomainPtr dom;

    if (rc < 0)
        return rc;
    if (!xml)
        return mc_error_set(err, -ENOMEM, "out of memory");
    rc = mc_libvirt_begin(session, uuid, &dom, err);
    if (rc == 0) {
        rc = check_not_saved(dom, err);
        if (rc == 0 && mc_libvirt_store(dom, xml, MC_METADATA_KEY, MC_METADATA_URI) < 0)
            rc = mc_libvirt_fail(session, err,
                                 "the settings cannot be stored in the guest's metadata");
        virDomainFree(dom);
    }
    free(xml);
    if (rc == 0)
        mc_cache_set_own(&mc_libvirt_of(session)->cache, uuid, settings);
    return rc;
}
