/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The picture of a run: all guests together against the budget, then one small panel per guest on
 * its own scale, so that three can be read as well as fifty.
 */
#include "simulate.h"
#include "svg.h"

#define HEAD 92 /* title and legend */
#define HOST_HEIGHT 260
#define GAP 14        /* between the guests' panels */
#define PANEL_HEAD 18 /* a guest's name above its panel */

/* A value of the host's moment, for a line or the upper edge of an area. */
typedef uint64_t host_value(const struct mc_host_moment *moment);

static uint64_t host_given(const struct mc_host_moment *moment)
{
    return moment->actual + moment->overhead;
}

static uint64_t host_held(const struct mc_host_moment *moment)
{
    return moment->held + moment->overhead;
}

static uint64_t host_need(const struct mc_host_moment *moment)
{
    return moment->need + moment->overhead;
}

static uint64_t host_budget(const struct mc_host_moment *moment)
{
    return moment->budget;
}

static void draw_host_path(FILE *file, const struct mc_simulation *run,
                           const struct svg_panel *panel, const char *class, host_value *value,
                           bool area)
{
    fprintf(file, "<path class=\"%s\" d=\"", class);
    for (size_t i = 0; i < run->moment_count; i++)
        fprintf(file, "%c%.1f %.1f", i ? 'L' : 'M', svg_x(panel, run->moments[i].at_ms),
                svg_y(panel, value(&run->moments[i])));
    if (area && run->moment_count)
        fprintf(file, "V%.1fH%.1fZ", svg_y(panel, 0), svg_x(panel, run->moments[0].at_ms));
    fputs("\"/>\n", file);
}

static void draw_host(FILE *file, const struct mc_simulation *run)
{
    struct svg_panel panel = {
        .x = SVG_MARGIN + SVG_AXIS_LEFT,
        .y = HEAD,
        .width = SVG_WIDTH - 2 * SVG_MARGIN - SVG_AXIS_LEFT,
        .height = HOST_HEIGHT - SVG_AXIS_BELOW,
        .duration_ms = run->duration_ms,
        .top = run->host_memory,
    };

    /* What guests were given before anybody looked at them would press all the rest flat. */
    for (size_t i = 0; i < run->moment_count; i++)
        panel.top = mc_max_u64(
            panel.top, mc_max_u64(host_held(&run->moments[i]), host_need(&run->moments[i])));
    panel.top += panel.top / 8;
    draw_host_path(file, run, &panel, "given", host_given, true);
    draw_host_path(file, run, &panel, "held", host_held, true);
    svg_size_axis(file, &panel, 6, true);
    svg_time_axis(file, &panel, 12, true);
    draw_host_path(file, run, &panel, "need", host_need, false);
    draw_host_path(file, run, &panel, "budget", host_budget, false);
    fprintf(file, "<path class=\"host\" d=\"M%.1f %.1fh%.1f\"/>\n", panel.x,
            svg_y(&panel, run->host_memory), panel.width);
    svg_frame(file, &panel);
}

/*
 * The moment that stands for those from `first` on, which fall on one point of a small panel: the
 * one in which most was missing.
 */
static size_t worst_of(const struct mc_simulated_guest *guest, size_t first, size_t end)
{
    size_t worst = first;

    for (size_t i = first; i < end; i++)
        if (mc_less_u64(guest->moments[i].need, guest->moments[i].actual) >
            mc_less_u64(guest->moments[worst].need, guest->moments[worst].actual))
            worst = i;
    return worst;
}

struct guest_plot {
    const struct mc_simulation *run;
    const struct mc_simulated_guest *guest;
    struct svg_panel panel;
    size_t stride; /* moments for one point */
};

/* upper and lower are edges of the area; with `line` only upper is drawn. */
typedef uint64_t guest_value(const struct mc_guest_moment *moment);

static uint64_t guest_given(const struct mc_guest_moment *moment)
{
    return moment->actual;
}

static uint64_t guest_held(const struct mc_guest_moment *moment)
{
    return moment->held;
}

static uint64_t guest_need(const struct mc_guest_moment *moment)
{
    return moment->need;
}

static void draw_guest_path(FILE *file, const struct guest_plot *plot, const char *class,
                            guest_value *value, bool area)
{
    const struct mc_simulation *run = plot->run;

    fprintf(file, "<path class=\"%s\" d=\"", class);
    for (size_t i = 0; i < run->moment_count; i += plot->stride) {
        size_t end = i + plot->stride < run->moment_count ? i + plot->stride : run->moment_count;
        size_t which = worst_of(plot->guest, i, end);

        fprintf(file, "%c%.1f %.1f", i ? 'L' : 'M', svg_x(&plot->panel, run->moments[i].at_ms),
                svg_y(&plot->panel, value(&plot->guest->moments[which])));
    }
    if (area && run->moment_count)
        fprintf(file, "V%.1fH%.1fZ", svg_y(&plot->panel, 0), svg_x(&plot->panel, 0));
    fputs("\"/>\n", file);
}

