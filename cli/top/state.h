/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `memctl top` knows and shows: the daemon's last answers, the course of each guest since top
 * began, and what the user chose to see. No terminal, no socket, no clock; used by one thread.
 */
#ifndef MEMCTL_TOP_STATE_H
#define MEMCTL_TOP_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <memctl/model.h>

#include "top/course.h"

#define TOP_FILTER_MAX 64
#define TOP_INPUT_MAX 128
#define TOP_MESSAGE_MAX 512

enum top_sort {
    TOP_BY_NAME,
    TOP_BY_ACTUAL,
    TOP_BY_USED,
    TOP_BY_TARGET,
    TOP_BY_MOVE,
    TOP_BY_SHARES,
    TOP_BY_SAVING,
    TOP_BY_WHY,
    TOP_SORT_COUNT,
};

/* How far back a guest's chart goes: what top has seen itself, or the history. */
enum top_span {
    TOP_LAST_HOUR,
    TOP_LAST_6_HOURS,
    TOP_LAST_DAY,
    TOP_LAST_WEEK,
    TOP_LAST_MONTH,
    TOP_SINCE_BEGUN,
    TOP_SPAN_COUNT,
};

enum top_page { TOP_LIST, TOP_GUEST, TOP_HELP };

/* What is being typed in the last line. */
enum top_prompt { TOP_NO_PROMPT, TOP_ASK_FILTER, TOP_ASK_SHARES, TOP_ASK_SETTINGS, TOP_ASK_PAUSE };

/* A running guest. Texts and json belong to the daemon's answer that the state holds. */
struct top_guest {
    const json_t *json;
    const char *name, *uuid, *why;
    uint64_t shares;
    uint64_t min, max, memory; /* bytes, as all below; MC_UNKNOWN */
    uint64_t actual, used, active, target;
    uint64_t saving; /* what merging its pages would save, MC_UNKNOWN while nobody looks */
    uint64_t saved;  /* what it does save, MC_UNKNOWN while none are merged */
    char flag;       /* what is wrong with it, in a letter; ' ' if nothing is */
};

struct top {
    /* what was heard */
    char host[64];         /* this machine's name */
    json_t *status, *list; /* the last answers; NULL before the first */
    json_t *explained;     /* of the chosen guest, or NULL */
    json_t *events;        /* the last ones, or NULL */
    struct top_past {
        char uuid[MC_UUID_TEXT]; /* whose it is; "" for nobody's */
        enum top_span span;
        json_t *course; /* the history's answer, or NULL and why not */
        char why[MC_ERROR_TEXT];
    } past;
    char lost[TOP_MESSAGE_MAX]; /* why nothing new is heard; "" while it is */
    uint64_t now_ms, heard_ms;
    struct course course;

    /* the guests that are shown, in their order */
    struct top_guest *guests;
    size_t count, hidden; /* hidden: left out by the filter */

    /* what the user chose */
    enum top_sort sort;
    enum top_span span;
    bool reversed;
    bool same_scale; /* bars are parts of the largest guest, not of each its own max */
    char filter[TOP_FILTER_MAX];
    char chosen[MC_UUID_TEXT];      /* "" before there are guests */
    enum top_page page, page_below; /* page_below: where help goes back to */
    size_t scroll;
    enum top_prompt prompt;
    char asked[MC_UUID_TEXT]; /* the guest that the prompt is about, whoever is chosen meanwhile */
    char input[TOP_INPUT_MAX];
    char message[TOP_MESSAGE_MAX]; /* the last line, until the next key */
    bool message_bad;
};

void top_free(struct top *top);

/* Take over the answers to `status` and `list`, heard at now_ms. Returns 0 or -ENOMEM. */
int top_hear(struct top *top, json_t *status, json_t *list, uint64_t now_ms);

/* Take over the answer to `explain`, NULL if there is none. One about another guest is dropped. */
void top_hear_explained(struct top *top, json_t *explained);

/* Take over the answer to `events`, NULL if there is none. */
void top_hear_events(struct top *top, json_t *events);

/* Take over the history's answer about a guest. */
void top_hear_past(struct top *top, struct top_past past);

/* Of a span of the history, in ms; 0 for what top has seen itself. */
uint64_t top_span_ms(enum top_span span);
const char *top_span_name(enum top_span span);

/* Nothing was heard at now_ms, and why. */
void top_lose(struct top *top, const char *why, uint64_t now_ms);

/* Filter and sort again. Returns 0 or -ENOMEM. */
int top_arrange(struct top *top);

/* The chosen guest's place among those shown; count where it is not among them. */
size_t top_chosen(const struct top *top);
void top_choose(struct top *top, size_t index);

/* The guest that the prompt is about; NULL where it is not shown any more. */
const struct top_guest *top_asked(const struct top *top);

/* How much a guest has still to get (positive) or to give, bytes; 0 where it is there. */
int64_t top_move(const struct top_guest *guest);

bool top_is_paused(const struct top_guest *guest);

const char *top_sort_name(enum top_sort sort);

/* The order of that name; TOP_SORT_COUNT if there is none. */
enum top_sort top_sort_named(const char *name);

#endif
