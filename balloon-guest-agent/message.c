/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of JSON, as docs/agent-protocol.md describes them. */
#include "agent.h"

#include <string.h>
#include <sys/utsname.h>

#include <jansson.h>

/* Takes message over. */
static size_t write_line(char *text, size_t room, json_t *message)
{
    size_t length = message ? json_dumpb(message, text, room, JSON_COMPACT) : 0;

    json_decref(message);
    if (length == 0 || length >= room)
        return 0;
    text[length] = '\n';
    return length + 1;
}

size_t message_hello(char *text, size_t room)
{
    struct utsname system;

    if (uname(&system) < 0)
        strcpy(system.release, "unknown");
    return write_line(text, room,
                      json_pack("{s:i, s:s, s:i, s:s, s:s, s:[s]}", MC_AGENT_KEY, MC_AGENT_PROTOCOL,
                                "type", "hello", "seq", 0, "version", MEMCTL_VERSION, "kernel",
                                system.release, "capabilities", "memory"));
}

static json_t *values_to_json(const char *const *names, const uint64_t *values, size_t count)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++)
        if (values[i] != UNTOLD)
            json_object_set_new(object, names[i], json_integer((json_int_t)values[i]));
    return object;
}

size_t message_report(char *text, size_t room, uint64_t seq, const struct memory *memory)
{
    return write_line(text, room,
                      json_pack("{s:i, s:s, s:I, s:o, s:o}", MC_AGENT_KEY, MC_AGENT_PROTOCOL,
                                "type", "report", "seq", (json_int_t)seq, "memory",
                                values_to_json(memory_names, memory->memory, MEMORY_COUNT),
                                "counters",
                                values_to_json(counter_names, memory->counters, COUNTER_COUNT)));
}

unsigned message_interval(const char *line, size_t length)
{
    json_t *message = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    const char *type;
    json_int_t seconds = 0;
    int protocol, rc;

    rc = json_unpack(message, "{s:i, s:s, s:I}", MC_AGENT_KEY, &protocol, "type", &type, "seconds",
                     &seconds);
    if (rc < 0 || protocol != MC_AGENT_PROTOCOL || strcmp(type, "interval") != 0 ||
        seconds < MC_AGENT_INTERVAL_MIN || seconds > MC_AGENT_INTERVAL_MAX)
        seconds = 0;
    json_decref(message);
    return (unsigned)seconds;
}
