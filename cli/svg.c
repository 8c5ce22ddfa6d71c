/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "svg.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static const char style[] =
    "<style>\n"
    "svg{background:#fff;font:12px system-ui,'DejaVu Sans',sans-serif}\n"
    "text{fill:#1f2328}.title{font-size:17px;font-weight:600}.quiet{fill:#59636e}\n"
    ".grid{stroke:#d8dee4;stroke-width:1}.frame{stroke:#8c959f;fill:none}\n"
    ".given{fill:#b6d7ff}.held{fill:#7db4f5}\n"
    ".need{stroke:#9a3c00;stroke-width:1.5;fill:none;stroke-linejoin:round}\n"
    ".target{stroke:#1a7f37;stroke-width:1.2;fill:none;stroke-dasharray:4 2}\n"
    ".stall{fill:#d1242f;stroke:none}\n"
    ".missing{fill:#d1242f;stroke:#d1242f;stroke-width:.8}\n"
    ".budget{stroke:#6639ba;stroke-width:1.8;fill:none;stroke-dasharray:6 3}\n"
    ".host{stroke:#59636e;stroke-width:1.2;fill:none;stroke-dasharray:2 3}\n"
    "@media(prefers-color-scheme:dark){\n"
    "svg{background:#0d1117}text{fill:#e6edf3}.quiet{fill:#9198a1}\n"
    ".grid{stroke:#2a313a}.frame{stroke:#656c76}\n"
    ".given{fill:#1d3a5f}.held{fill:#2f5f9e}.need{stroke:#ffa657}\n"
    ".target{stroke:#56d364}.stall{fill:#ff6a69}\n"
    ".missing{fill:#ff6a69;stroke:#ff6a69}.budget{stroke:#be8fff}.host{stroke:#9198a1}\n"
    "}\n"
    "</style>\n";

double svg_x(const struct svg_panel *panel, uint64_t ms)
{
    return panel->x + panel->width * (double)ms / (double)panel->duration_ms;
}

double svg_y(const struct svg_panel *panel, uint64_t value)
{
    value = mc_min_u64(value, panel->top);
    return panel->y + panel->height * (1 - (double)value / (double)panel->top);
}

void svg_escaped(FILE *file, const char *text)
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

void svg_text(FILE *file, double x, double y, const char *attributes, const char *text)
{
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    svg_escaped(file, text);
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

/* Counted from the left, or by the clock: then the day where it lasts longer than one. */
static void label_time(char text[MC_SIZE_TEXT], const struct svg_panel *panel, uint64_t seconds)
{
    uint64_t duration_s = panel->duration_ms / 1000;
    time_t clock_s = (time_t)(panel->clock_ms / 1000 + (int64_t)seconds);
    struct tm local;

    if (panel->clock_ms && localtime_r(&clock_s, &local))
        strftime(text, MC_SIZE_TEXT,
                 duration_s > 3 * 86400 ? "%m-%d"
                 : duration_s > 86400   ? "%a %H:%M"
                 : duration_s < 900     ? "%H:%M:%S"
                                        : "%H:%M",
                 &local);
    else if (duration_s >= 7200)
        snprintf(text, MC_SIZE_TEXT, "%" PRIu64 ":%02" PRIu64 " h", seconds / 3600,
                 seconds / 60 % 60);
    else if (seconds % 60 == 0)
        snprintf(text, MC_SIZE_TEXT, "%" PRIu64 " min", seconds / 60);
    else
        snprintf(text, MC_SIZE_TEXT, "%" PRIu64 " s", seconds);
}

void svg_size_axis(FILE *file, const struct svg_panel *panel, unsigned lines, bool labels)
{
    uint64_t step = size_step(panel->top, lines);

    for (uint64_t bytes = 0; bytes <= panel->top; bytes += step) {
        double y = svg_y(panel, bytes);
        char text[MC_SIZE_TEXT];

        fprintf(file, "<path class=\"grid\" d=\"M%.1f %.1fh%.1f\"/>\n", panel->x, y, panel->width);
        if (!labels)
            continue;
        label_size(text, bytes);
        svg_text(file, panel->x - 6, y + 4, "class=\"quiet\" text-anchor=\"end\"", text);
    }
}

/* Seconds from the left to the first line: at a whole hour or day where there is a clock. */
static uint64_t first_line_s(const struct svg_panel *panel, uint64_t step_s)
{
    time_t clock_s = (time_t)(panel->clock_ms / 1000);
    struct tm local;

    if (!panel->clock_ms || !localtime_r(&clock_s, &local))
        return 0;
    return (step_s - (uint64_t)(clock_s + local.tm_gmtoff) % step_s) % step_s;
}

/* About as wide as a letter is drawn, and what parts two labels. */
#define LETTER 6.5
#define LABEL_GAP 8

/* One label at a line, inside the panel's width; none where it would run into the one before. */
static void write_time(FILE *file, const struct svg_panel *panel, double x, const char *text,
                       double *taken)
{
    double width = LETTER * (double)strlen(text), left = x - width / 2;
    const char *anchor = "class=\"quiet\" text-anchor=\"middle\"";

    if (x < panel->x + 20) {
        anchor = "class=\"quiet\"";
        left = x;
    } else if (x > panel->x + panel->width - 20) {
        anchor = "class=\"quiet\" text-anchor=\"end\"";
        left = x - width;
    }
    if (left < *taken)
        return;
    *taken = left + width + LABEL_GAP;
    svg_text(file, x, panel->y + panel->height + 16, anchor, text);
}

void svg_time_axis(FILE *file, const struct svg_panel *panel, unsigned lines, bool labels)
{
    uint64_t duration_s = panel->duration_ms / 1000;
    uint64_t step = time_step_s(duration_s, lines);
    double taken = 0;

    for (uint64_t second = first_line_s(panel, step); second <= duration_s; second += step) {
        double x = svg_x(panel, second * 1000);
        char text[MC_SIZE_TEXT];

        fprintf(file, "<path class=\"grid\" d=\"M%.1f %.1fv%.1f\"/>\n", x, panel->y, panel->height);
        if (!labels)
            continue;
        label_time(text, panel, second);
        write_time(file, panel, x, text, &taken);
    }
}

void svg_frame(FILE *file, const struct svg_panel *panel)
{
    fprintf(file, "<path class=\"frame\" d=\"M%.1f %.1fv%.1fh%.1f\"/>\n", panel->x, panel->y,
            panel->height, panel->width);
}

void svg_legend(FILE *file, double y, const struct svg_legend *entries)
{
    double x = SVG_MARGIN + SVG_AXIS_LEFT;

    for (; entries->text; entries++) {
        if (entries->area)
            fprintf(file, "<path class=\"%s\" d=\"M%.1f %.1fh22v11h-22z\"/>\n", entries->class, x,
                    y - 10);
        else
            fprintf(file, "<path class=\"%s\" d=\"M%.1f %.1fh22\"/>\n", entries->class, x, y - 4);
        svg_text(file, x + 28, y, "", entries->text);
        x += entries->width;
    }
}

void svg_begin(FILE *file, double height, const char *title)
{
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
            "height=\"%.0f\" role=\"img\">\n<title>",
            SVG_WIDTH, height, SVG_WIDTH, height);
    svg_escaped(file, title);
    fputs("</title>\n", file);
    fputs(style, file);
}

void svg_end(FILE *file)
{
    fputs("</svg>\n", file);
}
