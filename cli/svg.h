/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures of memory over time, as SVG that needs no other file and follows the reader's light or
 * dark colours. Classes of the style: title, quiet; areas given, held; lines need, target, budget,
 * host, stall; missing, frame.
 */
#ifndef MEMCTL_CLI_SVG_H
#define MEMCTL_CLI_SVG_H

#include <stdbool.h>
#include <stdio.h>

#include <memctl/units.h>

#define SVG_WIDTH 1000
#define SVG_MARGIN 20
#define SVG_AXIS_LEFT 56 /* room for the labels of an axis */
#define SVG_AXIS_BELOW 34

/* Where a panel lies and what its corners mean. */
struct svg_panel {
    double x, y, width, height;
    uint64_t duration_ms; /* at the right */
    uint64_t top;         /* bytes, or what is drawn, at the top; not 0 */
    int64_t clock_ms;     /* the real-time clock at the left; 0: times are counted from there */
};

void svg_begin(FILE *file, double height, const char *title);
void svg_end(FILE *file);

double svg_x(const struct svg_panel *panel, uint64_t ms);
/* What is above the panel ends at its edge. */
double svg_y(const struct svg_panel *panel, uint64_t value);

/* A text as it may stand in a picture. */
void svg_escaped(FILE *file, const char *text);

/* The text is escaped, the attributes are not. */
void svg_text(FILE *file, double x, double y, const char *attributes, const char *text);

/* Lines at whole sizes and times, about so many. */
void svg_size_axis(FILE *file, const struct svg_panel *panel, unsigned lines, bool labels);
void svg_time_axis(FILE *file, const struct svg_panel *panel, unsigned lines, bool labels);
void svg_frame(FILE *file, const struct svg_panel *panel);

struct svg_legend {
    const char *class, *text; /* ends with NULL */
    bool area;
    double width;
};

void svg_legend(FILE *file, double y, const struct svg_legend *entries);

#endif
