/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `memctl history` makes of a series: lines for the terminal, CSV, JSON, a picture. */
#ifndef MEMCTL_CLI_HISTORY_H
#define MEMCTL_CLI_HISTORY_H

#include <stdio.h>

#include "past.h"

struct history {
    const char *guest; /* as it was asked for; "host" for the host */
    bool of_host;
    int64_t since_ms, until_ms;
    struct series series;
    uint64_t memory; /* of the guest, or of the host; 0 if unknown */
};

/* Rows of a history that hold something of the time from..to, first <= i < end. */
void history_span(const struct history *history, int64_t from_ms, int64_t to_ms, size_t *first,
                  size_t *end);

void history_print(const struct history *history);
void history_print_csv(const struct history *history);
json_t *history_to_json(const struct history *history);
void history_draw(FILE *file, const struct history *history);

#endif
