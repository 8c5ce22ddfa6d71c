/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "events.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "keeper.h"
#include "log.h"

/* As much as one answer holds: some 100 KiB. */
#define PAGE 256

struct entry {
    int64_t wall_ms;
    char uuid[MC_UUID_TEXT];
    char *name; /* of the guest, NULL for none */
    char *line; /* NULL: there was no memory for it */
};

struct events {
    struct event *news;
    struct entry ring[EVENTS_KEPT];
    uint64_t last; /* the number of the newest; event N is at ring[N % EVENTS_KEPT] */
    events_listener *listener;
    void *opaque;
    struct keeper *keeper;
};

static const char *const kind_names[] = {
    [EVENT_STARTED] = "started",
    [EVENT_STOPPING] = "stopping",
    [EVENT_LINK_LOST] = "link-lost",
    [EVENT_LINK_BACK] = "link-back",
    [EVENT_RELOADED] = "reloaded",
    [EVENT_POLICY] = "policy",
    [EVENT_POLICY_REFUSED] = "policy-refused",
    [EVENT_PAUSED] = "paused",
    [EVENT_RESUMED] = "resumed",
    [EVENT_SEEN] = "seen",
    [EVENT_GONE] = "gone",
    [EVENT_TARGET] = "target",
    [EVENT_COMMAND_FAILED] = "command-failed",
    [EVENT_COMMAND_LATE] = "command-late",
    [EVENT_COMMAND_BACK] = "command-back",
    [EVENT_STALE] = "stale",
    [EVENT_FRESH] = "fresh",
    [EVENT_SILENT] = "silent",
    [EVENT_ANSWERS] = "answers",
    [EVENT_STUCK] = "stuck",
    [EVENT_FOLLOWS] = "follows",
    [EVENT_DISTRESS] = "distress",
    [EVENT_RELIEVED] = "relieved",
    [EVENT_FOREIGN_HAND] = "foreign-hand",
    [EVENT_HOST_STATE] = "host-state",
    [EVENT_RECLAIM] = "host-reclaim",
    [EVENT_RECLAIM_FAILED] = "host-reclaim-failed",
    [EVENT_STOPPED] = "stopped",
    [EVENT_CONTINUED] = "continued",
    [EVENT_RESORT_FAILED] = "last-resort-failed",
    [EVENT_ADMITTED] = "admitted",
    [EVENT_NOT_ADMITTED] = "not-admitted",
    [EVENT_EXEMPT] = "exempt",
    [EVENT_MANAGED] = "managed",
    [EVENT_SETTINGS] = "settings",
    [EVENT_AGENT_SPEAKS] = "agent-speaks",
    [EVENT_AGENT_SILENT] = "agent-silent",
    [EVENT_MERGE] = "merge",
    [EVENT_MERGE_FAILED] = "merge-failed",
    [EVENT_KSM] = "ksm",
    [EVENT_KSM_FOREIGN] = "ksm-foreign-hand",
    [EVENT_STORE_LOST] = "store-lost",
    [EVENT_STORE_BACK] = "store-back",
};

/* What an operator should hear of without asking. */
static enum log_level level_of(enum event_kind kind)
{
    switch (kind) {
    case EVENT_LINK_LOST:
    case EVENT_POLICY_REFUSED:
    case EVENT_COMMAND_FAILED:
    case EVENT_COMMAND_LATE:
    case EVENT_SILENT:
    case EVENT_STUCK:
    case EVENT_DISTRESS:
    case EVENT_FOREIGN_HAND:
    case EVENT_RECLAIM_FAILED:
    case EVENT_STOPPED:
    case EVENT_RESORT_FAILED:
    case EVENT_MERGE_FAILED:
    case EVENT_KSM_FOREIGN:
    case EVENT_STORE_LOST:
        return LOG_LEVEL_WARNING;
    default:
        return LOG_LEVEL_INFO;
    }
}

