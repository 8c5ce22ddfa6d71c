/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of JSON, as docs/agent-protocol.md describes them. */
#include "agent.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "json.h"

static struct json_text begin(char *text, size_t room, const char *type, uint64_t seq)
{
    struct json_text out = {.text = text, .room = room};

    json_put(&out, "{\"" MC_AGENT_KEY "\":%d,\"type\":\"%s\",\"seq\":%" PRIu64, MC_AGENT_PROTOCOL,
             type, seq);
    return out;
}

static size_t end(struct json_text *out)
{
    json_put(out, "}\n");
    return out->is_full ? 0 : out->length;
}

/* The host takes no other characters, and a kernel can be called what its builder likes. */
static void make_plain(char *text, size_t length)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                ".,:;+-_~#/()@ ";

    text[length] = '\0';
    for (; *text; text++)
        if (!strchr(plain, *text))
            *text = '_';
}

size_t message_hello(char *text, size_t room)
{
    struct json_text out = begin(text, room, "hello", 0);
    struct utsname system;

    if (uname(&system) < 0)
        strcpy(system.release, "unknown");
    make_plain(system.release, MC_AGENT_KERNEL_MAX);
    json_put(&out,
             ",\"version\":\"%s\",\"kernel\":\"%s\","
             "\"capabilities\":[\"memory\",\"distress\",\"working-set\"]",
             MEMCTL_VERSION, system.release);
    return end(&out);
}

static void put_values(struct json_text *out, const char *name, const char *const *names,
                       const uint64_t *values, size_t count)
{
    const char *comma = "";

    json_put(out, ",\"%s\":{", name);
    for (size_t i = 0; i < count; i++) {
        if (values[i] == UNTOLD)
            continue;
        json_put(out, "%s\"%s\":%" PRIu64, comma, names[i], values[i]);
        comma = ",";
    }
    json_put(out, "}");
}

static size_t finish_report(struct json_text *out, const struct memory *memory)
{
    put_values(out, "memory", memory_names, memory->memory, MEMORY_COUNT);
    put_values(out, "counters", counter_names, memory->counters, COUNTER_SAID);
    return end(out);
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The balloon may have taken memory since it was found out: no more is worked with than there is.
 */
static void put_workset(struct json_text *out, const struct workset *workset, uint64_t total,
                        uint64_t age_ms)
{
    uint64_t active = min(workset->active, total);
    uint64_t read_cache = min(workset->read_cache, total - active);
    uint64_t kernel = min(workset->kernel, total - active - read_cache);

    json_put(out,
             ",\"working_set\":{\"method\":\"%s\",\"active\":%" PRIu64 ",\"read_cache\":%" PRIu64
             ",\"kernel\":%" PRIu64 ",\"window_ms\":%" PRIu64 ",\"age_ms\":%" PRIu64
             ",\"confidence\":%u,\"cost\":%u}",
             workset->method, active, read_cache, kernel, workset->window_ms, age_ms,
             workset->confidence, workset->cost);
}

size_t message_report(char *text, size_t room, uint64_t seq, const struct memory *memory,
                      const struct workset *workset, uint64_t age_ms)
{
    struct json_text out = begin(text, room, "report", seq);

    if (workset)
        put_workset(&out, workset, memory->memory[MEMORY_TOTAL], age_ms);
    return finish_report(&out, memory);
}

size_t message_distress(char *text, size_t room, uint64_t seq, const struct memory *memory,
                        enum watch_news news, uint64_t rate)
{
    static const char *const reasons[] = {
        [WATCH_LOW] = "low",
        [WATCH_FALLING] = "falling",
        [WATCH_STALL] = "stall",
        [WATCH_OVER] = "over",
    };
    struct json_text out = begin(text, room, "distress", seq);

    json_put(&out, ",\"reason\":\"%s\",\"rate\":%" PRIu64, reasons[news], rate);
    return finish_report(&out, memory);
}

unsigned message_interval(const char *line, size_t length)
{
    struct json_member members[] = {{.name = MC_AGENT_KEY}, {.name = "type"}, {.name = "seconds"}};
    uint64_t protocol, seconds;

    if (!json_find(line, length, members, 3) || !json_number(&members[0], UINT32_MAX, &protocol) ||
        protocol != MC_AGENT_PROTOCOL || !json_is_text(&members[1], "interval") ||
        !json_number(&members[2], MC_AGENT_INTERVAL_MAX, &seconds) ||
        seconds < MC_AGENT_INTERVAL_MIN)
        return 0;
    return (unsigned)seconds;
}
