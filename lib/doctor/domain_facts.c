/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest's description says of its memory, by XPath. */
#include "doctor/facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/xpath.h>

#include <memctl/agent_protocol.h>
#include <memctl/units.h>

#define BALLOON "/domain/devices/memballoon[@model!='none']"
#define CHANNEL                                                                                    \
    "/domain/devices/channel[@type='unix']/target[@type='virtio' and @name='" MC_AGENT_PORT "']"

static bool matches(xmlXPathContext *xpath, const char *expression)
{
    xmlXPathObject *found = xmlXPathEvalExpression((const xmlChar *)expression, xpath);
    bool is = found && !xmlXPathNodeSetIsEmpty(found->nodesetval);

    xmlXPathFreeObject(found);
    return is;
}

/* The first node's text as a number, `otherwise` without one. */
static uint64_t number(xmlXPathContext *xpath, const char *expression, uint64_t otherwise)
{
    xmlXPathObject *found = xmlXPathEvalExpression((const xmlChar *)expression, xpath);
    uint64_t value = otherwise;

    if (found && !xmlXPathNodeSetIsEmpty(found->nodesetval)) {
        xmlChar *text = xmlXPathCastNodeToString(found->nodesetval->nodeTab[0]);

        value = strtoull((const char *)text, NULL, 10);
        xmlFree(text);
    }
    xmlXPathFreeObject(found);
    return value;
}

static uint64_t bytes_of(uint64_t kib)
{
    return kib > MC_SIZE_MAX / MC_KIB ? MC_UNKNOWN : kib * MC_KIB;
}

static void read_now(xmlXPathContext *xpath, struct doctor_guest *guest)
{
    guest->balloon = matches(xpath, BALLOON);
    guest->deflates = matches(xpath, BALLOON "[@autodeflate='on']");
    guest->reports = matches(xpath, BALLOON "[@freePageReporting='on']");
    guest->stats_period_s = (unsigned)number(xpath, BALLOON "/stats/@period", 0);
    guest->agent_channel = matches(xpath, CHANNEL);
    guest->agent_connected = matches(xpath, CHANNEL "[@state='connected']");
    guest->vfio = matches(xpath, "/domain/devices/hostdev[@type='pci' or @type='mdev']") ||
                  matches(xpath, "/domain/devices/interface[@type='hostdev']");
    guest->huge_pages = matches(xpath, "/domain/memoryBacking/hugepages");
    guest->locked = matches(xpath, "/domain/memoryBacking/locked");
    guest->memory = bytes_of(number(xpath, "/domain/memory", 0));
    guest->hard_limit = bytes_of(number(xpath, "/domain/memtune/hard_limit", MC_UNKNOWN));
}

static void read_next(xmlXPathContext *xpath, struct doctor_guest *guest)
{
    guest->balloon_next = matches(xpath, BALLOON);
    guest->deflates_next = matches(xpath, BALLOON "[@autodeflate='on']");
    guest->reports_next = matches(xpath, BALLOON "[@freePageReporting='on']");
    guest->agent_channel_next = matches(xpath, CHANNEL);
}

static int with_xml(const char *xml, void (*read)(xmlXPathContext *, struct doctor_guest *),
                    struct doctor_guest *guest)
{
    xmlDoc *doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlXPathContext *xpath = doc ? xmlXPathNewContext(doc) : NULL;

    if (xpath)
        read(xpath, guest);
    xmlXPathFreeContext(xpath);
    xmlFreeDoc(doc);
    return xpath ? 0 : -EBADMSG;
}

int doctor_read_domain(const char *xml, const char *next_xml, struct doctor_guest *guest)
{
    int rc = with_xml(xml, read_now, guest);

    if (rc < 0)
        return rc;
    guest->described = true;
    return next_xml ? with_xml(next_xml, read_next, guest) : 0;
}
