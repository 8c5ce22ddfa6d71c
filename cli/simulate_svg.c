/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The picture of a run: all guests together against the budget, then one small panel per guest on
 * its own scale, so that three can be read as well as fifty. It needs no other file, and follows
 * the reader's light or dark colours.
 */
#include "simulate.h"

#include <inttypes.h>

#define WIDTH 1000
#define MARGIN 20
#define HEAD 92 /* title and legend */
#define HOST_HEIGHT 260
#define AXIS_LEFT 56 /* room for the labels of an axis */
#define AXIS_BELOW 34
#define GAP 14        /* between the guests' panels */
#define PANEL_HEAD 18 /* a guest's name above its panel */

static const char style[] =
    "<style>\n"
    "svg{background:#fff;font:12px system-ui,'DejaVu Sans',sans-serif}\n"
    "text{fill:#1f2328}.title{font-size:17px;font-weight:600}.quiet{fill:#59636e}\n"
    ".grid{stroke:#d8dee4;stroke-width:1}.frame{stroke:#8c959f;fill:none}\n"
    ".given{fill:#b6d7ff}.held{fill:#7db4f5}\n"
    ".need{stroke:#9a3c00;stroke-width:1.5;fill:none;stroke-linejoin:round}\n"
    ".missing{fill:#d1242f;stroke:#d1242f;stroke-width:.8}\n"
    ".budget{stroke:#6639ba;stroke-width:1.8;fill:none;stroke-dasharray:6 3}\n"
    ".host{stroke:#59636e;stroke-width:1.2;fill:none;stroke-dasharray:2 3}\n"
    "@media(prefers-color-scheme:dark){\n"
    "svg{background:#0d1117}text{fill:#e6edf3}.quiet{fill:#9198a1}\n"
    ".grid{stroke:#2a313a}.frame{stroke:#656c76}\n"
    ".given{fill:#1d3a5f}.held{fill:#2f5f9e}.need{stroke:#ffa657}\n"
    ".missing{fill:#ff6a69;stroke:#ff6a69}.budget{stroke:#be8fff}.host{stroke:#9198a1}\n"
    "}\n"
    "</style>\n";

/* Where a panel lies and what its corners mean. */
struct panel {
    double x, y, width, height;
    uint64_t duration_ms, bytes; /* at the right, and at the top */
};

static double at_x(const struct panel *panel, uint64_t ms)
{
    return panel->x + panel->width * (double)ms / (double)panel->duration_ms;
}

/* What is above the panel ends at its edge. */
static double at_y(const struct panel *panel, uint64_t bytes)
{
    bytes = mc_min_u64(bytes, panel->bytes);
    return panel->y + panel->height * (1 - (double)bytes / (double)panel->bytes);
}

static void put_escaped(FILE *file, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", file);
        else if (*text == '&')
            fputs("&amp;", file);
        else if ((unsigned char)*text >= ' ')
            fputc(*text, file);
    }
}

static void put_text(FILE *file, double x, double y, const char *attributes, const char *text)
{
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    put_escaped(file, text);
    fputs("</text>\n", file);
}

/* A whole number of GiB or of MiB, so that about `lines` fit. */
static uint64_t size_step(uint64_t bytes, unsigned lines)
{
    static const unsigned steps[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};

    for (uint64_t unit = MC_MIB;; unit *= 1024)
        for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
            if (bytes / (unit * steps[i]) <= lines)
                return unit * steps[i];
}

static uint64_t time_step_s(uint64_t seconds, unsigned lines)
{
    static const unsigned steps[] = {1,   2,   5,    10,   15,   30,    60,    120,  300,
                                     600, 900, 1800, 3600, 7200, 14400, 28800, 43200};

    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
        if (seconds / steps[i] <= lines)
            return steps[i];
    return (seconds / lines + 86399) / 86400 * 86400;
}

/* Whole sizes without decimals. */
static void label_size(char text[MC_SIZE_TEXT], uint64_t bytes)
{
    if (bytes % MC_GIB == 0)
        snprintf(text, MC_SIZE_TEXT, "%" PRIu64 " GiB", bytes / MC_GIB);
    else
        snprintf(text, MC_SIZE_TEXT, "%" PRIu64 " MiB", bytes / MC_MIB);
}

static void label_time(char text[MC_SIZE_TEXT], uint64_t seconds, uint64_t duration_s)
{
    if (duration_s >= 7200)
        snprintf(text, MC_SIZE_TEXT, "%" PRIu64 ":%02" PRIu64 " h", seconds / 3600,
                 seconds / 60 % 60);
    else if (seconds % 60 == 0)
        snprintf(text, MC_SIZE_TEXT, "%" PRIu64 " min", seconds / 60);
    else
        snprintf(text, MC_SIZE_TEXT, "%" PRIu64 " s", seconds);
}