/* What is missing, as bars from what the guest has to what it needs. */
static void draw_missing(FILE *file, const struct guest_plot *plot)
{
    const struct mc_simulation *run = plot->run;
    double width = plot->panel.width * (double)plot->stride / (double)run->moment_count;

    fputs("<path class=\"missing\" d=\"", file);
    for (size_t i = 0; i < run->moment_count; i += plot->stride) {
        size_t end = i + plot->stride < run->moment_count ? i + plot->stride : run->moment_count;
        const struct mc_guest_moment *moment = &plot->guest->moments[worst_of(plot->guest, i, end)];
        double low = svg_y(&plot->panel, moment->actual), high = svg_y(&plot->panel, moment->need);

        if (moment->need > moment->actual && low - high >= 0.3)
            fprintf(file, "M%.1f %.1fh%.1fV%.1fh-%.1fZ", svg_x(&plot->panel, run->moments[i].at_ms),
                    low, width, high, width);
    }
    fputs("\"/>\n", file);
}

static void draw_guest(FILE *file, const struct guest_plot *plot, bool times)
{
    const struct svg_panel *panel = &plot->panel;
    char text[96], size[MC_SIZE_TEXT], missing[SIMULATE_NUMBER_TEXT];

    draw_guest_path(file, plot, "given", guest_given, true);
    draw_guest_path(file, plot, "held", guest_held, true);
    svg_size_axis(file, panel, panel->height > 80 ? 4 : 2, false);
    svg_time_axis(file, panel, (unsigned)(panel->width / 75), times);
    draw_missing(file, plot);
    draw_guest_path(file, plot, "need", guest_need, false);
    svg_frame(file, panel);
    mc_size_format(size, plot->guest->memory);
    svg_text(file, panel->x, panel->y - 5, "", plot->guest->name);
    if (plot->guest->fare.unmet >= MC_GIB / 100)
        snprintf(text, sizeof(text), "missed %s GiB s; 0 to %s",
                 simulate_missing(missing, plot->guest->fare.unmet), size);
    else
        snprintf(text, sizeof(text), "0 to %s", size);
    svg_text(file, panel->x + panel->width, panel->y - 5,
             "class=\"quiet\" text-anchor=\"end\" font-size=\"11\"", text);
}

/* Few guests get wide panels, many get small ones. */
struct grid {
    size_t columns, rows;
    double width, height;
};

static struct grid grid_for(size_t count)
{
    static const struct {
        size_t most, columns;
        double height;
    } layouts[] = {{4, 1, 110}, {10, 2, 90}, {24, 3, 70}, {SIZE_MAX, 4, 54}};
    size_t i = 0;

    while (count > layouts[i].most)
        i++;
    return (struct grid){
        .columns = layouts[i].columns,
        .rows = (count + layouts[i].columns - 1) / layouts[i].columns,
        .width =
            (SVG_WIDTH - 2 * SVG_MARGIN - SVG_AXIS_LEFT - GAP * (double)(layouts[i].columns - 1)) /
            (double)layouts[i].columns,
        .height = layouts[i].height,
    };
}

static void draw_guests(FILE *file, const struct mc_simulation *run, const struct grid *grid)
{
    for (size_t i = 0; i < run->count; i++) {
        size_t row = i / grid->columns, column = i % grid->columns;
        struct guest_plot plot = {
            .run = run,
            .guest = &run->guests[i],
            .panel =
                {
                    .x = SVG_MARGIN + SVG_AXIS_LEFT + (double)column * (grid->width + GAP),
                    .y = HEAD + HOST_HEIGHT + PANEL_HEAD +
                         (double)row * (grid->height + PANEL_HEAD + GAP),
                    .width = grid->width,
                    .height = grid->height,
                    .duration_ms = run->duration_ms,
                    .top = run->guests[i].memory,
                },
            .stride = run->moment_count / (size_t)grid->width + 1,
        };

        draw_guest(file, &plot, i + grid->columns >= run->count);
    }
}

static void draw_legend(FILE *file, double y)
{
    static const struct svg_legend entries[] = {
        {"given", "given to guests", true, 140},
        {"held", "of that, resident on the host", true, 215},
        {"need", "needed", false, 90},
        {"missing", "missing", true, 90},
        {"budget", "budget", false, 90},
        {"host", "host memory", false, 120},
        {0},
    };

    svg_legend(file, y, entries);
}

static void draw_head(FILE *file, const struct mc_simulation *run)
{
    char text[512], unmet[SIMULATE_NUMBER_TEXT], overrun[SIMULATE_NUMBER_TEXT],
        distress[SIMULATE_NUMBER_TEXT];

    svg_text(file, SVG_MARGIN, 28, "class=\"title\"",
             run->title[0] ? run->title : "memctl simulate");
    snprintf(text, sizeof(text),
             "policy %s; unmet demand %s GiB s, host overrun %s GiB s, in distress %s s of all "
             "guests together",
             run->policy, simulate_missing(unmet, run->all.unmet),
             simulate_missing(overrun, run->overrun),
             simulate_seconds(distress, run->all.distress_ms));
    svg_text(file, SVG_MARGIN, 50, "class=\"quiet\"", text);
    draw_legend(file, 76);
}

void simulate_draw(FILE *file, const struct mc_simulation *run)
{
    struct grid grid = grid_for(run->count);
    double height = HEAD + HOST_HEIGHT + SVG_MARGIN + SVG_AXIS_BELOW +
                    (double)grid.rows * (grid.height + PANEL_HEAD + GAP);

    svg_begin(file, height, run->title);
    draw_head(file, run);
    draw_host(file, run);
    draw_guests(file, run, &grid);
    svg_end(file);
}
