/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/domain_xml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

#include <memctl/agent_protocol.h>
#include <memctl/hypervisor.h>

static bool is_element(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

/* The first child element of that name; NULL if parent is NULL or has none. */
static xmlNode *child(const xmlNode *parent, const char *name)
{
    for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
        if (is_element(node, name))
            return node;
    return NULL;
}

/* Copy an attribute; returns whether it is there and fits. */
static bool attribute(xmlNode *node, const char *name, char *value, size_t size)
{
    xmlChar *text = node ? xmlGetProp(node, (const xmlChar *)name) : NULL;
    bool fits = text && strlen((const char *)text) < size;

    if (fits)
        memcpy(value, text, strlen((const char *)text) + 1);
    xmlFree(text);
    return fits;
}

static bool attribute_is(xmlNode *node, const char *name, const char *wanted)
{
    char value[64];

    return attribute(node, name, value, sizeof(value)) && strcmp(value, wanted) == 0;
}

/* libvirt's own output always says KiB or bytes; the others are for what people write. */
static const struct {
    const char *name;
    uint64_t bytes;
} units[] = {
    {"KiB", MC_KIB},        {"k", MC_KIB},       {"bytes", 1},       {"b", 1},
    {"MiB", MC_MIB},        {"M", MC_MIB},       {"GiB", MC_GIB},    {"G", MC_GIB},
    {"KB", 1000},           {"MB", 1000 * 1000}, {"GB", 1000000000}, {"T", 1024 * MC_GIB},
    {"TiB", 1024 * MC_GIB},
};

/* <memory unit='KiB'>524288</memory> in bytes, 0 for what is no size. */
static uint64_t memory_of(const xmlNode *parent, const char *name)
{
    xmlNode *node = child(parent, name);
    xmlChar *text = node ? xmlNodeGetContent(node) : NULL;
    uint64_t value = text ? strtoull((const char *)text, NULL, 10) : 0;
    char unit[16] = "KiB";

    xmlFree(text);
    attribute(node, "unit", unit, sizeof(unit));
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (strcmp(units[i].name, unit) == 0)
            return value > MC_SIZE_MAX / units[i].bytes ? 0 : value * units[i].bytes;
    return 0;
}

static void add_backend(struct mc_domain_description *description, uint64_t bytes)
{
    if (bytes && description->backend_count < MC_BACKENDS_MAX)
        description->backends[description->backend_count++] = bytes;
}

/* One backend per NUMA cell, or one for all; one for each memory device. */
static void read_backends(const xmlNode *domain, struct mc_domain_description *description)
{
    const xmlNode *numa = child(child(domain, "cpu"), "numa");
    const xmlNode *devices = child(domain, "devices");

    for (xmlNode *cell = numa ? numa->children : NULL; cell; cell = cell->next) {
        char value[32];

        if (is_element(cell, "cell") && attribute(cell, "memory", value, sizeof(value)))
            add_backend(description, strtoull(value, NULL, 10) * MC_KIB);
    }
    if (!description->backend_count)
        add_backend(description, memory_of(domain, "memory"));
    for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
        if (!is_element(node, "memory"))
            continue;
        add_backend(description, memory_of(child(node, "target"), "size"));
        if (attribute_is(node, "model", "virtio-mem")) {
            description->pluggable += memory_of(child(node, "target"), "size");
            description->plugged += memory_of(child(node, "target"), "current");
        }
    }
}

static bool has_vfio(const xmlNode *devices)
{
    for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
        if (is_element(node, "hostdev") &&
            (attribute_is(node, "type", "pci") || attribute_is(node, "type", "mdev")))
            return true;
        if (is_element(node, "interface") && attribute_is(node, "type", "hostdev"))
            return true;
    }
    return false;
}

static enum mc_exempt read_exempt(const xmlNode *domain)
{
    const xmlNode *devices = child(domain, "devices");
    const xmlNode *backing = child(domain, "memoryBacking");
    xmlNode *balloon = child(devices, "memballoon");

    if (has_vfio(devices))
        return MC_EXEMPT_PASSTHROUGH;
    if (child(backing, "hugepages"))
        return MC_EXEMPT_HUGE_PAGES;
    if (child(backing, "locked"))
        return MC_EXEMPT_LOCKED;
    if (!balloon || attribute_is(balloon, "model", "none"))
        return MC_EXEMPT_NO_BALLOON;
    return MC_EXEMPT_NO;
}

static void read_agent_socket(const xmlNode *devices, struct mc_domain_description *description)
{
    for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
        if (!is_element(node, "channel") || !attribute_is(node, "type", "unix") ||
            !attribute_is(child(node, "target"), "name", MC_AGENT_PORT))
            continue;
        if (!attribute(child(node, "source"), "path", description->agent_socket,
                       sizeof(description->agent_socket)))
            description->agent_socket[0] = '\0';
        return;
    }
}

static int read_settings(const xmlNode *domain, struct mc_settings *own, struct mc_error *err)
{
    const xmlNode *metadata = child(domain, "metadata");
    int rc = 0;

    for (xmlNode *node = metadata ? metadata->children : NULL; node; node = node->next) {
        if (!is_element(node, "guest") || !node->ns ||
            strcmp((const char *)node->ns->href, MC_METADATA_URI) != 0)
            continue;
        for (xmlAttr *attr = node->properties; attr; attr = attr->next) {
            char value[MC_SETTING_TEXT];

            if (!attribute(node, (const char *)attr->name, value, sizeof(value)) ||
                mc_settings_say(own, (const char *)attr->name, value, err) < 0)
                rc = 1;
        }
    }
    return rc;
}

