/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_points(const void *a, const void *b)
{
    const struct mc_point *x = a, *y = b;
    int order = strcmp(x->uuid, y->uuid);

    return order ? order : (x->at_ms > y->at_ms) - (x->at_ms < y->at_ms);
}

static enum mc_exempt exempt_named(const char *name)
{
    for (enum mc_exempt exempt = 0; exempt < MC_EXEMPT_COUNT; exempt++)
        if (strcmp(mc_exempt_name(exempt), name) == 0)
            return exempt;
    return MC_EXEMPT_UNMANAGED;
}

static struct mc_shape shape_from(const json_t *object)
{
    struct mc_shape shape = {
        .at_ms = json_integer_value(json_object_get(object, "at_ms")),
        .memory = (uint64_t)json_integer_value(json_object_get(object, "memory")),
        .terms = {.shares = (uint64_t)json_integer_value(json_object_get(object, "shares")),
                  .min = (uint64_t)json_integer_value(json_object_get(object, "min")),
                  .max = (uint64_t)json_integer_value(json_object_get(object, "max")),
                  .managed = json_is_true(json_object_get(object, "managed"))},
        .exempt = exempt_named(json_text(object, "exempt")),
    };

    snprintf(shape.uuid, sizeof(shape.uuid), "%s", json_text(object, "uuid"));
    snprintf(shape.name, sizeof(shape.name), "%s", json_text(object, "name"));
    return shape;
}

/* The rows of one guest stand together. */
static void give_rows(struct mc_past_guest *guest, const struct series *series)
{
    size_t low = 0, high = series->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(series->points[middle].uuid, guest->shape.uuid) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    guest->points = series->points + low;
    while (low + guest->count < series->count &&
           strcmp(series->points[low + guest->count].uuid, guest->shape.uuid) == 0)
        guest->count++;
}

/* Of several shapes of a guest the last one counts. */
static int take_guests(const json_t *list, struct gathered *gathered, struct mc_error *err)
{
    struct mc_past *past = &gathered->past;
    const json_t *object;
    size_t i;

    past->guests = calloc(json_array_size(list) + 1, sizeof(*past->guests));
    if (!past->guests)
        return mc_error_set(err, -ENOMEM, "out of memory");
    json_array_foreach ((json_t *)list, i, object) {
        struct mc_shape shape = shape_from(object);
        struct mc_past_guest *last = past->count ? &past->guests[past->count - 1] : NULL;

        if (last && strcmp(last->shape.uuid, shape.uuid) == 0)
            last->shape = shape;
        else
            past->guests[past->count++].shape = shape;
    }
    for (i = 0; i < past->count; i++)
        give_rows(&past->guests[i], &gathered->guests);
    return 0;
}

static int ask_guests(const struct past *source, struct gathered *gathered, struct mc_error *err)
{
    json_t *answer;
    int rc = past_ask(source,
                      json_pack("{s:s, s:I, s:I}", "what", "guests", "since_ms",
                                (json_int_t)gathered->past.since_ms, "until_ms",
                                (json_int_t)gathered->past.until_ms),
                      &answer, err);

    if (rc < 0)
        return rc;
    rc = take_guests(json_object_get(answer, "guests"), gathered, err);
    json_decref(answer);
    return rc;
}

static int ask_engine(const struct past *source, struct gathered *gathered, struct mc_error *err)
{
    json_t *answer;
    int rc = past_ask(source, json_pack("{s:s}", "what", "engine"), &answer, err);

    if (rc < 0)
        return rc;
    gathered->engine = json_incref(json_object_get(answer, "engine"));
    gathered->past.engine = json_is_object(gathered->engine) ? gathered->engine : NULL;
    json_decref(answer);
    return 0;
}

/* A week of the host in minutes is 10,000 rows; of all its guests it would be many more. */
#define HOST_MINUTES_MS (INT64_C(8) * 86400000)

static int ask_rows(const struct past *source, const char *tier, struct gathered *gathered,
                    struct mc_error *err)
{
    int64_t since_ms = gathered->past.since_ms, until_ms = gathered->past.until_ms;
    struct series *host = &gathered->host, *guests = &gathered->guests;
    int rc = past_series(source, NULL, tier, since_ms, until_ms, guests, err);

    if (rc < 0)
        return rc;
    if (!tier && guests->tier == MC_TIER_HOUR && until_ms - since_ms <= HOST_MINUTES_MS)
        rc = past_series(source, "host", "minute", since_ms, until_ms, host, err);
    if (rc == 0 && !host->count)
        rc = past_series(source, "host", mc_tier_name(guests->tier), since_ms, until_ms, host, err);
    if (rc == 0 && !host->count)
        rc = mc_error_set(err, -ENODATA, "nothing was kept in that time");
    return rc;
}

int gather(const struct past *source, const char *tier, int64_t since_ms, int64_t until_ms,
           struct gathered *gathered, struct mc_error *err)
{
    struct mc_past *past = &gathered->past;
    int rc;

    *gathered = (struct gathered){.past = {.since_ms = since_ms, .until_ms = until_ms}};
    rc = ask_rows(source, tier, gathered, err);
    if (rc == 0) {
        past->tier = gathered->guests.tier;
        past->host = gathered->host.points;
        past->host_count = gathered->host.count;
        /* A history that is younger than what was asked for begins when it begins. */
        if (past->host[0].at_ms > past->since_ms)
            past->since_ms = past->host[0].at_ms;
        qsort(gathered->guests.points, gathered->guests.count, sizeof(struct mc_point),
              compare_points);
        rc = ask_guests(source, gathered, err);
    }
    if (rc == 0)
        rc = ask_engine(source, gathered, err);
    if (rc < 0)
        gathered_free(gathered);
    return rc;
}

void gathered_free(struct gathered *gathered)
{
    free(gathered->past.guests);
    series_free(&gathered->host);
    series_free(&gathered->guests);
    json_decref(gathered->engine);
    *gathered = (struct gathered){0};
}

const struct mc_past_guest *gathered_find(const struct gathered *gathered, const char *name)
{
    const struct mc_past *past = &gathered->past;

    for (size_t i = 0; i < past->count; i++)
        if (strcmp(past->guests[i].shape.name, name) == 0 ||
            strcmp(past->guests[i].shape.uuid, name) == 0)
            return &past->guests[i];
    return NULL;
}

int gather_run(const struct cli *cli, const struct command *command, int argc,
               uint64_t otherwise_ms,
               int (*show)(const struct cli *cli, const struct past *past, int64_t since_ms,
                           int64_t until_ms, struct mc_error *err))
{
    int64_t since_ms, until_ms;
    struct past past;
    struct mc_error err;
    int rc;

    if (argc)
        return cli_usage(command, "takes no argument; see --help");
    if (past_window(cli, otherwise_ms, &since_ms, &until_ms, &err) < 0)
        return cli_usage(command, "%s", err.text);
    rc = past_open(cli, &past, &err);
    if (rc == 0) {
        rc = show(cli, &past, since_ms, until_ms, &err);
        past_close(&past);
    }
    if (rc == -EINVAL)
        return cli_usage(command, "%s", err.text);
    return rc < 0 ? cli_fail(&err) : EXIT_OK;
}
