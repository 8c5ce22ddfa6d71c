/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes that a guest may say, for the parser of its agent's messages. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

#include "agent_message.h"
#include "fuzz.h"

/* Lines that are good, to begin with. */
const char *const fuzz_seeds[] = {
    "{\"memctl-agent\":1,\"type\":\"hello\",\"seq\":0,\"version\":\"0.1.0\",\"kernel\":\"6.1.0-"
    "18\","
    "\"capabilities\":[\"memory\",\"distress\",\"working-set\"]}",
    "{\"memctl-agent\":1,\"type\":\"report\",\"seq\":17,\"memory\":{\"total\":1037725696,"
    "\"free\":703111168,\"available\":790528000,\"cached\":98304000,\"anon_huge\":62914560,"
    "\"swap_total\":4096,\"swap_free\":0},\"counters\":{\"swap_in\":0,\"swap_out\":0,"
    "\"major_faults\":212,\"refault_anon\":0,\"refault_file\":31,\"oom_kill\":0,"
    "\"stall_us\":48211}}",
    "{\"memctl-agent\":1,\"type\":\"report\",\"seq\":20,\"working_set\":{\"method\":\"lru-gen\","
    "\"active\":157286400,\"read_cache\":20971520,\"kernel\":41943040,\"window_ms\":10043,"
    "\"age_ms\":2210,\"confidence\":95,\"cost\":640},\"memory\":{\"total\":1037725696,"
    "\"free\":703111168,\"available\":790528000}}",
    "{\"memctl-agent\":1,\"type\":\"distress\",\"seq\":18,\"reason\":\"falling\","
    "\"rate\":188743680,\"memory\":{\"total\":498225152,\"free\":59768832,"
    "\"available\":61865984},\"counters\":{\"stall_us\":48211}}",
    "{\"memctl-agent\":1,\"type\":\"distress\",\"seq\":19,\"reason\":\"over\",\"memory\":"
    "{\"total\":9007199254740991,\"free\":0,\"available\":0}}",
    NULL,
};

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_hello(const struct agent_hello *hello)
{
    demand(memchr(hello->version, '\0', sizeof(hello->version)));
    demand(memchr(hello->kernel, '\0', sizeof(hello->kernel)));
    for (const char *at = hello->version; *at; at++)
        demand(*at >= ' ' && *at < 0x7f);
    for (const char *at = hello->kernel; *at; at++)
        demand(*at >= ' ' && *at < 0x7f);
}

static void check_report(const struct agent_report *report)
{
    const uint64_t parts[] = {report->free, report->available, report->cached, report->anon_huge};
    const uint64_t counters[] = {
        report->swap_in,      report->swap_out, report->major_faults, report->refault_anon,
        report->refault_file, report->oom_kill, report->stall_us,
    };

    demand(report->total > 0 && report->total <= MC_SIZE_MAX);
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        demand(parts[i] <= report->total || (i >= 2 && parts[i] == MC_UNKNOWN));
    for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
        demand(counters[i] <= INT64_MAX || counters[i] == MC_UNKNOWN);
    demand((report->swap_total == MC_UNKNOWN) == (report->swap_free == MC_UNKNOWN));
    demand(report->swap_free <= report->swap_total);
    demand(report->reason <= AGENT_REASON_OVER);
    demand(report->rate <= MC_SIZE_MAX || report->rate == MC_UNKNOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent_message message;
    char *exact = malloc(size + !size); /* so that a sanitizer sees a step beyond the end */
    int rc;

    demand(exact);
    if (size)
        memcpy(exact, data, size);
    rc = agent_message_parse(exact, size, &message);
    free(exact);
    demand(rc == 0 || rc == -EBADMSG || rc == -EPROTO || rc == -ENOTSUP || rc == -EINVAL);
    if (rc == 0 && message.type == AGENT_HELLO)
        check_hello(&message.hello);
    else if (rc == 0)
        check_report(&message.report);
    return 0;
}
