/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of guests. A column has a rank: the narrow screen keeps the low ranks, and what room is
 * left goes to the names and the bars.
 */
#include "layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

#include "cli.h"

#define NAME_MIN 10
#define NAME_MAX 40
#define BAR_MIN 8
#define BAR_MAX 48
#define CELL_TEXT 48

enum column_id {
    FLAG,
    NAME,
    BAR,
    ACTUAL,
    USED,
    ACTIVE,
    TARGET,
    MOVE,
    MIN,
    MAX,
    SAVED,
    SAVING,
    SHARES,
    WHY
};

#define COLUMNS 14

static const struct {
    const char *title;
    int width; /* the least */
    int rank;
    bool right;
    enum top_sort sort; /* what its title is marked for */
} columns[COLUMNS] = {
    [FLAG] = {"", 1, 0, false, TOP_SORT_COUNT},
    [NAME] = {"GUEST", NAME_MIN, 0, false, TOP_BY_NAME},
    [BAR] = {"", BAR_MIN, 1, false, TOP_SORT_COUNT},
    [ACTUAL] = {"ACTUAL", 6, 0, true, TOP_BY_ACTUAL},
    [USED] = {"USED", 5, 3, true, TOP_BY_USED},
    [ACTIVE] = {"ACTIVE", 6, 9, true, TOP_SORT_COUNT},
    [TARGET] = {"TARGET", 6, 4, true, TOP_BY_TARGET},
    [MOVE] = {"MOVE", 7, 2, true, TOP_BY_MOVE},
    [MIN] = {"MIN", 5, 11, true, TOP_SORT_COUNT},
    [MAX] = {"MAX", 5, 10, true, TOP_SORT_COUNT},
    [SAVED] = {"SAVED", 6, 7, true, TOP_SORT_COUNT},
    [SAVING] = {"SAVING", 7, 8, true, TOP_BY_SAVING},
    [SHARES] = {"SHARES", 7, 5, true, TOP_BY_SHARES},
    [WHY] = {"WHY", 18, 6, false, TOP_BY_WHY},
};

#define RANKS 12

struct table {
    int width[COLUMNS]; /* 0: not shown */
    uint64_t largest;   /* max of all guests shown, for bars of the same scale */
};

/* Equal pages have columns where something is known of them. */
static bool is_empty(const struct top *top, int column)
{
    if (column != SAVED && column != SAVING)
        return false;
    for (size_t i = 0; i < top->count; i++)
        if ((column == SAVED ? top->guests[i].saved : top->guests[i].saving) != MC_UNKNOWN)
            return false;
    return true;
}

static int needed(int rank, const bool *empty)
{
    int sum = -1;

    for (int i = 0; i < COLUMNS; i++)
        if (columns[i].rank <= rank && !empty[i])
            sum += columns[i].width + 1;
    return sum;
}

static void widen(int *width, int most, int *room)
{
    int more = most - *width < *room ? most - *width : *room;

    if (more > 0) {
        *width += more;
        *room -= more;
    }
}

static void choose_columns(const struct top *top, const struct screen *screen, struct table *table)
{
    int rank = RANKS - 1, room, longest = NAME_MIN;
    bool empty[COLUMNS];

    for (int i = 0; i < COLUMNS; i++)
        empty[i] = is_empty(top, i);
    while (rank > 0 && needed(rank, empty) > screen->columns)
        rank--;
    room = screen->columns - needed(rank, empty);
    for (int i = 0; i < COLUMNS; i++)
        table->width[i] = columns[i].rank <= rank && !empty[i] ? columns[i].width : 0;
    for (size_t i = 0; i < top->count; i++) {
        int width = screen_width_of(screen, top->guests[i].name);

        longest = width > longest ? width : longest;
        if (top->guests[i].max != MC_UNKNOWN)
            table->largest = mc_max_u64(table->largest, top->guests[i].max);
    }
    if (room < 0) { /* not even the least fits: the name gives way */
        table->width[NAME] = NAME_MIN + room > 4 ? NAME_MIN + room : 4;
        return;
    }
    if (table->width[BAR])
        widen(&table->width[BAR], BAR_MIN + room / 2, &room);
    widen(&table->width[NAME], longest < NAME_MAX ? longest : NAME_MAX, &room);
    if (table->width[BAR])
        widen(&table->width[BAR], BAR_MAX, &room);
}

static void draw_heading(const struct top *top, struct screen *screen, int row,
                         const struct table *table)
{
    int at = 0;

    for (int i = 0; i < COLUMNS; i++) {
        bool sorted = columns[i].sort == top->sort;
        int width = table->width[i], length = (int)strlen(columns[i].title);

        if (!width)
            continue;
        screen_text(screen, row, columns[i].right ? at + width - length : at, width,
                    sorted ? STYLE_BOLD : STYLE_HEADING, columns[i].title);
        /* Also seen without bold letters. */
        if (sorted && (columns[i].right ? length < width : true))
            screen_put(screen, row, columns[i].right ? at + width - length - 1 : at + length,
                       STYLE_BOLD,
                       (top->sort == TOP_BY_NAME || top->sort == TOP_BY_WHY) != top->reversed
                           ? GLYPH_UP
                           : GLYPH_DOWN);
        at += width + 1;
    }
}

