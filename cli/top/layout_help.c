/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "layout.h"

#include <string.h>

static const char *const lines[] = {
    "Keys",
    "  up, down, j, k     choose a guest; also page up, page down, home, end",
    "  Enter              why it has what it has, and its course; again or Esc: back",
    "  left, right, t     there: the guest before, the one behind; other times",
    "  < >  r             sort by another column; the other way round",
    "  /                  only guests whose name or WHY has this in it; Esc: all",
    "  b                  bars on one scale for all, or each its own max",
    "  s                  change its shares",
    "  e                  change any setting: shares= min= max= managed=",
    "  p                  pause it, or resume it",
    "  q                  quit",
    "",
    "Bars, from left to right",
    "  @U used: what the guest cannot give up    @A active: what it works with",
    "  @H the rest of what it has (actual)       @E what it could have (max)",
    "  @T target: what memctl wants it to have",
    "MOVE is how much of the way to its target is left; SAVING what merging its equal",
    "pages would still save, as the page scanner found, SAVED what it does save.",
    "",
    "Letters before the name",
    "  ! distress   H its QEMU does not answer   S balloon stuck",
    "  F moved by somebody else   ? statistics old   x left alone",
    "",
    "WHY: the rule that decided; memctl(1) explains them, as Enter does.",
};

#define LINES (sizeof(lines) / sizeof(*lines))

static int draw_sign(struct screen *screen, int row, int column, char which)
{
    static const struct {
        char letter;
        enum style style;
        enum glyph glyph;
    } signs[] = {
        {'U', STYLE_USED, GLYPH_USED},     {'A', STYLE_ACTIVE, GLYPH_ACTIVE},
        {'H', STYLE_ACTUAL, GLYPH_ACTUAL}, {'E', STYLE_DIM, GLYPH_EMPTY},
        {'T', STYLE_TARGET, GLYPH_TARGET},
    };

    for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
        if (signs[i].letter == which)
            return screen_put(screen, row, column, signs[i].style, signs[i].glyph);
    return 0;
}

/* A line in which @ and a letter stand for a sign of the bars. */
static void draw_line(struct screen *screen, int row, int column, const char *line)
{
    enum style style = line[0] == ' ' ? STYLE_PLAIN : STYLE_BOLD;
    int at = column;

    for (const char *c = line; *c; c++) {
        if (*c == '@' && c[1])
            at += draw_sign(screen, row, at, *++c);
        else
            at += screen_char(screen, row, at, style, (uint32_t)*c);
    }
}

void layout_help(const struct top *top, struct screen *screen, struct layout *layout)
{
    size_t rows = screen->rows > 1 ? (size_t)screen->rows - 1 : 1;
    size_t first;

    layout->page_rows = rows;
    layout->scroll_max = LINES > rows ? LINES - rows : 0;
    layout->cursor = -1;
    first = top->scroll < layout->scroll_max ? top->scroll : layout->scroll_max;
    for (size_t i = 0; i < rows && first + i < LINES; i++)
        draw_line(screen, (int)i, 0, lines[first + i]);
    if (first < layout->scroll_max)
        screen_put(screen, screen->rows - 2, screen->columns - 1, STYLE_BOLD, GLYPH_DOWN);
}
