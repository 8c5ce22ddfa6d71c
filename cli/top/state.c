/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <memctl/units.h>

#include "cli.h"

/* As memctld sees it: a balloon this close to its target is there. */
#define ARRIVED (4 * MC_MIB)

static const char *const sort_names[TOP_SORT_COUNT] = {
    [TOP_BY_NAME] = "name",     [TOP_BY_ACTUAL] = "actual", [TOP_BY_USED] = "used",
    [TOP_BY_TARGET] = "target", [TOP_BY_MOVE] = "move",     [TOP_BY_SHARES] = "shares",
    [TOP_BY_SAVING] = "saving", [TOP_BY_WHY] = "why",
};

const char *top_sort_name(enum top_sort sort)
{
    return sort_names[sort];
}

enum top_sort top_sort_named(const char *name)
{
    unsigned sort = 0;

    while (sort < TOP_SORT_COUNT && strcmp(sort_names[sort], name) != 0)
        sort++;
    return sort;
}

static const struct {
    uint64_t ms;
    const char *name;
} spans[TOP_SPAN_COUNT] = {
    [TOP_LAST_HOUR] = {3600000, "hour"},
    [TOP_LAST_6_HOURS] = {6 * 3600000, "6 hours"},
    [TOP_LAST_DAY] = {24 * 3600000, "day"},
    [TOP_LAST_WEEK] = {7 * 86400000, "week"},
    [TOP_LAST_MONTH] = {31 * UINT64_C(86400000), "month"},
    [TOP_SINCE_BEGUN] = {0, "top began"},
};

uint64_t top_span_ms(enum top_span span)
{
    return spans[span].ms;
}

const char *top_span_name(enum top_span span)
{
    return spans[span].name;
}

void top_free(struct top *top)
{
    json_decref(top->status);
    json_decref(top->list);
    json_decref(top->explained);
    json_decref(top->events);
    json_decref(top->past.course);
    free(top->guests);
    course_free(&top->course);
    *top = (struct top){0};
}

int64_t top_move(const struct top_guest *guest)
{
    int64_t move;

    if (guest->target == MC_UNKNOWN || guest->actual == MC_UNKNOWN ||
        strcmp(json_text(guest->json, "exempt"), "no") != 0)
        return 0;
    move = (int64_t)guest->target - (int64_t)guest->actual;
    return move > (int64_t)ARRIVED || move < -(int64_t)ARRIVED ? move : 0;
}

bool top_is_paused(const struct top_guest *guest)
{
    return strcmp(json_text(guest->json, "exempt"), "paused-by-operator") == 0;
}

static bool is(const json_t *guest, const char *key)
{
    return json_is_true(json_object_get(guest, key));
}

/* The worst first. */
static char flag_of(const json_t *guest)
{
    bool exempt = strcmp(json_text(guest, "exempt"), "no") != 0;

    if (strcmp(json_text(guest, "distress"), "no") != 0 && json_object_get(guest, "distress"))
        return '!';
    if (!is(guest, "answers"))
        return 'H';
    if (is(guest, "stuck"))
        return 'S';
    if (is(guest, "foreign"))
        return 'F';
    if (exempt)
        return 'x';
    return is(guest, "fresh") ? ' ' : '?';
}

static struct top_guest read_guest(const json_t *json)
{
    const json_t *pages = json_object_get(json, "equal_pages");

    return (struct top_guest){
        .json = json,
        .name = json_text(json, "name"),
        .uuid = json_text(json, "uuid"),
        .why = cli_reason(json),
        .shares = json_size(json, "shares"),
        .min = json_size(json, "min"),
        .max = json_size(json, "max"),
        .memory = json_size(json, "memory"),
        .actual = json_size(json, "actual"),
        .used = json_size(json, "used"),
        .active = json_size(json, "active"),
        .target = json_size(json_object_get(json, "plan"), "target"),
        .saved = json_size(pages, "saved"),
        .saving = json_size(pages, "saving"),
        .flag = flag_of(json),
    };
}

/* ---- order ---- */

static uint64_t size_by(const struct top_guest *guest, enum top_sort sort)
{
    int64_t move = top_move(guest);
    uint64_t size = sort == TOP_BY_ACTUAL   ? guest->actual
                    : sort == TOP_BY_USED   ? guest->used
                    : sort == TOP_BY_TARGET ? guest->target
                    : sort == TOP_BY_SAVING ? guest->saving
                    : sort == TOP_BY_MOVE   ? (uint64_t)(move < 0 ? -move : move)
                                            : guest->shares;

    return size == MC_UNKNOWN ? 0 : size;
}

