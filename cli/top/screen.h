/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A screen as a value: a grid of signs with a style each. Whoever lays out writes into it, whoever
 * has a terminal draws it, and a test reads it as text.
 */
#ifndef MEMCTL_TOP_SCREEN_H
#define MEMCTL_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What a sign means; how that looks is the terminal's affair. */
enum style {
    STYLE_PLAIN,
    STYLE_DIM,
    STYLE_BOLD,
    STYLE_HEADING,
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_USED,   /* of a bar: what cannot be given up */
    STYLE_ACTIVE, /* what is worked with beyond that */
    STYLE_ACTUAL, /* the rest of what is there */
    STYLE_TARGET,
    STYLE_COUNT,
    STYLE_CHOSEN = 0x80, /* added to another one: the chosen line */
};

/* Signs that look better in UTF-8. */
enum glyph {
    GLYPH_USED,
    GLYPH_ACTIVE,
    GLYPH_ACTUAL,
    GLYPH_EMPTY,
    GLYPH_TARGET,
    GLYPH_LEVEL, /* the target in a chart over time */
    GLYPH_UP,
    GLYPH_DOWN,
    GLYPH_CUT, /* where a text did not fit */
    GLYPH_COUNT,
};

struct cell {
    uint32_t sign; /* Unicode; 0: covered by the wide sign before it */
    uint8_t style;
};

struct screen {
    int columns, rows;
    bool utf8; /* otherwise only ASCII is written */
    struct cell *cells;
};

/* A blank one; returns 0 or -ENOMEM. Free it with screen_free(). */
int screen_init(struct screen *screen, int columns, int rows, bool utf8);
void screen_free(struct screen *screen);

/* Each returns how many columns it took; what lies outside the screen is left out. */
int screen_put(struct screen *screen, int row, int column, unsigned style, enum glyph glyph);
int screen_char(struct screen *screen, int row, int column, unsigned style, uint32_t sign);

/*
 * Text in UTF-8 in at most room columns, cut with a mark if it is longer. Nothing in it can move
 * the cursor: control characters and what is no UTF-8 become question marks.
 */
int screen_text(struct screen *screen, int row, int column, int room, unsigned style,
                const char *text);
int screen_format(struct screen *screen, int row, int column, int room, unsigned style,
                  const char *format, ...) __attribute__((format(printf, 6, 7)));

/* How many columns the text takes. */
int screen_width_of(const struct screen *screen, const char *text);

/* Give a whole line this style's flag, or this style. */
void screen_mark_row(struct screen *screen, int row, unsigned flag);

/* One row as text without trailing blanks and without newline. */
void screen_write_row(const struct screen *screen, int row, FILE *out);

#endif