static void log_event(enum event_kind kind, const struct event_facts *facts, const char *text)
{
    char from[24], to[24];
    const struct log_field fields[] = {
        {"MEMCTL_EVENT", kind_names[kind]},
        {"MEMCTL_GUEST", facts->name},
        {"MEMCTL_UUID", facts->uuid},
        {"MEMCTL_REASON", facts->reason},
        {"MEMCTL_FROM", facts->sized ? from : NULL},
        {"MEMCTL_TO", facts->sized ? to : NULL},
    };

    snprintf(from, sizeof(from), "%llu", (unsigned long long)facts->from);
    snprintf(to, sizeof(to), "%llu", (unsigned long long)facts->to);
    if (facts->name)
        log_fields(level_of(kind), fields, sizeof(fields) / sizeof(*fields), "guest '%s': %s",
                   facts->name, text);
    else
        log_fields(level_of(kind), fields, sizeof(fields) / sizeof(*fields), "%s", text);
}

/* All that is added in one go is told in one go. */
static void on_news(evutil_socket_t fd, short what, void *opaque)
{
    struct events *events = opaque;

    (void)fd;
    (void)what;
    events->listener(events->opaque);
}

struct events *events_new(struct event_base *base, events_listener *listener, void *opaque)
{
    struct events *events = calloc(1, sizeof(*events));

    if (!events)
        return NULL;
    events->listener = listener;
    events->opaque = opaque;
    events->news = event_new(base, -1, 0, on_news, events);
    if (!events->news) {
        free(events);
        return NULL;
    }
    return events;
}

static void clear(struct entry *entry)
{
    free(entry->name);
    free(entry->line);
    *entry = (struct entry){0};
}

void events_free(struct events *events)
{
    if (!events)
        return;
    for (size_t i = 0; i < EVENTS_KEPT; i++)
        clear(&events->ring[i]);
    event_free(events->news);
    free(events);
}

static int64_t wall_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * A text can hold what a guest or libvirt said. Nothing in it moves the cursor of whoever reads it,
 * and one that was cut, or is no UTF-8, is at least readable.
 */
static void make_printable(char *text)
{
    json_t *trial = json_string(text);

    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || (!trial && (unsigned char)*c >= 0x80))
            *c = '?';
    json_decref(trial);
}

static char *line_of(uint64_t seq, int64_t wall_ms, enum event_kind kind,
                     const struct event_facts *facts, const char *text)
{
    json_t *object = json_pack(
        "{s:I, s:I, s:I, s:s, s:s?, s:s?, s:s?, s:s}", "seq", (json_int_t)seq, "wall_ms",
        (json_int_t)wall_ms, "now_ms", (json_int_t)clock_now_ms(), "kind", kind_names[kind],
        "guest", facts->name, "uuid", facts->uuid, "reason", facts->reason, "text", text);
    char *line;

    if (facts->sized) {
        json_object_set_new(object, "from", json_integer((json_int_t)facts->from));
        json_object_set_new(object, "to", json_integer((json_int_t)facts->to));
    }
    line = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return line;
}

static void add(struct events *events, enum event_kind kind, const struct event_facts *facts,
                const char *format, va_list args)
{
    struct entry *entry = &events->ring[++events->last % EVENTS_KEPT];
    char text[320];

    clear(entry);
    vsnprintf(text, sizeof(text), format, args);
    make_printable(text);
    log_event(kind, facts, text);
    entry->wall_ms = wall_now_ms();
    if (facts->uuid)
        snprintf(entry->uuid, sizeof(entry->uuid), "%s", facts->uuid);
    entry->name = facts->name ? strdup(facts->name) : NULL;
    entry->line = line_of(events->last, entry->wall_ms, kind, facts, text);
    if (entry->line)
        keeper_event(events->keeper, entry->line);
    event_active(events->news, EV_READ, 0);
}

void events_add(struct events *events, enum event_kind kind, const struct event_facts *facts,
                const char *format, ...)
{
    static const struct event_facts none;
    va_list args;

    if (!events)
        return;
    va_start(args, format);
    add(events, kind, facts ? facts : &none, format, args);
    va_end(args);
}

