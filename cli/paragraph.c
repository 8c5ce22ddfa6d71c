/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "paragraph.h"

#include <string.h>

void paragraph_write(FILE *out, const char *label, int label_width, int width, const char *text)
{
    int column = fprintf(out, "%-*s", label_width, label);

    for (const char *word = text; *word;) {
        int length = (int)strcspn(word, " ");

        if (column > label_width && column + 1 + length > width)
            column = fprintf(out, "\n%*s", label_width, "") - 1;
        else if (column > label_width)
            column += fprintf(out, " ");
        column += fprintf(out, "%.*s", length, word);
        word += length + (word[length] == ' ');
    }
    fputc('\n', out);
}
