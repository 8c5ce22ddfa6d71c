/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who shares with whom, as a heat map: each cell is the part of the smaller guest's memory that the
 * other one has, too; on the diagonal, what is equal inside.
 */
#include "dedupe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "svg.h"

#define CELL 34
#define LABELS 150 /* room for names, left and above */
#define MARGIN 20
#define HEAD 64

struct row {
    const char *name, *uuid;
    uint64_t scanned, inside;
};

struct matrix {
    size_t count;
    struct row *rows;
    uint64_t *shared; /* count * count */
};

static size_t row_of(const struct matrix *matrix, const char *uuid)
{
    size_t i = 0;

    while (i < matrix->count && strcmp(matrix->rows[i].uuid, uuid) != 0)
        i++;
    return i;
}

static void take_rows(struct matrix *matrix, const json_t *guests)
{
    json_t *guest;
    size_t i;

    json_array_foreach (guests, i, guest) {
        if (strcmp(json_text(guest, "state"), "scanned") == 0)
            matrix->rows[matrix->count++] =
                (struct row){json_text(guest, "name"), json_text(guest, "uuid"),
                             json_size(guest, "scanned"), json_size(guest, "inside")};
    }
}

struct matrix *matrix_new(const json_t *report)
{
    size_t room = json_array_size(json_object_get(report, "guests")) + 1;
    struct matrix *matrix = calloc(1, sizeof(*matrix));
    json_t *pair;
    size_t i;

    if (!matrix)
        return NULL;
    matrix->rows = calloc(room, sizeof(*matrix->rows));
    matrix->shared = calloc(room * room, sizeof(*matrix->shared));
    if (!matrix->rows || !matrix->shared) {
        matrix_free(matrix);
        return NULL;
    }
    take_rows(matrix, json_object_get(report, "guests"));
    for (i = 0; i < matrix->count; i++)
        matrix->shared[i * matrix->count + i] = matrix->rows[i].inside;
    json_array_foreach (json_object_get(report, "pairs"), i, pair) {
        size_t a = row_of(matrix, json_text(pair, "a")), b = row_of(matrix, json_text(pair, "b"));

        if (a == matrix->count || b == matrix->count)
            continue;
        matrix->shared[a * matrix->count + b] = json_size(pair, "shared");
        matrix->shared[b * matrix->count + a] = json_size(pair, "shared");
    }
    return matrix;
}

void matrix_free(struct matrix *matrix)
{
    if (!matrix)
        return;
    free(matrix->rows);
    free(matrix->shared);
    free(matrix);
}

static double heat(const struct matrix *matrix, size_t a, size_t b)
{
    uint64_t whole = mc_min_u64(matrix->rows[a].scanned, matrix->rows[b].scanned);

    if (!whole)
        return 0;
    /* An estimate can be above the whole. */
    return (double)mc_min_u64(matrix->shared[a * matrix->count + b], whole) / (double)whole;
}

/* ---- in the terminal ---- */

/* From the terminal's 256 colours: the darker the hotter. */
static int shade(double part)
{
    static const int ramp[] = {195, 159, 123, 87, 51, 45, 39, 33, 27, 21};
    int step = (int)(part * 10);

    return ramp[step > 9 ? 9 : step];
}

static void print_cell(double part, bool colours)
{
    if (part < 0.005)
        printf("%5s", ".");
    else if (colours)
        printf("\033[48;5;%d;38;5;%dm%4.0f%%\033[0m", shade(part), part > 0.5 ? 231 : 16,
               100 * part);
    else
        printf("%4.0f%%", 100 * part);
}

void matrix_print(const struct matrix *matrix)
{
    bool colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");

    printf("%4s %-16s", "", "");
    for (size_t b = 0; b < matrix->count; b++)
        printf("%5zu", b + 1);
    putchar('\n');
    for (size_t a = 0; a < matrix->count; a++) {
        printf("%4zu %-16.16s", a + 1, matrix->rows[a].name);
        for (size_t b = 0; b < matrix->count; b++)
            print_cell(heat(matrix, a, b), colours);
        putchar('\n');
    }
    puts("part of the smaller guest that the other one has, too; on the diagonal, equal inside");
}

/* ---- as a picture ---- */

static const char style[] =
    "<style>\n"
    "svg{background:#fff;font:12px system-ui,'DejaVu Sans',sans-serif}\n"
    "text{fill:#1f2328}.title{font-size:17px;font-weight:600}.quiet{fill:#59636e}\n"
    ".cell{stroke:#d8dee4;stroke-width:.5}.on{fill:#fff}\n"
    "@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}\n"
    ".quiet{fill:#9198a1}.cell{stroke:#2a313a}}\n"
    "</style>\n";

static void plot_labels(FILE *file, const struct matrix *matrix)
{
    for (size_t i = 0; i < matrix->count; i++) {
        double middle = MARGIN + LABELS + ((double)i + .5) * CELL;

        fprintf(file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", MARGIN + LABELS - 6,
                middle + HEAD + 4);
        svg_escaped(file, matrix->rows[i].name);
        fprintf(file, "</text>\n<text transform=\"translate(%.1f %d) rotate(-60)\">", middle + 4,
                MARGIN + LABELS + HEAD - 6);
        svg_escaped(file, matrix->rows[i].name);
        fputs("</text>\n", file);
    }
}

/* One blue whose strength is the part, on light and on dark alike. */
static void plot_cells(FILE *file, const struct matrix *matrix)
{
    for (size_t a = 0; a < matrix->count; a++) {
        for (size_t b = 0; b < matrix->count; b++) {
            double part = heat(matrix, a, b);
            double x = MARGIN + LABELS + (double)b * CELL;
            double y = MARGIN + LABELS + HEAD + (double)a * CELL;

            fprintf(file,
                    "<rect class=\"cell\" x=\"%.0f\" y=\"%.0f\" width=\"%d\" height=\"%d\" "
                    "fill=\"#0a4fb5\" fill-opacity=\"%.3f\"/>\n",
                    x, y, CELL, CELL, part);
            if (part >= 0.005)
                fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\"%s>%.0f</text>\n",
                        x + CELL / 2.0, y + CELL / 2.0 + 4, part > 0.5 ? " class=\"on\"" : "",
                        100 * part);
        }
    }
}

int matrix_plot(const struct matrix *matrix, const char *path)
{
    size_t side = 2 * MARGIN + LABELS + matrix->count * CELL;
    FILE *file = fopen(path, "we");
    struct mc_error err;

    if (!file) {
        mc_error_set(&err, -errno, "%s cannot be written: %s", path, strerror(errno));
        return cli_fail(&err);
    }
    fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %zu %zu\">\n%s",
            side < 520 ? 520 : side, side + HEAD, style);
    fprintf(file,
            "<text class=\"title\" x=\"%d\" y=\"%d\">Who shares pages with whom</text>\n"
            "<text class=\"quiet\" x=\"%d\" y=\"%d\">per cent of the smaller guest's memory; on "
            "the diagonal, equal inside the guest</text>\n",
            MARGIN, MARGIN + 14, MARGIN, MARGIN + 34);
    plot_labels(file, matrix);
    plot_cells(file, matrix);
    fputs("</svg>\n", file);
    if (ferror(file) | (fclose(file) != 0)) {
        mc_error_set(&err, -EIO, "%s could not be written whole", path);
        return cli_fail(&err);
    }
    return EXIT_OK;
}