void events_add_guest(struct events *events, enum event_kind kind, const struct mc_guest *guest,
                      const char *reason, const char *format, ...)
{
    const struct event_facts facts = {.uuid = guest->uuid, .name = guest->name, .reason = reason};
    va_list args;

    if (!events)
        return;
    va_start(args, format);
    add(events, kind, &facts, format, args);
    va_end(args);
}

/* ---- those of an earlier daemon ---- */

static void restore(struct events *events, const char *text)
{
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const char *uuid = json_string_value(json_object_get(object, "uuid"));
    const char *name = json_string_value(json_object_get(object, "guest"));
    struct entry *entry;

    if (!json_is_object(object)) {
        json_decref(object);
        return;
    }
    entry = &events->ring[++events->last % EVENTS_KEPT];
    clear(entry);
    json_object_set_new(object, "seq", json_integer((json_int_t)events->last));
    entry->wall_ms = json_integer_value(json_object_get(object, "wall_ms"));
    snprintf(entry->uuid, sizeof(entry->uuid), "%s", uuid ? uuid : "");
    entry->name = name ? strdup(name) : NULL;
    entry->line = json_dumps(object, JSON_COMPACT);
    json_decref(object);
}

void events_restore(struct events *events, char *const *lines, size_t count)
{
    json_t *newest = count ? json_loads(lines[0], 0, NULL) : NULL;
    json_int_t seq = json_integer_value(json_object_get(newest, "seq"));

    json_decref(newest);
    if (events->last)
        return;
    /* Numbers that a follower has seen shall not mean other events now. */
    if (seq > (json_int_t)count)
        events->last = (uint64_t)seq - count;
    for (size_t i = count; i-- > 0;)
        restore(events, lines[i]);
}

void events_keep(struct events *events, struct keeper *keeper)
{
    events->keeper = keeper;
}

/* ---- reading ---- */

static bool is_wanted(const struct entry *entry, const struct events_question *question)
{
    if (!entry->line || entry->wall_ms < question->since_ms)
        return false;
    return !*question->guest || strcmp(entry->uuid, question->guest) == 0 ||
           (entry->name && strcmp(entry->name, question->guest) == 0);
}

static uint64_t first_kept(const struct events *events)
{
    return mc_max_u64(1, mc_less_u64(events->last + 1, EVENTS_KEPT));
}

void events_tail(const struct events *events, struct events_question *question, uint64_t count)
{
    uint64_t seq = events->last;

    for (; seq >= first_kept(events) && count; seq--)
        count -= is_wanted(&events->ring[seq % EVENTS_KEPT], question);
    question->after = mc_max_u64(question->after, seq);
}

uint64_t events_last(const struct events *events)
{
    return events->last;
}

bool events_know(const struct events *events, const char *guest)
{
    struct events_question question = {0};

    snprintf(question.guest, sizeof(question.guest), "%s", guest);
    for (uint64_t seq = first_kept(events); seq <= events->last; seq++)
        if (is_wanted(&events->ring[seq % EVENTS_KEPT], &question))
            return true;
    return false;
}

json_t *events_page(const struct events *events, struct events_question *question)
{
    uint64_t missed = 0, seq;
    json_t *list = json_array();

    /* A number from before the daemon's start, or from nowhere. */
    if (question->after > events->last)
        question->after = 0;
    seq = mc_max_u64(question->after + 1, first_kept(events));
    if (question->after)
        missed = seq - question->after - 1;
    for (; seq <= events->last && json_array_size(list) < PAGE; seq++) {
        const struct entry *entry = &events->ring[seq % EVENTS_KEPT];

        missed += !entry->line;
        if (is_wanted(entry, question))
            json_array_append_new(list, json_loads(entry->line, 0, NULL));
    }
    question->after = seq - 1;
    return json_pack("{s:o, s:I, s:I, s:b}", "events", list, "next", (json_int_t)(seq - 1),
                     "missed", (json_int_t)missed, "more", seq <= events->last);
}
