/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What changed lately, where the screen would be empty. */
#include "layout.h"

#include <string.h>
#include <time.h>

#include "cli.h"

#define COLUMNS_MIN 50
#define TIME_WIDTH 10

static bool is_about(const json_t *event, const char *uuid)
{
    return !uuid || strcmp(json_text(event, "uuid"), uuid) == 0;
}

static void draw_event(struct screen *screen, int row, const json_t *event, bool named)
{
    time_t at = (time_t)(json_integer_value(json_object_get(event, "wall_ms")) / 1000);
    const char *guest = json_string_value(json_object_get(event, "guest"));
    bool trouble = strcmp(json_text(event, "kind"), "distress") == 0;
    int column = TIME_WIDTH;
    struct tm local;
    char when[16];

    strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&at, &local));
    screen_text(screen, row, 0, TIME_WIDTH, STYLE_DIM, when);
    if (guest && named)
        column += screen_format(screen, row, column, screen->columns - column, STYLE_PLAIN,
                                "%s: ", guest);
    screen_text(screen, row, column, screen->columns - column, trouble ? STYLE_BAD : STYLE_PLAIN,
                json_text(event, "text"));
}

void layout_events(const struct top *top, struct screen *screen, int row, int rows,
                   const char *uuid)
{
    const json_t *events = json_object_get(top->events, "events");
    int left = rows - 1, shown = 0;

    if (rows < 3 || screen->columns < COLUMNS_MIN)
        return;
    /* The last ones that fit, but the oldest of them first. */
    for (size_t i = json_array_size(events); i > 0 && shown < left; i--)
        shown += is_about(json_array_get(events, i - 1), uuid);
    if (!shown)
        return;
    screen_text(screen, row, 0, screen->columns, STYLE_HEADING, "LATELY");
    left = shown;
    for (size_t i = json_array_size(events); i > 0 && left > 0; i--) {
        const json_t *event = json_array_get(events, i - 1);

        if (is_about(event, uuid))
            draw_event(screen, row + left--, event, !uuid);
    }
}
