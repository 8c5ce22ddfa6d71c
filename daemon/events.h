/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last few thousand things that changed, for `memctl events`.
 *
 * Each event has a number that grows by one, and is kept as the line of JSON that goes out. Whoever
 * follows says which number he has seen and gets what came after; one who was away for too long is
 * told how many are gone. So nothing is kept for a client but its one question, and no client, slow
 * or dead, can delay anything.
 */
#ifndef MEMCTLD_EVENTS_H
#define MEMCTLD_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <event2/event.h>

#include <memctl/model.h>

#define EVENTS_KEPT 4096

enum event_kind {
    EVENT_STARTED,
    EVENT_STOPPING,
    EVENT_LINK_LOST,
    EVENT_LINK_BACK,
    EVENT_RELOADED,
    EVENT_POLICY,         /* another one decides */
    EVENT_POLICY_REFUSED, /* one broke its promise */
    EVENT_PAUSED,
    EVENT_RESUMED,
    EVENT_SEEN, /* a guest, or its next run */
    EVENT_GONE,
    EVENT_TARGET, /* or what a dry run would have sent */
    EVENT_COMMAND_FAILED,
    EVENT_COMMAND_LATE,
    EVENT_COMMAND_BACK, /* it answers again */
    EVENT_STALE,        /* its statistics */
    EVENT_FRESH,
    EVENT_SILENT, /* its QEMU does not answer */
    EVENT_ANSWERS,
    EVENT_STUCK, /* its balloon */
    EVENT_FOLLOWS,
    EVENT_DISTRESS, /* it shows that it has too little memory */
    EVENT_RELIEVED,
    EVENT_FOREIGN_HAND, /* somebody else moved its balloon */
    EVENT_HOST_STATE,
    EVENT_RECLAIM, /* the host takes memory from a guest by itself */
    EVENT_RECLAIM_FAILED,
    EVENT_STOPPED, /* suspended or saved, as a last resort */
    EVENT_CONTINUED,
    EVENT_RESORT_FAILED,
    EVENT_ADMITTED, /* there is room for a guest that is about to start */
    EVENT_NOT_ADMITTED,
    EVENT_EXEMPT,
    EVENT_MANAGED,
    EVENT_SETTINGS,
    EVENT_AGENT_SPEAKS,
    EVENT_AGENT_SILENT,
    EVENT_MERGE, /* KSM may merge a guest, or no more */
    EVENT_MERGE_FAILED,
    EVENT_KSM,         /* what ksmd does, and for whom */
    EVENT_KSM_FOREIGN, /* somebody else sets it */
    EVENT_STORE_LOST,  /* the history cannot be written */
    EVENT_STORE_BACK,
};

struct events;

/* Who wants to hear of new events; called on the main loop, never from within events_add(). */
typedef void events_listener(void *opaque);

/* NULL when out of memory. */
struct events *events_new(struct event_base *base, events_listener *listener, void *opaque);
void events_free(struct events *events);

struct keeper;

/* Begin with those of an earlier daemon, before any other; the newest is the first of the list. */
void events_restore(struct events *events, char *const *lines, size_t count);

/* From now on the keeper gets a copy of each; NULL: nobody does. */
void events_keep(struct events *events, struct keeper *keeper);

/* What an event is about; 0 or NULL for what it does not have. */
struct event_facts {
    const char *uuid, *name; /* of the guest */
    uint64_t from, to;       /* bytes */
    bool sized;              /* from and to are said */
    const char *reason;      /* in a word */
};

/*
 * Something changed: say it in one short sentence, without the guest's name. It also goes to the
 * log, so nobody has to say it there. Does nothing if events is NULL. Never fails: without memory
 * the event is missing, and counted as missed.
 */
void events_add(struct events *events, enum event_kind kind, const struct event_facts *facts,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same about a guest, without numbers. */
void events_add_guest(struct events *events, enum event_kind kind, const struct mc_guest *guest,
                      const char *reason, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* What a reader asks for. */
struct events_question {
    uint64_t after;           /* the last one that it has; 0 for none */
    int64_t since_ms;         /* of the real-time clock */
    char guest[MC_NAME_TEXT]; /* name or UUID, "" for all */
};

/* Begin with the last `count` events that the question is about. */
void events_tail(const struct events *events, struct events_question *question, uint64_t count);

/* The number of the newest one. */
uint64_t events_last(const struct events *events);

/* Is there an event about a guest of this name or UUID? */
bool events_know(const struct events *events, const char *guest);

/*
 * Up to a page of events: {"events": [...], "next": N, "missed": N, "more": false}. Moves
 * question->after to what was looked at. NULL if out of memory.
 */
json_t *events_page(const struct events *events, struct events_question *question);

#endif
