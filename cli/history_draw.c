/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture of a guest's, or the host's, memory over time, and of its stalls below it. */
#include "history.h"
#include "svg.h"

#define HEAD 92
#define SIZES_HEIGHT 300
#define STALL_HEIGHT 70
#define GAP 46
#define POINTS 900 /* as many as there are pixels */

enum edge { LOW, AVG, HIGH };

static uint64_t edge_of(const struct mc_range *range, enum edge edge)
{
    return edge == LOW ? range->low : edge == HIGH ? range->high : range->avg;
}

/* What stands for the rows that fall on one pixel: the most, the least, or the last one's mean. */
static uint64_t value_between(const struct history *history, enum mc_value value, enum edge edge,
                              size_t first, size_t end)
{
    uint64_t found = MC_UNKNOWN;

    for (size_t i = first; i < end; i++) {
        uint64_t number = edge_of(&history->series.points[i].values[value], edge);

        if (number == MC_UNKNOWN)
            continue;
        if (found == MC_UNKNOWN || edge == AVG)
            found = number;
        else
            found = edge == LOW ? mc_min_u64(found, number) : mc_max_u64(found, number);
    }
    return found;
}

/* Steps: a value holds until the next one. Where nobody knows, there is a gap. */
static void draw(FILE *file, const struct history *history, const struct svg_panel *panel,
                 const char *class, enum mc_value value, enum edge edge, bool area)
{
    int64_t way_ms = history->until_ms - history->since_ms;
    bool open = false;
    size_t first = 0, end;

    fprintf(file, "<path class=\"%s\" d=\"", class);
    for (int64_t step = 0; step < POINTS; step++) {
        int64_t from_ms = way_ms * step / POINTS, to_ms = way_ms * (step + 1) / POINTS;
        uint64_t number;
        double x;

        history_span(history, history->since_ms + from_ms, history->since_ms + to_ms, &first, &end);
        number = value_between(history, value, edge, first, end);
        if (number == MC_UNKNOWN) {
            if (open && area)
                fprintf(file, "V%.1fZ", svg_y(panel, 0));
            open = false;
            continue;
        }
        x = svg_x(panel, (uint64_t)from_ms);
        if (!open && area)
            fprintf(file, "M%.1f %.1fV%.1f", x, svg_y(panel, 0), svg_y(panel, number));
        else
            fprintf(file, "%s%.1f %.1f", open ? "L" : "M", x, svg_y(panel, number));
        open = true;
        fprintf(file, "H%.1f", svg_x(panel, (uint64_t)to_ms));
    }
    if (open && area)
        fprintf(file, "V%.1fZ", svg_y(panel, 0));
    fputs("\"/>\n", file);
}

static uint64_t most_of(const struct history *history, enum mc_value value)
{
    uint64_t most = value_between(history, value, HIGH, 0, history->series.count);

    return most == MC_UNKNOWN ? 0 : most;
}

static void draw_sizes(FILE *file, const struct history *history, struct svg_panel *panel)
{
    static const enum mc_value drawn[] = {MC_VALUE_ACTUAL, MC_VALUE_HELD, MC_VALUE_USED,
                                          MC_VALUE_TARGET};

    for (size_t i = 0; i < sizeof(drawn) / sizeof(*drawn); i++)
        panel->top = mc_max_u64(panel->top, most_of(history, drawn[i]));
    if (history->of_host)
        panel->top = mc_max_u64(panel->top, most_of(history, MC_VALUE_STRICT));
    panel->top = mc_max_u64(panel->top + panel->top / 16, MC_MIB);
    draw(file, history, panel, "given", MC_VALUE_ACTUAL, AVG, true);
    draw(file, history, panel, "held", MC_VALUE_HELD, AVG, true);
    svg_size_axis(file, panel, 6, true);
    svg_time_axis(file, panel, 12, true);
    draw(file, history, panel, "target", MC_VALUE_TARGET, AVG, false);
    draw(file, history, panel, "need", MC_VALUE_USED, HIGH, false);
    if (history->of_host)
        draw(file, history, panel, "budget", MC_VALUE_STRICT, AVG, false);
    if (history->memory)
        fprintf(file, "<path class=\"host\" d=\"M%.1f %.1fh%.1f\"/>\n", panel->x,
                svg_y(panel, history->memory), panel->width);
    svg_frame(file, panel);
}

static void draw_stall(FILE *file, const struct history *history, struct svg_panel *panel)
{
    uint64_t most = most_of(history, MC_VALUE_STALL);
    char text[96];

    panel->top = mc_max_u64(most, 10000); /* 1 % */
    draw(file, history, panel, "stall", MC_VALUE_STALL, HIGH, true);
    svg_time_axis(file, panel, 12, false);
    svg_frame(file, panel);
    snprintf(text, sizeof(text), "stalled for memory, 0 to %.3g%% of the time",
             (double)panel->top / 10000);
    svg_text(file, panel->x, panel->y - 6, "class=\"quiet\"", text);
}

static void draw_head(FILE *file, const struct history *history)
{
    static const struct svg_legend of_guest[] = {
        {"given", "given to the guest", true, 155}, {"held", "of that, resident", true, 145},
        {"need", "used, at the most", false, 150},  {"target", "target", false, 90},
        {"host", "its memory", false, 110},         {0},
    };
    static const struct svg_legend of_host[] = {
        {"given", "given to managed guests", true, 195},
        {"held", "of that, resident", true, 145},
        {"need", "used, at the most", false, 150},
        {"target", "targets", false, 95},
        {"budget", "what they may occupy", false, 170},
        {"host", "host memory", false, 110},
        {0},
    };
    char text[128], size[MC_SIZE_TEXT];

    svg_text(file, SVG_MARGIN, 28, "class=\"title\"", history->guest);
    snprintf(text, sizeof(text), "memory over time%s%s", history->memory ? ", of " : "",
             history->memory ? mc_size_format(size, history->memory) : "");
    svg_text(file, SVG_MARGIN, 50, "class=\"quiet\"", text);
    svg_legend(file, 76, history->of_host ? of_host : of_guest);
}

void history_draw(FILE *file, const struct history *history)
{
    struct svg_panel panel = {
        .x = SVG_MARGIN + SVG_AXIS_LEFT,
        .y = HEAD,
        .width = SVG_WIDTH - 2 * SVG_MARGIN - SVG_AXIS_LEFT,
        .height = SIZES_HEIGHT,
        .duration_ms = (uint64_t)(history->until_ms - history->since_ms),
        .top = history->memory,
        .clock_ms = history->since_ms,
    };
    bool has_stall =
        value_between(history, MC_VALUE_STALL, HIGH, 0, history->series.count) != MC_UNKNOWN;

    svg_begin(file, HEAD + SIZES_HEIGHT + SVG_AXIS_BELOW + (has_stall ? GAP + STALL_HEIGHT : 0),
              history->guest);
    draw_head(file, history);
    draw_sizes(file, history, &panel);
    if (has_stall) {
        panel.y += SIZES_HEIGHT + GAP;
        panel.height = STALL_HEIGHT;
        draw_stall(file, history, &panel);
    }
    svg_end(file);
}
