/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's chart: out of the history as far back as the user chose, or what top has seen itself
 * where there is no history.
 */
#include "layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <memctl/units.h>

#include "cli.h"

#define AXIS_WIDTH 6
#define NOW "now"

static uint64_t value_at(const json_t *series, const char *key, size_t i)
{
    const json_t *value = json_array_get(json_object_get(series, key), i);

    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : MC_UNKNOWN;
}

/* Its newest step goes to the right edge, whatever width it was asked for. */
static void take_past(const json_t *course, struct sample *samples, size_t width)
{
    const json_t *series = json_object_get(course, "series");
    size_t count = json_array_size(json_object_get(series, "actual"));

    for (size_t i = 0; i < width && i < count; i++) {
        size_t from = count - 1 - i;

        samples[width - 1 - i] =
            sample_of(value_at(series, "actual", from), value_at(series, "used", from),
                      value_at(series, "target", from));
    }
}

static void take_course(const struct course *course, const char *uuid, struct sample *samples,
                        size_t width)
{
    for (size_t i = 0; i < width; i++) {
        const struct sample *sample = course_back(course, uuid, i);

        if (sample)
            samples[width - 1 - i] = *sample;
    }
}

/* When the left edge was: "13:05", or the day where it is longer ago. Returns what it took. */
static int draw_begin(struct screen *screen, int row, int width, const json_t *course,
                      enum top_span span)
{
    int64_t first_ms = json_integer_value(json_object_get(course, "first_ms"));
    const json_t *series = json_object_get(course, "series");
    int64_t surplus = (int64_t)json_array_size(json_object_get(series, "actual")) - width;
    time_t at = (time_t)(first_ms / 1000);
    struct tm local;
    char when[32];

    if (surplus > 0)
        at += surplus * json_integer_value(json_object_get(course, "step_ms")) / 1000;
    strftime(when, sizeof(when), span <= TOP_LAST_DAY ? "%H:%M" : "%d %b",
             localtime_r(&at, &local));
    return 2 + screen_text(screen, row, AXIS_WIDTH + 1, width, STYLE_DIM, when);
}

static void draw_time_axis(const struct top *top, struct screen *screen, int row, int width,
                           bool has_past, bool is_waiting)
{
    int end = AXIS_WIDTH + 1 + width - (int)strlen(NOW), at = AXIS_WIDTH + 1;
    char text[MC_ERROR_TEXT + 64];

    if (has_past) {
        at += draw_begin(screen, row, width, top->past.course, top->span);
        snprintf(text, sizeof(text), "the last %s; t: other times", top_span_name(top->span));
    } else if (is_waiting) {
        snprintf(text, sizeof(text), "asking for the last %s", top_span_name(top->span));
    } else if (top_span_ms(top->span)) {
        snprintf(text, sizeof(text), "since top began; %s", top->past.why);
    } else {
        snprintf(text, sizeof(text), "since top began; t: other times");
    }
    if (at + 1 < end)
        screen_text(screen, row, at, end - at - 1, STYLE_DIM, text);
    screen_text(screen, row, end, (int)strlen(NOW), STYLE_DIM, NOW);
}

void layout_chart(const struct top *top, struct screen *screen, int row, int rows,
                  const struct top_guest *guest, struct layout *layout)
{
    bool wanted = top_span_ms(top->span),
         heard = strcmp(top->past.uuid, guest->uuid) == 0 && top->past.span == top->span;
    bool has_past = wanted && heard && top->past.course;
    int width = screen->columns - AXIS_WIDTH - 1;
    struct sample samples[COURSE_LENGTH];
    char most[MC_SIZE_TEXT];

    if (width > COURSE_LENGTH)
        width = COURSE_LENGTH;
    for (int i = 0; i < width; i++)
        samples[i] = SAMPLE_UNKNOWN;
    if (has_past)
        take_past(top->past.course, samples, (size_t)width);
    else if (!wanted || heard)
        take_course(&top->course, guest->uuid, samples, (size_t)width);
    layout->chart_steps = (unsigned)width;
    screen_text(screen, row, 0, AXIS_WIDTH, STYLE_DIM, mc_size_format(most, guest->max));
    screen_text(screen, row + rows - 2, 0, AXIS_WIDTH, STYLE_DIM, "0");
    bar_course(screen, row, AXIS_WIDTH + 1, width, rows - 1, samples, guest->max);
    draw_time_axis(top, screen, row + rows - 1, width, has_past, wanted && !heard);
}
