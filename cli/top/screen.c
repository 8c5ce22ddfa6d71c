/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "screen.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static const struct {
    uint32_t utf8;
    char ascii;
} glyphs[GLYPH_COUNT] = {
    [GLYPH_USED] = {0x2588, '#'}, [GLYPH_ACTIVE] = {0x2593, '='}, [GLYPH_ACTUAL] = {0x2591, '-'},
    [GLYPH_EMPTY] = {0xb7, '.'},  [GLYPH_TARGET] = {0x2502, '|'}, [GLYPH_LEVEL] = {0x2500, '_'},
    [GLYPH_UP] = {0x25b2, '+'},   [GLYPH_DOWN] = {0x25bc, '-'},   [GLYPH_CUT] = {0x2026, '~'},
};

int screen_init(struct screen *screen, int columns, int rows, bool utf8)
{
    size_t count = (size_t)columns * (size_t)rows;

    *screen = (struct screen){.columns = columns, .rows = rows, .utf8 = utf8};
    screen->cells = calloc(count ? count : 1, sizeof(*screen->cells));
    if (!screen->cells)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        screen->cells[i].sign = ' ';
    return 0;
}

void screen_free(struct screen *screen)
{
    free(screen->cells);
    screen->cells = NULL;
}

/* How many columns a sign takes; 0 for one that cannot be shown. */
static int width_of(const struct screen *screen, uint32_t sign)
{
    int width;

    if (sign >= ' ' && sign < 0x7f)
        return 1;
    if (!screen->utf8)
        return 0;
    if (sign >= 0x2580 && sign <= 0x259f)
        return 1; /* blocks, whatever the locale thinks of them */
    for (size_t i = 0; i < GLYPH_COUNT; i++)
        if (glyphs[i].utf8 == sign)
            return 1;
    width = wcwidth((wchar_t)sign);
    return width > 0 ? width : 0;
}

int screen_char(struct screen *screen, int row, int column, unsigned style, uint32_t sign)
{
    int width = width_of(screen, sign);
    struct cell *cell;

    if (!width) {
        width = 1;
        sign = '?';
    }
    if (row < 0 || row >= screen->rows || column < 0 || column + width > screen->columns)
        return 0;
    cell = &screen->cells[(size_t)row * (size_t)screen->columns + (size_t)column];
    cell[0] = (struct cell){sign, (uint8_t)style};
    if (width == 2)
        cell[1] = (struct cell){0, (uint8_t)style};
    return width;
}

int screen_put(struct screen *screen, int row, int column, unsigned style, enum glyph glyph)
{
    return screen_char(screen, row, column, style,
                       screen->utf8 ? glyphs[glyph].utf8 : (uint32_t)glyphs[glyph].ascii);
}

/* Take one sign off the text; what is no UTF-8 is U+FFFF, byte by byte. */
static uint32_t next_sign(const char **text)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *byte = (const unsigned char *)*text;
    unsigned more = *byte < 0x80 ? 0 : *byte < 0xc0 ? 9 : *byte < 0xe0 ? 1 : *byte < 0xf0 ? 2 : 3;
    uint32_t sign = more ? *byte & (0x3fu >> more) : *byte;

    ++*text;
    if (more > 3 || *byte > 0xf7)
        return 0xffff;
    for (unsigned i = 1; i <= more; i++) {
        if ((byte[i] & 0xc0) != 0x80)
            return 0xffff;
        sign = sign << 6 | (byte[i] & 0x3fu);
    }
    *text += more;
    return sign < least[more] || sign > 0x10ffff ? 0xffff : sign;
}

int screen_width_of(const struct screen *screen, const char *text)
{
    int columns = 0;

    while (*text) {
        int width = width_of(screen, next_sign(&text));

        columns += width ? width : 1;
    }
    return columns;
}

int screen_text(struct screen *screen, int row, int column, int room, unsigned style,
                const char *text)
{
    bool cut;
    int used = 0;

    room = room < screen->columns - column ? room : screen->columns - column;
    if (room <= 0)
        return 0;
    cut = screen_width_of(screen, text) > room;
    while (*text) {
        uint32_t sign = next_sign(&text);
        int width = width_of(screen, sign);

        if (used + (width ? width : 1) > room - cut)
            break;
        used += screen_char(screen, row, column + used, style, sign);
    }
    if (cut)
        used += screen_put(screen, row, column + used, style, GLYPH_CUT);
    return used;
}

int screen_format(struct screen *screen, int row, int column, int room, unsigned style,
                  const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return screen_text(screen, row, column, room, style, text);
}

void screen_mark_row(struct screen *screen, int row, unsigned flag)
{
    for (int i = 0; row >= 0 && row < screen->rows && i < screen->columns; i++) {
        struct cell *cell = &screen->cells[(size_t)row * (size_t)screen->columns + (size_t)i];

        cell->style = (uint8_t)(cell->style | flag);
    }
}

static void write_sign(uint32_t sign, FILE *out)
{
    if (sign < 0x80) {
        fputc((int)sign, out);
        return;
    }
    if (sign < 0x800) {
        fputc((int)(0xc0 | sign >> 6), out);
    } else if (sign < 0x10000) {
        fputc((int)(0xe0 | sign >> 12), out);
        fputc((int)(0x80 | (sign >> 6 & 0x3f)), out);
    } else {
        fputc((int)(0xf0 | sign >> 18), out);
        fputc((int)(0x80 | (sign >> 12 & 0x3f)), out);
        fputc((int)(0x80 | (sign >> 6 & 0x3f)), out);
    }
    fputc((int)(0x80 | (sign & 0x3f)), out);
}

void screen_write_row(const struct screen *screen, int row, FILE *out)
{
    const struct cell *cells = &screen->cells[(size_t)row * (size_t)screen->columns];
    int end = screen->columns;

    while (end && cells[end - 1].sign == ' ')
        end--;
    for (int i = 0; i < end; i++)
        if (cells[i].sign)
            write_sign(cells[i].sign, out);
}
