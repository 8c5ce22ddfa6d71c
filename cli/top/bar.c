/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "layout.h"

#include <memctl/units.h>

/* How many of so many cells a size fills, rounded to the nearest. */
static int cells_of(uint64_t size, uint64_t whole, int cells)
{
    if (size == MC_UNKNOWN || !whole)
        return 0;
    if (size >= whole)
        return cells;
    return (int)((double)size / (double)whole * cells + 0.5);
}

/* The cell that a mark at this size stands in: the last one that it fills. */
static int mark_of(uint64_t size, uint64_t whole, int cells)
{
    int filled = cells_of(size, whole, cells);

    return size == MC_UNKNOWN ? -1 : filled ? filled - 1 : 0;
}

void bar_draw(struct screen *screen, int row, int column, int width, unsigned flag,
              const struct bar *bar)
{
    int used = cells_of(bar->used, bar->whole, width);
    int active = cells_of(bar->active, bar->whole, width);
    int actual = cells_of(bar->actual, bar->whole, width);
    int most = cells_of(bar->most, bar->whole, width);
    int target = mark_of(bar->target, bar->whole, width);

    for (int i = 0; i < width; i++) {
        if (i == target)
            screen_put(screen, row, column + i, flag | STYLE_TARGET, GLYPH_TARGET);
        else if (i < used && i < actual)
            screen_put(screen, row, column + i, flag | STYLE_USED, GLYPH_USED);
        else if (i < active && i < actual)
            screen_put(screen, row, column + i, flag | STYLE_ACTIVE, GLYPH_ACTIVE);
        else if (i < actual)
            screen_put(screen, row, column + i, flag | STYLE_ACTUAL, GLYPH_ACTUAL);
        else if (i < most)
            screen_put(screen, row, column + i, flag | STYLE_DIM, GLYPH_EMPTY);
    }
}

static uint64_t bytes_of(uint32_t mib)
{
    return mib == UINT32_MAX ? MC_UNKNOWN : mib * MC_MIB;
}

/* A cell that is filled from below, by so many eighths. ASCII has no such signs: half is all. */
static void draw_part(struct screen *screen, int row, int column, int eighths, bool lowest)
{
    if (eighths >= 8)
        screen_put(screen, row, column, STYLE_USED, GLYPH_USED);
    else if (screen->utf8)
        screen_char(screen, row, column, STYLE_USED, 0x2580 + (uint32_t)eighths);
    else
        screen_put(screen, row, column, eighths >= 4 || lowest ? STYLE_USED : STYLE_ACTUAL,
                   eighths >= 4 || lowest ? GLYPH_USED : GLYPH_ACTUAL);
}

/* One moment, from the lowest row up. */
static void draw_sample(struct screen *screen, int row, int column, int rows,
                        const struct sample *sample, uint64_t whole)
{
    int eighths = cells_of(bytes_of(sample->used), whole, rows * 8);
    int actual = cells_of(bytes_of(sample->actual), whole, rows);
    int target = mark_of(bytes_of(sample->target), whole, rows);

    for (int level = 0; level < rows; level++) {
        int at = row + rows - 1 - level;

        if (eighths > level * 8)
            draw_part(screen, at, column, eighths - level * 8, level == 0);
        else if (level == target && level != actual - 1)
            screen_put(screen, at, column, STYLE_TARGET, GLYPH_LEVEL);
        else if (level < actual)
            screen_put(screen, at, column, STYLE_ACTUAL, GLYPH_ACTUAL);
    }
}

void bar_course(struct screen *screen, int row, int column, int width, int rows,
                const struct sample *samples, uint64_t whole)
{
    for (int i = 0; i < width; i++)
        draw_sample(screen, row, column + i, rows, &samples[i], whole);
}