static void draw_size_axis(FILE *file, const struct panel *panel, unsigned lines, bool labels)
{
    uint64_t step = size_step(panel->bytes, lines);

    for (uint64_t bytes = 0; bytes <= panel->bytes; bytes += step) {
        double y = at_y(panel, bytes);
        char text[MC_SIZE_TEXT];

        fprintf(file, "<path class=\"grid\" d=\"M%.1f %.1fh%.1f\"/>\n", panel->x, y, panel->width);
        if (!labels)
            continue;
        label_size(text, bytes);
        put_text(file, panel->x - 6, y + 4, "class=\"quiet\" text-anchor=\"end\"", text);
    }
}

static void draw_time_axis(FILE *file, const struct panel *panel, unsigned lines, bool labels)
{
    uint64_t duration_s = panel->duration_ms / 1000;
    uint64_t step = time_step_s(duration_s, lines);

    for (uint64_t second = 0; second <= duration_s; second += step) {
        double x = at_x(panel, second * 1000);
        const char *anchor = "class=\"quiet\" text-anchor=\"middle\"";
        char text[MC_SIZE_TEXT];

        fprintf(file, "<path class=\"grid\" d=\"M%.1f %.1fv%.1f\"/>\n", x, panel->y, panel->height);
        if (!labels)
            continue;
        if (second == 0)
            anchor = "class=\"quiet\"";
        else if (second * 1000 == panel->duration_ms)
            anchor = "class=\"quiet\" text-anchor=\"end\"";
        label_time(text, second, duration_s);
        put_text(file, x, panel->y + panel->height + 16, anchor, text);
    }
}

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

static void draw_host_path(FILE *file, const struct mc_simulation *run, const struct panel *panel,
                           const char *class, host_value *value, bool area)
{
    fprintf(file, "<path class=\"%s\" d=\"", class);
    for (size_t i = 0; i < run->moment_count; i++)
        fprintf(file, "%c%.1f %.1f", i ? 'L' : 'M', at_x(panel, run->moments[i].at_ms),
                at_y(panel, value(&run->moments[i])));
    if (area && run->moment_count)
        fprintf(file, "V%.1fH%.1fZ", at_y(panel, 0), at_x(panel, run->moments[0].at_ms));
    fputs("\"/>\n", file);
}

static void draw_host(FILE *file, const struct mc_simulation *run)
{
    struct panel panel = {
        .x = MARGIN + AXIS_LEFT,
        .y = HEAD,
        .width = WIDTH - 2 * MARGIN - AXIS_LEFT,
        .height = HOST_HEIGHT - AXIS_BELOW,
        .duration_ms = run->duration_ms,
        .bytes = run->host_memory,
    };

    /* What guests were given before anybody looked at them would press all the rest flat. */
    for (size_t i = 0; i < run->moment_count; i++)
        panel.bytes = mc_max_u64(
            panel.bytes, mc_max_u64(host_held(&run->moments[i]), host_need(&run->moments[i])));
    panel.bytes += panel.bytes / 8;
    draw_host_path(file, run, &panel, "given", host_given, true);
    draw_host_path(file, run, &panel, "held", host_held, true);
    draw_size_axis(file, &panel, 6, true);
    draw_time_axis(file, &panel, 12, true);
    draw_host_path(file, run, &panel, "need", host_need, false);
    draw_host_path(file, run, &panel, "budget", host_budget, false);
    fprintf(file, "<path class=\"host\" d=\"M%.1f %.1fh%.1f\"/>\n", panel.x,
            at_y(&panel, run->host_memory), panel.width);
    fprintf(file, "<path class=\"frame\" d=\"M%.1f %.1fv%.1fh%.1f\"/>\n", panel.x, panel.y,
            panel.height, panel.width);
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
    struct panel panel;
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

        fprintf(file, "%c%.1f %.1f", i ? 'L' : 'M', at_x(&plot->panel, run->moments[i].at_ms),
                at_y(&plot->panel, value(&plot->guest->moments[which])));
    }
    if (area && run->moment_count)
        fprintf(file, "V%.1fH%.1fZ", at_y(&plot->panel, 0), at_x(&plot->panel, 0));
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
        double low = at_y(&plot->panel, moment->actual), high = at_y(&plot->panel, moment->need);

        if (moment->need > moment->actual && low - high >= 0.3)
            fprintf(file, "M%.1f %.1fh%.1fV%.1fh-%.1fZ", at_x(&plot->panel, run->moments[i].at_ms),
                    low, width, high, width);
    }
    fputs("\"/>\n", file);
}

