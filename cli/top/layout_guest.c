/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One guest: its settings, how it fared, and what `memctl explain` says. */
#include "layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

#include "cli.h"
#include "explain.h"

#define TEXT_WIDTH_MAX 100
#define TEXT_WIDTH_MIN 30

static void draw_title(const struct top *top, struct screen *screen, int row,
                       const struct top_guest *guest)
{
    char shares[48], bounds[64], place[32];

    snprintf(shares, sizeof(shares), "shares %llu", (unsigned long long)guest->shares);
    snprintf(bounds, sizeof(bounds), "min %s  max %s", cli_size(guest->json, "min"),
             cli_size(guest->json, "max"));
    snprintf(place, sizeof(place), "%zu of %zu", top_chosen(top) + 1, top->count);
    layout_pieces(screen, row, 0, "  ",
                  (struct piece[]){{guest->name, STYLE_BOLD},
                                   {json_text(guest->json, "state"), STYLE_PLAIN},
                                   {shares, STYLE_PLAIN},
                                   {bounds, STYLE_PLAIN},
                                   {place, STYLE_DIM},
                                   {0}});
}

static void draw_sizes(struct screen *screen, int row, const struct top_guest *guest)
{
    char used[48], active[48], actual[48], target[48], saving[64] = "", size[MC_SIZE_TEXT];

    snprintf(actual, sizeof(actual), "actual %s", cli_size(guest->json, "actual"));
    snprintf(used, sizeof(used), "used %s", cli_size(guest->json, "used"));
    snprintf(active, sizeof(active), "active %s", cli_size(guest->json, "active"));
    snprintf(target, sizeof(target), "target %s (%s)",
             cli_size(json_object_get(guest->json, "plan"), "target"), guest->why);
    if (guest->saving != MC_UNKNOWN)
        snprintf(saving, sizeof(saving), "merging would save %s",
                 mc_size_format(size, guest->saving));
    if (guest->saved != MC_UNKNOWN)
        snprintf(saving, sizeof(saving), "merging saves %s", mc_size_format(size, guest->saved));
    layout_pieces(screen, row, 0, "  ",
                  (struct piece[]){{actual, STYLE_PLAIN},
                                   {used, STYLE_PLAIN},
                                   {target, STYLE_PLAIN},
                                   {active, STYLE_PLAIN},
                                   {saving, STYLE_PLAIN},
                                   {0}});
}

/* The course, or where there is no room for one only the present. Returns the rows it took. */
static int draw_course(const struct top *top, struct screen *screen, int row,
                       const struct top_guest *guest, struct layout *layout)
{
    int height = screen->rows >= 30 ? 9 : screen->rows >= 20 ? 6 : 1;

    if (height == 1)
        bar_draw(screen, row, 0, screen->columns, 0,
                 &(struct bar){guest->max, guest->max, guest->used, guest->active, guest->actual,
                               guest->target});
    else
        layout_chart(top, screen, row, height, guest, layout);
    return height;
}

/* The explanation as text of this width, to be freed; NULL when out of memory. */
static char *explain(const json_t *explained, int width)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    explain_write(out, width, explained);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* Lines from `scroll` on in the rows that there are. Returns how many lines there are. */
static size_t draw_lines(struct screen *screen, int row, size_t rows, size_t scroll, char *text)
{
    size_t count = 0;
    char *rest = text;

    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        if (!rest && !*line)
            break; /* behind the last newline */
        if (count >= scroll && count - scroll < rows)
            screen_text(screen, row + (int)(count - scroll), 0, screen->columns, STYLE_PLAIN, line);
        count++;
    }
    return count;
}

static void draw_explanation(const struct top *top, struct screen *screen, int row,
                             struct layout *layout)
{
    size_t rows = row < screen->rows - 1 ? (size_t)(screen->rows - 1 - row) : 0, lines, skip;
    int width = screen->columns < TEXT_WIDTH_MAX ? screen->columns - 1 : TEXT_WIDTH_MAX;
    char *text, *body;

    if (!top->explained) {
        screen_text(screen, row, 0, screen->columns, STYLE_DIM, "asking memctld");
        return;
    }
    text = explain(top->explained, width > TEXT_WIDTH_MIN ? width : TEXT_WIDTH_MIN);
    if (!text)
        return;
    body = strchr(text, '\n'); /* the first line says what the title said */
    body = body ? body + 1 : text;
    lines = 1;
    for (const char *c = body; *c; c++)
        lines += *c == '\n' && c[1];
    layout->page_rows = rows ? rows : 1;
    layout->scroll_max = lines > rows ? lines - rows : 0;
    if (lines + 1 < rows)
        layout_events(top, screen, row + (int)lines + 1, (int)(rows - lines) - 1, top->chosen);
    skip = top->scroll < layout->scroll_max ? top->scroll : layout->scroll_max;
    draw_lines(screen, row, rows, skip, body);
    if (skip < layout->scroll_max)
        screen_put(screen, screen->rows - 2, screen->columns - 1, STYLE_BOLD, GLYPH_DOWN);
    free(text);
}

void layout_guest(const struct top *top, struct screen *screen, struct layout *layout)
{
    size_t chosen = top_chosen(top);
    int row = 0;

    if (chosen == top->count) {
        screen_text(screen, 0, 0, screen->columns, STYLE_DIM, "this guest runs no more");
        return;
    }
    draw_title(top, screen, row++, &top->guests[chosen]);
    draw_sizes(screen, row++, &top->guests[chosen]);
    if (*top->lost)
        row += layout_paragraph(screen, row, screen->rows / 4, STYLE_BAD, top->lost, true);
    row += draw_course(top, screen, row, &top->guests[chosen], layout);
    draw_explanation(top, screen, row, layout);
}
