/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "past.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Rows that are asked for at a time, and that are taken at all. */
#define PAGE_ROWS 4096
#define ROWS_MOST ((size_t)4000000)

int past_open(const struct cli *cli, struct past *past, struct mc_error *err)
{
    const char *file = cli_option(cli, "store");

    *past = (struct past){0};
    if (file)
        return mc_store_open_to_read(file, &past->store, err);
    return mc_client_open(cli->socket, &past->client, err);
}

void past_close(struct past *past)
{
    mc_client_close(past->client);
    mc_store_close(past->store);
}

int past_ask(const struct past *past, json_t *args, json_t **result, struct mc_error *err)
{
    int rc;

    if (past->client)
        return mc_client_call(past->client, "history", args, result, err);
    rc = mc_history_answer(past->store, args, result, err);
    json_decref(args);
    return rc;
}

int past_window(const struct cli *cli, uint64_t otherwise_ms, int64_t *since_ms, int64_t *until_ms,
                struct mc_error *err)
{
    const char *since = cli_option(cli, "since"), *until = cli_option(cli, "until");
    int64_t now_ms = (int64_t)time(NULL) * 1000 + 1000;

    *until_ms = now_ms;
    if (until && cli_parse_when("--until", until, until_ms, err) < 0)
        return -EINVAL;
    *since_ms = *until_ms - (int64_t)otherwise_ms;
    if (since && cli_parse_when("--since", since, since_ms, err) < 0)
        return -EINVAL;
    if (*since_ms >= *until_ms)
        return mc_error_set(err, -EINVAL, "--since is not before %s", until ? "--until" : "now");
    return 0;
}

static int add_rows(struct series *series, const json_t *rows, struct mc_error *err)
{
    const json_t *row;
    size_t i;

    if (series->count + json_array_size(rows) > series->room) {
        size_t room = 2 * series->room + json_array_size(rows);
        struct mc_point *grown = reallocarray(series->points, room, sizeof(*grown));

        if (!grown || room > ROWS_MOST)
            return mc_error_set(err, -ENOMEM,
                                "too many rows; choose a shorter time or a coarser --tier");
        series->points = grown;
        series->room = room;
    }
    json_array_foreach ((json_t *)rows, i, row) {
        if (!mc_point_from_row(row, series->tier, &series->points[series->count]))
            return mc_error_set(err, -EPROTO, "memctld's answer is not understood; is it older?");
        series->count++;
    }
    return 0;
}

/* The first answer says which tier it is. */
static int note_tier(struct series *series, const json_t *page, struct mc_error *err)
{
    const char *name = json_text(page, "tier");

    for (series->tier = 0; series->tier < MC_TIER_COUNT; series->tier++)
        if (strcmp(name, mc_tier_name(series->tier)) == 0)
            return 0;
    return mc_error_set(err, -EPROTO, "memctld's answer is not understood; is it newer?");
}

int past_series(const struct past *past, const char *guest, const char *tier, int64_t since_ms,
                int64_t until_ms, struct series *series, struct mc_error *err)
{
    json_t *next = NULL;
    int rc = 0;

    *series = (struct series){0};
    do {
        json_t *page = NULL;
        json_t *args =
            json_pack("{s:s, s:s?, s:s?, s:I, s:I, s:i, s:O?}", "what", "points", "guest", guest,
                      "tier", tier, "since_ms", (json_int_t)since_ms, "until_ms",
                      (json_int_t)until_ms, "limit", PAGE_ROWS, "after", next);

        json_decref(next);
        next = NULL;
        rc = past_ask(past, args, &page, err);
        if (rc == 0)
            rc = note_tier(series, page, err);
        if (rc == 0)
            rc = add_rows(series, json_object_get(page, "rows"), err);
        if (rc == 0) {
            tier = mc_tier_name(series->tier);
            next = json_incref(json_object_get(page, "next"));
        }
        json_decref(page);
    } while (rc == 0 && json_is_array(next));
    json_decref(next);
    if (rc < 0)
        series_free(series);
    return rc;
}

void series_free(struct series *series)
{
    free(series->points);
    *series = (struct series){0};
}