static void draw_guest(FILE *file, const struct guest_plot *plot, bool times)
{
    const struct panel *panel = &plot->panel;
    char text[96], size[MC_SIZE_TEXT], missing[SIMULATE_NUMBER_TEXT];

    draw_guest_path(file, plot, "given", guest_given, true);
    draw_guest_path(file, plot, "held", guest_held, true);
    draw_size_axis(file, panel, panel->height > 80 ? 4 : 2, false);
    draw_time_axis(file, panel, (unsigned)(panel->width / 75), times);
    draw_missing(file, plot);
    draw_guest_path(file, plot, "need", guest_need, false);
    fprintf(file, "<path class=\"frame\" d=\"M%.1f %.1fv%.1fh%.1f\"/>\n", panel->x, panel->y,
            panel->height, panel->width);
    mc_size_format(size, plot->guest->memory);
    put_text(file, panel->x, panel->y - 5, "", plot->guest->name);
    if (plot->guest->fare.unmet >= MC_GIB / 100)
        snprintf(text, sizeof(text), "missed %s GiB s; 0 to %s",
                 simulate_missing(missing, plot->guest->fare.unmet), size);
    else
        snprintf(text, sizeof(text), "0 to %s", size);
    put_text(file, panel->x + panel->width, panel->y - 5,
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
        .width = (WIDTH - 2 * MARGIN - AXIS_LEFT - GAP * (double)(layouts[i].columns - 1)) /
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
                    .x = MARGIN + AXIS_LEFT + (double)column * (grid->width + GAP),
                    .y = HEAD + HOST_HEIGHT + PANEL_HEAD +
                         (double)row * (grid->height + PANEL_HEAD + GAP),
                    .width = grid->width,
                    .height = grid->height,
                    .duration_ms = run->duration_ms,
                    .bytes = run->guests[i].memory,
                },
            .stride = run->moment_count / (size_t)grid->width + 1,
        };

        draw_guest(file, &plot, i + grid->columns >= run->count);
    }
}

static void draw_legend(FILE *file, double y)
{
    static const struct {
        const char *class, *text;
        bool area;
        double width;
    } entries[] = {
        {"given", "given to guests", true, 140},
        {"held", "of that, resident on the host", true, 215},
        {"need", "needed", false, 90},
        {"missing", "missing", true, 90},
        {"budget", "budget", false, 90},
        {"host", "host memory", false, 120},
    };
    double x = MARGIN + AXIS_LEFT;

    for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++) {
        if (entries[i].area)
            fprintf(file, "<path class=\"%s\" d=\"M%.1f %.1fh22v11h-22z\"/>\n", entries[i].class, x,
                    y - 10);
        else
            fprintf(file, "<path class=\"%s\" d=\"M%.1f %.1fh22\"/>\n", entries[i].class, x, y - 4);
        put_text(file, x + 28, y, "", entries[i].text);
        x += entries[i].width;
    }
}

static void draw_head(FILE *file, const struct mc_simulation *run)
{
    char text[512], unmet[SIMULATE_NUMBER_TEXT], overrun[SIMULATE_NUMBER_TEXT],
        distress[SIMULATE_NUMBER_TEXT];

    put_text(file, MARGIN, 28, "class=\"title\"", run->title[0] ? run->title : "memctl simulate");
    snprintf(text, sizeof(text),
             "policy %s; unmet demand %s GiB s, host overrun %s GiB s, in distress %s s of all "
             "guests together",
             run->policy, simulate_missing(unmet, run->all.unmet),
             simulate_missing(overrun, run->overrun),
             simulate_seconds(distress, run->all.distress_ms));
    put_text(file, MARGIN, 50, "class=\"quiet\"", text);
    draw_legend(file, 76);
}

void simulate_draw(FILE *file, const struct mc_simulation *run)
{
    struct grid grid = grid_for(run->count);
    double height = HEAD + HOST_HEIGHT + MARGIN + AXIS_BELOW +
                    (double)grid.rows * (grid.height + PANEL_HEAD + GAP);

    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
            "height=\"%.0f\" role=\"img\">\n<title>",
            WIDTH, height, WIDTH, height);
    put_escaped(file, run->title);
    fputs("</title>\n", file);
    fputs(style, file);
    draw_head(file, run);
    draw_host(file, run);
    draw_guests(file, run, &grid);
    fputs("</svg>\n", file);
}
