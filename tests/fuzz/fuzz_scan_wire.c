/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a memctl-scan that was taken over may tell memctld, one message a line. */
#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define HEAD                                                                                       \
    "{\"type\":\"report\",\"wall_s\":1,\"sample\":1,\"guests\":2,\"domains\":1,\"pass\":1,"        \
    "\"took_ms\":1,\"cpu_ms\":1,\"cpu_all_ms\":1,\"table_bytes\":1,\"compared\":1,"                \
    "\"different\":1}\n"
#define GUEST(name)                                                                                \
    "{\"type\":\"guest\",\"uuid\":\"" name "\",\"name\":\"" name "\",\"domain\":\"d\","            \
    "\"why\":\"\",\"state\":1,\"mergeable\":true,\"passes\":1,\"present\":1,\"merged\":0,"         \
    "\"swapped\":0,\"scanned\":1,\"huge\":0,\"zero\":0,\"inside\":0,\"across\":0,"                 \
    "\"changing\":0,\"unique\":1,\"saving\":0,\"error\":0}\n"

const char *const fuzz_seeds[] = {
    HEAD GUEST("a") GUEST("b") "{\"type\":\"domain\",\"name\":\"d\",\"guests\":2,\"scanned\":1,"
                               "\"zero\":0,\"saving\":0,"
                               "\"error\":0}\n"
                               "{\"type\":\"pairs\",\"pairs\":[[0,1,4096,0]]}\n"
                               "{\"type\":\"sketch\",\"uuid\":\"a\",\"hashes\":[1,2,-1]}\n"
                               "{\"type\":\"end\"}\n",
    HEAD GUEST("a") "{\"type\":\"end\"}\n",
    "{\"type\":\"end\"}\n" HEAD,
    NULL,
};

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct scan_inbox *inbox)
{
    const struct mc_dedupe_report *report = &inbox->report;
    json_t *json = mc_dedupe_report_to_json(report);

    demand(report->guest_count <= MC_DEDUPE_GUESTS_MAX);
    for (size_t i = 0; i < report->pair_count; i++)
        demand(report->pairs[i].a < report->pairs[i].b && report->pairs[i].b < report->guest_count);
    for (size_t i = 0; i < report->guest_count; i++)
        demand(report->guests[i].state <= MC_DEDUPE_FAILED &&
               inbox->sketches[i].count <= MC_SKETCH_SIZE);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scan_inbox inbox = {0};

    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;
        json_t *message = json_loadb((const char *)data + at, length, 0, NULL);
        int rc = json_is_object(message) ? scan_take_part(&inbox, message) : -EPROTO;

        json_decref(message);
        if (rc == 1)
            check(&inbox);
        if (rc < 0)
            break;
        at += length + 1;
    }
    scan_inbox_free(&inbox);
    return 0;
}