static enum style style_of_flag(char flag)
{
    return flag == '!' || flag == 'H' ? STYLE_BAD : flag == 'x' ? STYLE_DIM : STYLE_WARN;
}

static enum style style_of_why(const struct top_guest *guest)
{
    if (guest->flag != ' ')
        return style_of_flag(guest->flag);
    return strcmp(guest->why, "distress") == 0 ? STYLE_BAD : STYLE_PLAIN;
}

static void draw_move(struct screen *screen, int row, int at, int width, unsigned flag,
                      const struct top_guest *guest)
{
    int64_t move = top_move(guest);
    char text[MC_SIZE_TEXT];
    int length;

    if (!move)
        return;
    mc_size_format(text, (uint64_t)(move < 0 ? -move : move));
    length = (int)strlen(text);
    screen_put(screen, row, at + width - length - 1,
               flag | (move < 0 ? (unsigned)STYLE_WARN : (unsigned)STYLE_GOOD),
               move < 0 ? GLYPH_DOWN : GLYPH_UP);
    screen_text(screen, row, at + width - length, length, flag, text);
}

static void size_text(char text[CELL_TEXT], uint64_t bytes)
{
    char size[MC_SIZE_TEXT];

    snprintf(text, CELL_TEXT, "%s", mc_size_format(size, bytes));
}

/* What stands in a column that is nothing but text. */
static void cell_text(const struct top_guest *guest, enum column_id id, char text[CELL_TEXT])
{
    text[0] = '\0';
    if (id == FLAG)
        snprintf(text, CELL_TEXT, "%c", guest->flag);
    else if (id == SHARES && guest->shares != MC_UNKNOWN)
        snprintf(text, CELL_TEXT, "%llu", (unsigned long long)guest->shares);
    else if (id == WHY)
        snprintf(text, CELL_TEXT, "%s", guest->why);
    else if (id != NAME && id != BAR && id != MOVE && id != SHARES)
        size_text(text, id == ACTUAL   ? guest->actual
                        : id == USED   ? guest->used
                        : id == ACTIVE ? guest->active
                        : id == TARGET ? guest->target
                        : id == MIN    ? guest->min
                        : id == SAVED  ? guest->saved
                        : id == SAVING ? guest->saving
                                       : guest->max);
}

static void draw_guest(const struct top *top, struct screen *screen, int row,
                       const struct table *table, const struct top_guest *guest, unsigned flag)
{
    int at = 0;

    for (int i = 0; i < COLUMNS; i++) {
        int width = table->width[i], length;
        char text[CELL_TEXT];

        if (!width)
            continue;
        cell_text(guest, (enum column_id)i, text);
        length = screen_width_of(screen, text);
        if (i == NAME)
            screen_text(screen, row, at, width, flag, guest->name);
        else if (i == MOVE)
            draw_move(screen, row, at, width, flag, guest);
        else if (i == BAR)
            bar_draw(screen, row, at, width, flag,
                     &(struct bar){.whole = top->same_scale ? table->largest : guest->max,
                                   .most = guest->max,
                                   .used = guest->used,
                                   .active = guest->active,
                                   .actual = guest->actual,
                                   .target = guest->target});
        else
            screen_text(screen, row, columns[i].right && length < width ? at + width - length : at,
                        width,
                        flag | (i == FLAG  ? (unsigned)style_of_flag(guest->flag)
                                : i == WHY ? (unsigned)style_of_why(guest)
                                           : 0u),
                        text);
        at += width + 1;
    }
}

static void say_why_empty(const struct top *top, struct screen *screen, int row)
{
    const char *text = !top->list    ? "waiting for memctld"
                       : top->hidden ? "no guest matches; Escape shows all"
                                     : "no guest runs";

    screen_text(screen, row, 2, screen->columns - 2, STYLE_DIM, text);
}

void layout_list(const struct top *top, struct screen *screen, int row, int rows,
                 struct layout *layout)
{
    struct table table = {0};
    size_t chosen = top_chosen(top), room = rows > 1 ? (size_t)rows - 1 : 0, first;
    int end = row + rows;

    layout->page_rows = room ? room : 1;
    if (rows < 1)
        return;
    choose_columns(top, screen, &table);
    draw_heading(top, screen, row++, &table);
    if (!top->count && room)
        say_why_empty(top, screen, row);
    /* Whole pages: the list stands still while the choice moves in it. */
    first = room && chosen < top->count ? chosen / room * room : 0;
    for (size_t i = first; i < top->count && i - first < room; i++, row++) {
        unsigned flag = i == chosen ? (unsigned)STYLE_CHOSEN : 0u;

        if (flag)
            screen_mark_row(screen, row, flag);
        draw_guest(top, screen, row, &table, &top->guests[i], flag);
    }
    /* A line stays free between them. */
    layout_events(top, screen, row + 1, end - row - 1, NULL);
}
