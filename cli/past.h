/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions about the history: to the daemon, or with --store FILE to the file itself. */
#ifndef MEMCTL_CLI_PAST_H
#define MEMCTL_CLI_PAST_H

#include "cli.h"

#include <memctl/store.h>

struct past {
    struct mc_client *client;
    struct mc_store *store; /* one of the two */
};

/* The option that commands with a past have. */
#define PAST_OPTION                                                                                \
    {                                                                                              \
        "store", "FILE", "read the history's file instead of asking memctld"                       \
    }

int past_open(const struct cli *cli, struct past *past, struct mc_error *err);
void past_close(struct past *past);

/* One question, as the verb history takes it; takes over args. The result is a new reference. */
int past_ask(const struct past *past, json_t *args, json_t **result, struct mc_error *err);

/* --since and --until, with `otherwise` before now as the beginning. */
int past_window(const struct cli *cli, uint64_t otherwise_ms, int64_t *since_ms, int64_t *until_ms,
                struct mc_error *err);

/* Rows of one guest, or of all; the host's are those of "host". Start from {0}. */
struct series {
    enum mc_tier tier;
    struct mc_point *points;
    size_t count, room;
};

/* All pages of it. tier NULL: what fits best. guest NULL: all guests. */
int past_series(const struct past *past, const char *guest, const char *tier, int64_t since_ms,
                int64_t until_ms, struct series *series, struct mc_error *err);
void series_free(struct series *series);

/* How long a row counts: a raw one until the next of the same guest, which the caller knows. */
static inline int64_t series_end(const struct series *series, size_t i)
{
    int64_t end = series->points[i].at_ms + (int64_t)mc_tier_span_ms(series->tier);

    if (series->tier == MC_TIER_RAW && i + 1 < series->count && series->points[i + 1].at_ms < end)
        return series->points[i + 1].at_ms;
    return end;
}

#endif
