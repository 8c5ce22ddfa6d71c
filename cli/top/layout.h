/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From what top knows to what is on the screen: pure functions. The screen's size and whether it
 * takes UTF-8 are the screen's own.
 */
#ifndef MEMCTL_TOP_LAYOUT_H
#define MEMCTL_TOP_LAYOUT_H

#include "top/screen.h"
#include "top/state.h"

/* What keys need to know of the page that was laid out. */
struct layout {
    size_t page_rows;     /* guests, or lines of text, that a page holds */
    size_t scroll_max;    /* the furthest scroll that makes sense */
    int cursor;           /* the column of the cursor in the last line, -1 without */
    unsigned chart_steps; /* columns of a guest's chart, 0 without */
};

/* Lay out all of a blank screen. */
void layout_draw(const struct top *top, struct screen *screen, struct layout *layout);

/* ---- parts, each in a file of its own ---- */

/* layout_head.c: the host in a few lines; returns how many rows they took. */
int layout_head(const struct top *top, struct screen *screen);

/* layout_list.c: from this row on, in so many rows. */
void layout_list(const struct top *top, struct screen *screen, int row, int rows,
                 struct layout *layout);

/* layout_guest.c: one guest on the whole screen but for the last line. */
void layout_guest(const struct top *top, struct screen *screen, struct layout *layout);

/* layout_help.c: over whatever is there. */
void layout_help(const struct top *top, struct screen *screen, struct layout *layout);

/*
 * layout_events.c: the last events that there is room for from this row on, under a heading; uuid:
 * only this guest's, NULL for all. Draws nothing in less than three rows.
 */
void layout_events(const struct top *top, struct screen *screen, int row, int rows,
                   const char *uuid);

/* bar.c: sizes of one guest as a line of signs; MC_UNKNOWN sizes are left out. */
struct bar {
    uint64_t whole; /* what the bar's width stands for */
    uint64_t most;  /* what of that the guest may have */
    uint64_t used, active, actual, target;
};
void bar_draw(struct screen *screen, int row, int column, int width, unsigned flag,
              const struct bar *bar);

/* The same over time: a column for each sample, as many rows high as there are. */
void bar_course(struct screen *screen, int row, int column, int width, int rows,
                const struct sample *samples, uint64_t whole);

/* layout_chart.c: how a guest fared, in so many rows, the present at the right. */
void layout_chart(const struct top *top, struct screen *screen, int row, int rows,
                  const struct top_guest *guest, struct layout *layout);

/* Texts beside each other, each only if it fits in whole; ends with a NULL text. */
struct piece {
    const char *text;
    enum style style;
};
void layout_pieces(struct screen *screen, int row, int column, const char *between,
                   const struct piece *pieces);

/* Text broken between words, in at most so many rows, which it blanks before. Returns how many it
 * took; with draw false it only counts. */
int layout_paragraph(struct screen *screen, int row, int rows, enum style style, const char *text,
                     bool draw);

#endif