/* A note that cannot be read says nothing: then an operator has to look after the guest. */
static void read_stopped(const xmlNode *domain, struct mc_stopped *stopped)
{
    const xmlNode *metadata = child(domain, "metadata");

    for (xmlNode *node = metadata ? metadata->children : NULL; node; node = node->next) {
        char how[16], at[24], size[24];

        if (!is_element(node, "stopped") || !node->ns ||
            strcmp((const char *)node->ns->href, MC_STOPPED_URI) != 0 ||
            !attribute(node, "how", how, sizeof(how)) || !attribute(node, "at", at, sizeof(at)) ||
            !attribute(node, "size", size, sizeof(size)))
            continue;
        for (unsigned i = 0; i < MC_LAST_RESORT_COUNT; i++)
            if (strcmp(how, mc_last_resort_name(i)) == 0)
                stopped->how = i;
        stopped->at_s = strtoull(at, NULL, 10);
        stopped->size = mc_min_u64(strtoull(size, NULL, 10), MC_SIZE_MAX);
    }
}

/* The document's <domain>, or NULL; xmlFreeDoc(*doc) in any case. */
static xmlNode *domain_of(const char *xml, xmlDoc **doc, struct mc_error *err)
{
    xmlNode *domain;

    *doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
                         XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    domain = *doc ? xmlDocGetRootElement(*doc) : NULL;
    if (domain && is_element(domain, "domain"))
        return domain;
    mc_error_set(err, -EBADMSG, "the description of the guest is no domain XML of libvirt's");
    return NULL;
}

int mc_domain_xml_parse(const char *xml, struct mc_domain_description *description,
                        struct mc_error *err)
{
    xmlDoc *doc;
    xmlNode *domain = domain_of(xml, &doc, err);
    char period[16];
    int rc;

    *description = (struct mc_domain_description){0};
    if (!domain) {
        xmlFreeDoc(doc);
        return -EBADMSG;
    }
    description->exempt = read_exempt(domain);
    read_backends(domain, description);
    read_agent_socket(child(domain, "devices"), description);
    if (attribute(child(child(child(domain, "devices"), "memballoon"), "stats"), "period", period,
                  sizeof(period)))
        description->stats_period_s = (unsigned)strtoul(period, NULL, 10);
    description->deflates_on_oom =
        attribute_is(child(child(domain, "devices"), "memballoon"), "autodeflate", "on");
    rc = read_settings(domain, &description->own, err);
    read_stopped(domain, &description->stopped);
    xmlFreeDoc(doc);
    return rc;
}

static void copy_text(const xmlNode *domain, const char *name, char *text, size_t size)
{
    xmlNode *node = child(domain, name);
    xmlChar *content = node ? xmlNodeGetContent(node) : NULL;

    snprintf(text, size, "%s", content ? (const char *)content : "");
    xmlFree(content);
}

int mc_guest_from_xml(const char *xml, struct mc_guest *guest, struct mc_error *err)
{
    xmlDoc *doc;
    xmlNode *domain = domain_of(xml, &doc, err);

    *guest = (struct mc_guest){.run_id = -1, .state = MC_GUEST_STOPPED};
    if (domain) {
        copy_text(domain, "name", guest->name, sizeof(guest->name));
        copy_text(domain, "uuid", guest->uuid, sizeof(guest->uuid));
        guest->exempt = read_exempt(domain);
        guest->memory = memory_of(domain, "memory");
        guest->actual = memory_of(domain, "currentMemory");
        read_settings(domain, &guest->own, NULL);
    }
    xmlFreeDoc(doc);
    if (!domain)
        return -EBADMSG;
    if (!guest->memory)
        return mc_error_set(err, -EBADMSG, "the description of the guest says no <memory>");
    if (!guest->actual || guest->actual > guest->memory)
        guest->actual = guest->memory;
    return 0;
}

/* Every value comes from mc_settings_text(): digits, a point, a unit or a word. Nothing to escape.
 */
char *mc_settings_xml(const struct mc_settings *settings)
{
    char *xml = NULL;
    size_t size;
    FILE *out = open_memstream(&xml, &size);

    if (!out)
        return NULL;
    fputs("<guest", out);
    for (unsigned i = 0; i < MC_SETTING_COUNT; i++) {
        char text[MC_SETTING_TEXT];

        if (mc_settings_text(settings, i, text))
            fprintf(out, " %s='%s'", mc_setting_name(i), text);
    }
    fputs("/>", out);
    if (fclose(out) != 0) {
        free(xml);
        return NULL;
    }
    return xml;
}

char *mc_stopped_xml(const struct mc_stopped *stopped)
{
    char *xml;

    if (asprintf(&xml, "<stopped how='%s' at='%" PRIu64 "' size='%" PRIu64 "'/>",
                 mc_last_resort_name(stopped->how), stopped->at_s, stopped->size) < 0)
        return NULL;
    return xml;
}
