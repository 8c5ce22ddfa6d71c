/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "layout.h"

#include <string.h>

/* Smaller than this, nothing that could be shown would be of use. */
#define COLUMNS_MIN 20
#define ROWS_MIN 4

void layout_pieces(struct screen *screen, int row, int column, const char *between,
                   const struct piece *pieces)
{
    int at = column, gap = (int)strlen(between);

    for (const struct piece *piece = pieces; piece->text; piece++) {
        int width = screen_width_of(screen, piece->text), lead = at > column ? gap : 0;

        if (!width)
            continue;
        /* The first is cut rather than left out. */
        if (at > column && at + lead + width > screen->columns)
            continue;
        if (lead)
            at += screen_text(screen, row, at, lead, STYLE_DIM, between);
        at += screen_text(screen, row, at, screen->columns - at, piece->style, piece->text);
    }
}

/* How much of the text goes into one line of so many columns. */
static int line_length(const char *text, int columns)
{
    int length = (int)strlen(text), end = columns;

    if (length <= columns)
        return length;
    while (end > columns / 2 && text[end] != ' ')
        end--;
    return end > columns / 2 ? end : columns;
}

int layout_paragraph(struct screen *screen, int row, int rows, enum style style, const char *text,
                     bool draw)
{
    int count = 0;

    while (*text && count < rows) {
        int length = line_length(text, screen->columns);
        bool last = count + 1 == rows;

        for (int i = 0; draw && i < screen->columns; i++)
            screen_char(screen, row + count, i, STYLE_PLAIN, ' ');
        if (draw && last)
            screen_text(screen, row + count, 0, screen->columns, style, text);
        else if (draw)
            screen_format(screen, row + count, 0, screen->columns, style, "%.*s", length, text);
        text += length;
        text += *text == ' ';
        count++;
    }
    return count;
}

static const char *question_of(enum top_prompt prompt)
{
    switch (prompt) {
    case TOP_ASK_FILTER:
        return "only guests with";
    case TOP_ASK_SHARES:
        return "shares of";
    case TOP_ASK_SETTINGS:
        return "settings of";
    case TOP_ASK_PAUSE:
        return "leave alone until resumed:";
    default:
        return "";
    }
}

static void draw_prompt(const struct top *top, struct screen *screen, int row,
                        struct layout *layout)
{
    const struct top_guest *guest = top_asked(top);
    const char *name = guest ? guest->name : "a guest that is gone";
    int at = screen_format(screen, row, 0, screen->columns / 2, STYLE_BOLD, "%s%s%s",
                           question_of(top->prompt), top->prompt == TOP_ASK_FILTER ? "" : " ",
                           top->prompt == TOP_ASK_FILTER ? "" : name);

    if (top->prompt == TOP_ASK_PAUSE) {
        screen_text(screen, row, at, screen->columns - at, STYLE_BOLD, "? y/n");
        return;
    }
    at += screen_text(screen, row, at, 2, STYLE_BOLD, ": ");
    at += screen_text(screen, row, at, screen->columns - at - 1, STYLE_PLAIN, top->input);
    layout->cursor = at;
}

static void draw_keys(const struct top *top, struct screen *screen, int row)
{
    static const struct piece list[] = {{"q quit", STYLE_DIM},    {"? help", STYLE_DIM},
                                        {"Enter why", STYLE_DIM}, {"s shares", STYLE_DIM},
                                        {"p pause", STYLE_DIM},   {"/ filter", STYLE_DIM},
                                        {"< > sort", STYLE_DIM},  {"e set", STYLE_DIM},
                                        {"b bars", STYLE_DIM},    {0}};
    static const struct piece guest[] = {{"Esc back", STYLE_DIM},
                                         {"up down scroll", STYLE_DIM},
                                         {"left right other guest", STYLE_DIM},
                                         {"t times", STYLE_DIM},
                                         {"s shares", STYLE_DIM},
                                         {"e set", STYLE_DIM},
                                         {"p pause", STYLE_DIM},
                                         {0}};
    static const struct piece help[] = {
        {"Esc back", STYLE_DIM}, {"up down scroll", STYLE_DIM}, {"q quit", STYLE_DIM}, {0}};

    layout_pieces(screen, row, 0, "  ",
                  top->page == TOP_LIST    ? list
                  : top->page == TOP_GUEST ? guest
                                           : help);
}

/* All of it, if need be over the list. */
static void draw_message(const struct top *top, struct screen *screen)
{
    enum style style = top->message_bad ? STYLE_BAD : STYLE_GOOD;
    int rows = layout_paragraph(screen, 0, screen->rows / 2, style, top->message, false);

    layout_paragraph(screen, screen->rows - rows, rows, style, top->message, true);
}

static void draw_foot(const struct top *top, struct screen *screen, struct layout *layout)
{
    int row = screen->rows - 1;

    if (top->prompt != TOP_NO_PROMPT)
        draw_prompt(top, screen, row, layout);
    else if (*top->message)
        draw_message(top, screen);
    else
        draw_keys(top, screen, row);
}

void layout_draw(const struct top *top, struct screen *screen, struct layout *layout)
{
    int row;

    *layout = (struct layout){.page_rows = 1, .cursor = -1};
    if (screen->columns < COLUMNS_MIN || screen->rows < ROWS_MIN) {
        screen_text(screen, 0, 0, screen->columns, STYLE_PLAIN, "too small");
        return;
    }
    if (top->page == TOP_HELP) {
        layout_help(top, screen, layout);
    } else if (top->page == TOP_GUEST) {
        layout_guest(top, screen, layout);
    } else {
        row = layout_head(top, screen);
        layout_list(top, screen, row, screen->rows - 1 - row, layout);
    }
    draw_foot(top, screen, layout);
}
