/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent_message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <jansson.h>

#include <memctl/units.h>

/* What is told to people and to other programs later: nothing that a terminal would obey. */
static bool is_plain(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                ".,:;+-_~#/()@ ";

    return text[strspn(text, plain)] == '\0';
}

static int read_text(const json_t *object, const char *name, char *text, size_t room)
{
    const char *value = json_string_value(json_object_get(object, name));

    if (!value || strlen(value) >= room || !is_plain(value))
        return -EINVAL;
    strcpy(text, value);
    return 0;
}

/* A whole number from 0 to limit; MC_UNKNOWN where it is missing. */
static int read_number(const json_t *object, const char *name, uint64_t limit, uint64_t *number)
{
    const json_t *value = json_object_get(object, name);

    *number = MC_UNKNOWN;
    if (!value)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return -EINVAL;
    *number = (uint64_t)json_integer_value(value);
    return *number <= limit ? 0 : -EINVAL;
}

static int read_capabilities(const json_t *list, unsigned *capabilities)
{
    static const struct {
        const char *word;
        enum agent_capability capability;
    } known[] = {{"memory", AGENT_CAN_MEMORY},
                 {"distress", AGENT_CAN_DISTRESS},
                 {"working-set", AGENT_CAN_WORKING_SET}};
    const json_t *word;
    size_t i;

    if (!json_is_array(list))
        return -EINVAL;
    json_array_foreach (list, i, word) {
        if (!json_is_string(word))
            return -EINVAL;
        for (size_t k = 0; k < sizeof(known) / sizeof(*known); k++)
            if (strcmp(json_string_value(word), known[k].word) == 0)
                *capabilities |= known[k].capability;
    }
    return 0;
}

static int read_hello(const json_t *object, struct agent_message *message)
{
    struct agent_hello *hello = &message->hello;

    if (read_text(object, "version", hello->version, sizeof(hello->version)) < 0 ||
        read_text(object, "kernel", hello->kernel, sizeof(hello->kernel)) < 0)
        return -EINVAL;
    return read_capabilities(json_object_get(object, "capabilities"), &hello->capabilities);
}

static int read_memory(const json_t *memory, struct agent_report *report)
{
    if (!json_is_object(memory) || read_number(memory, "total", MC_SIZE_MAX, &report->total) < 0 ||
        report->total == MC_UNKNOWN || report->total == 0)
        return -EINVAL;
    if (read_number(memory, "free", report->total, &report->free) < 0 ||
        read_number(memory, "available", report->total, &report->available) < 0 ||
        read_number(memory, "cached", report->total, &report->cached) < 0 ||
        read_number(memory, "anon_huge", report->total, &report->anon_huge) < 0 ||
        read_number(memory, "swap_total", MC_SIZE_MAX, &report->swap_total) < 0 ||
        read_number(memory, "swap_free", report->swap_total, &report->swap_free) < 0)
        return -EINVAL;
    if (report->free == MC_UNKNOWN || report->available == MC_UNKNOWN ||
        (report->swap_total == MC_UNKNOWN) != (report->swap_free == MC_UNKNOWN))
        return -EINVAL;
    return 0;
}

static int read_counters(const json_t *counters, struct agent_report *report)
{
    const struct {
        const char *name;
        uint64_t *value;
    } known[] = {
        {"swap_in", &report->swap_in},           {"swap_out", &report->swap_out},
        {"major_faults", &report->major_faults}, {"refault_anon", &report->refault_anon},
        {"refault_file", &report->refault_file}, {"oom_kill", &report->oom_kill},
        {"stall_us", &report->stall_us},
    };

    if (counters && !json_is_object(counters))
        return -EINVAL;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (read_number(counters, known[i].name, INT64_MAX, known[i].value) < 0)
            return -EINVAL;
    return 0;
}

/* As read_number(), but what is missing has a value. */
static int read_number_or(const json_t *object, const char *name, uint64_t limit, uint64_t missing,
                          uint64_t *number)
{
    int rc = read_number(object, name, limit, number);

    if (*number == MC_UNKNOWN)
        *number = missing;
    return rc;
}

static int read_working_set(const json_t *object, uint64_t total, struct agent_working_set *set)
{
    if (!object)
        return 0;
    if (!json_is_object(object) ||
        read_text(object, "method", set->method, sizeof(set->method)) < 0 || !*set->method ||
        read_number(object, "active", total, &set->active) < 0 || set->active == MC_UNKNOWN ||
        read_number_or(object, "read_cache", total - set->active, 0, &set->read_cache) < 0 ||
        read_number_or(object, "kernel", total - set->active - set->read_cache, 0, &set->kernel) <
            0 ||
        read_number_or(object, "window_ms", MC_AGENT_WINDOW_MAX_MS, 0, &set->window_ms) < 0 ||
        read_number_or(object, "age_ms", MC_AGENT_WINDOW_MAX_MS, 0, &set->age_ms) < 0 ||
        read_number_or(object, "confidence", 100, 0, &set->confidence) < 0 ||
        read_number_or(object, "cost", UINT32_MAX, 0, &set->cost) < 0)
        return -EINVAL;
    return 0;
}

static int read_report(const json_t *object, struct agent_message *message)
{
    struct agent_report *report = &message->report;

    if (read_memory(json_object_get(object, "memory"), report) < 0 ||
        read_working_set(json_object_get(object, "working_set"), report->total,
                         &report->working_set) < 0)
        return -EINVAL;
    return read_counters(json_object_get(object, "counters"), report);
}

/* A report, and why it comes now. */
static int read_distress(const json_t *object, struct agent_message *message)
{
    static const struct {
        const char *word;
        enum agent_reason reason;
    } known[] = {
        {"low", AGENT_REASON_LOW},
        {"falling", AGENT_REASON_FALLING},
        {"stall", AGENT_REASON_STALL},
        {"over", AGENT_REASON_OVER},
    };
    const char *word = json_string_value(json_object_get(object, "reason"));
    struct agent_report *report = &message->report;

    if (!word || read_number(object, "rate", MC_SIZE_MAX, &report->rate) < 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(word, known[i].word) == 0)
            report->reason = known[i].reason;
    return read_report(object, message);
}

static const struct {
    const char *name;
    enum agent_message_type type;
    int (*read)(const json_t *object, struct agent_message *message);
} types[] = {
    {"hello", AGENT_HELLO, read_hello},
    {"report", AGENT_REPORT, read_report},
    {"distress", AGENT_DISTRESS, read_distress},
};

static int read_message(const json_t *object, struct agent_message *message)
{
    const json_t *protocol = json_object_get(object, MC_AGENT_KEY);
    const char *type = json_string_value(json_object_get(object, "type"));

    if (!json_is_integer(protocol))
        return -EBADMSG;
    if (json_integer_value(protocol) != MC_AGENT_PROTOCOL)
        return -EPROTO;
    if (!type || read_number(object, "seq", INT64_MAX, &message->seq) < 0 ||
        message->seq == MC_UNKNOWN)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if (strcmp(type, types[i].name) != 0)
            continue;
        message->type = types[i].type;
        return types[i].read(object, message);
    }
    return -ENOTSUP;
}

int agent_message_parse(const char *line, size_t length, struct agent_message *message)
{
    json_t *object;
    int rc;

    memset(message, 0, sizeof(*message));
    if (length >= MC_AGENT_LINE_MAX)
        return -EBADMSG;
    object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    rc = json_is_object(object) ? read_message(object, message) : -EBADMSG;
    json_decref(object);
    return rc;
}
