/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define NCURSES_WIDECHAR 1
#include "terminal.h"

#include <curses.h>
#include <stdlib.h>
#include <wchar.h>

#include "top/keys.h"

/* What a style looks like with colours, and without. */
static const struct {
    short colour; /* -1: the terminal's own */
    attr_t with, without;
} looks[STYLE_COUNT] = {
    [STYLE_PLAIN] = {-1, A_NORMAL, A_NORMAL},
    [STYLE_DIM] = {-1, A_DIM, A_NORMAL},
    [STYLE_BOLD] = {-1, A_BOLD, A_BOLD},
    [STYLE_HEADING] = {-1, A_UNDERLINE, A_UNDERLINE},
    [STYLE_GOOD] = {COLOR_GREEN, A_NORMAL, A_NORMAL},
    [STYLE_WARN] = {COLOR_YELLOW, A_NORMAL, A_BOLD},
    [STYLE_BAD] = {COLOR_RED, A_BOLD, A_BOLD},
    [STYLE_USED] = {COLOR_BLUE, A_NORMAL, A_NORMAL},
    [STYLE_ACTIVE] = {COLOR_CYAN, A_NORMAL, A_NORMAL},
    [STYLE_ACTUAL] = {COLOR_GREEN, A_NORMAL, A_NORMAL},
    [STYLE_TARGET] = {COLOR_YELLOW, A_BOLD, A_BOLD},
};

static bool coloured;

/* See no-color.org: set to anything but nothing. */
static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR");

    return !(no && *no) && has_colors();
}

/* Not so a dumb terminal, on which all would come out one below the other. */
static bool can_place_cursor(void)
{
    const char *place = tigetstr("cup");

    return place && place != (const char *)-1;
}

int terminal_open(void)
{
    SCREEN *opened = newterm(NULL, stdout, stdin);

    if (!opened)
        return -1;
    set_term(opened);
    if (!can_place_cursor()) {
        endwin();
        delscreen(opened);
        return -1;
    }
    cbreak();
    noecho();
    nonl();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    set_escdelay(50); /* a lone Escape is a key of ours */
    coloured = wants_colour();
    if (coloured) {
        start_color();
        use_default_colors();
        for (int i = 0; i < STYLE_COUNT; i++)
            init_pair((short)(i + 1), looks[i].colour, -1);
    }
    return 0;
}

void terminal_close(void)
{
    endwin();
}

void terminal_size(int *columns, int *rows)
{
    getmaxyx(stdscr, *rows, *columns);
}

void terminal_redraw(void)
{
    clearok(stdscr, TRUE);
}

static attr_t attributes_of(uint8_t style, short *pair)
{
    unsigned which = style & (STYLE_CHOSEN - 1u);
    attr_t attributes;

    if (which >= STYLE_COUNT)
        which = STYLE_PLAIN;
    *pair = (short)(coloured ? which + 1 : 0);
    attributes = coloured ? looks[which].with : looks[which].without;
    return style & STYLE_CHOSEN ? attributes | A_REVERSE : attributes;
}

void terminal_draw(const struct screen *screen, int cursor)
{
    erase();
    for (int row = 0; row < screen->rows; row++) {
        for (int column = 0; column < screen->columns; column++) {
            const struct cell *cell =
                &screen->cells[(size_t)row * (size_t)screen->columns + (size_t)column];
            wchar_t text[2] = {(wchar_t)cell->sign, L'\0'};
            cchar_t wide;
            short pair;
            attr_t attributes = attributes_of(cell->style, &pair);

            if (!cell->sign)
                continue;
            setcchar(&wide, text, attributes, pair, NULL);
            mvadd_wch(row, column, &wide);
        }
    }
    curs_set(cursor >= 0 ? 1 : 0);
    move(screen->rows - 1, cursor >= 0 ? cursor : 0);
    refresh();
}

static uint32_t own_key(wint_t code)
{
    static const struct {
        wint_t code;
        uint32_t key;
    } known[] = {
        {KEY_UP, TOP_KEY_UP},         {KEY_DOWN, TOP_KEY_DOWN},
        {KEY_LEFT, TOP_KEY_LEFT},     {KEY_RIGHT, TOP_KEY_RIGHT},
        {KEY_PPAGE, TOP_KEY_PAGE_UP}, {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
        {KEY_HOME, TOP_KEY_HOME},     {KEY_END, TOP_KEY_END},
        {KEY_ENTER, TOP_KEY_ENTER},   {KEY_BACKSPACE, TOP_KEY_BACKSPACE},
        {KEY_DC, TOP_KEY_BACKSPACE},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (known[i].code == code)
            return known[i].key;
    return 0;
}

bool terminal_key(uint32_t *key)
{
    wint_t code;
    int kind = get_wch(&code);

    if (kind == ERR)
        return false;
    if (kind == KEY_CODE_YES)
        *key = own_key(code);
    else if (code == '\r' || code == '\n')
        *key = TOP_KEY_ENTER;
    else if (code == 27)
        *key = TOP_KEY_ESCAPE;
    else if (code == 8 || code == 127)
        *key = TOP_KEY_BACKSPACE;
    else
        *key = (uint32_t)code;
    return true;
}