/* Sizes come with the largest first, as one looks for them. */
static int compare(const void *one, const void *other, void *opaque)
{
    const struct top_guest *a = one, *b = other;
    const struct top *top = opaque;
    int order = 0;

    if (top->sort == TOP_BY_WHY) {
        order = strcmp(a->why, b->why);
    } else if (top->sort != TOP_BY_NAME) {
        uint64_t x = size_by(a, top->sort), y = size_by(b, top->sort);

        order = x < y ? 1 : x > y ? -1 : 0;
    }
    if (!order)
        order = strcmp(a->name, b->name);
    if (!order)
        order = strcmp(a->uuid, b->uuid);
    return top->reversed ? -order : order;
}

static bool passes(const struct top_guest *guest, const char *filter)
{
    return !*filter || strcasestr(guest->name, filter) || strcasestr(guest->why, filter);
}

size_t top_chosen(const struct top *top)
{
    size_t i = 0;

    while (i < top->count && strcmp(top->guests[i].uuid, top->chosen) != 0)
        i++;
    return i;
}

const struct top_guest *top_asked(const struct top *top)
{
    for (size_t i = 0; i < top->count; i++)
        if (strcmp(top->guests[i].uuid, top->asked) == 0)
            return &top->guests[i];
    return NULL;
}

void top_choose(struct top *top, size_t index)
{
    if (!top->count)
        return;
    if (index >= top->count)
        index = top->count - 1;
    snprintf(top->chosen, sizeof(top->chosen), "%s", top->guests[index].uuid);
}

int top_arrange(struct top *top)
{
    const json_t *list = json_object_get(top->list, "guests");
    size_t total = json_array_size(list), before = top_chosen(top);
    struct top_guest *guests = realloc(top->guests, (total + 1) * sizeof(*guests));

    if (!guests)
        return -ENOMEM;
    top->guests = guests;
    top->count = top->hidden = 0;
    for (size_t i = 0; i < total; i++) {
        struct top_guest guest = read_guest(json_array_get(list, i));

        if (passes(&guest, top->filter))
            guests[top->count++] = guest;
        else
            top->hidden++;
    }
    qsort_r(guests, top->count, sizeof(*guests), compare, top);
    /* Who stopped, or was filtered away, leaves the choice to its neighbour. */
    if (top_chosen(top) == top->count)
        top_choose(top, *top->chosen ? before : 0);
    return 0;
}

/* ---- hearing ---- */

static int keep_course(struct top *top)
{
    const json_t *list = json_object_get(top->list, "guests");
    int rc = 0;

    course_begin(&top->course);
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        struct top_guest guest = read_guest(json_array_get(list, i));

        rc = course_add(&top->course, guest.uuid, guest.actual, guest.used, guest.target);
    }
    course_end(&top->course);
    return rc;
}

int top_hear(struct top *top, json_t *status, json_t *list, uint64_t now_ms)
{
    json_t *old_status = top->status, *old_list = top->list;
    int rc;

    top->status = status;
    top->list = list;
    top->now_ms = top->heard_ms = now_ms;
    top->lost[0] = '\0';
    rc = keep_course(top);
    if (rc == 0)
        rc = top_arrange(top);
    json_decref(old_status); /* the guests before pointed into these */
    json_decref(old_list);
    return rc;
}

void top_hear_explained(struct top *top, json_t *explained)
{
    const json_t *guest = json_object_get(explained, "guest");

    json_decref(top->explained);
    top->explained = explained;
    if (explained && strcmp(json_text(guest, "uuid"), top->chosen) != 0) {
        json_decref(explained);
        top->explained = NULL;
    }
}

void top_hear_events(struct top *top, json_t *events)
{
    json_decref(top->events);
    top->events = events;
}

void top_hear_past(struct top *top, struct top_past past)
{
    json_decref(top->past.course);
    top->past = past;
}

void top_lose(struct top *top, const char *why, uint64_t now_ms)
{
    top->now_ms = now_ms;
    snprintf(top->lost, sizeof(top->lost), "%s", why);
}
