/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What could be added, from what was used. The sum of all guests was measured at every moment, so
 * that it is known how seldom they all need much at once; a sum of every guest's own peak would
 * say that there is no room where there is plenty.
 */
#include <memctl/past.h>

#include <errno.h>
#include <stdlib.h>

/* A guest of which less is known is not judged. */
#define JUDGED_AFTER_MS (UINT64_C(2) * 3600000)

/* Memory that would do: what was used at the most, and a quarter. */
#define SPARE_PART 4

/* It is too big if it could do with this part of its memory and that much less. */
#define TOO_BIG_PERCENT 70
#define TOO_BIG_LEAST (512 * MC_MIB)

/* And too small if it used this part of what it may have for more than a hundredth of the time. */
#define TOO_SMALL_PERCENT 90

struct weighed {
    uint64_t value, span_ms;
};

struct sample {
    struct weighed *list;
    size_t count;
    uint64_t span_ms;
};

static int compare(const void *a, const void *b)
{
    uint64_t x = ((const struct weighed *)a)->value, y = ((const struct weighed *)b)->value;

    return x < y ? -1 : x > y;
}

/* How long a row counts: a raw one until the next. */
static uint64_t span_of(const struct mc_point *points, size_t count, size_t i)
{
    uint64_t most_ms = mc_tier_span_ms(MC_TIER_RAW);

    if (points[i].tier != MC_TIER_RAW)
        return points[i].span_ms;
    if (i + 1 < count && points[i + 1].at_ms >= points[i].at_ms)
        return mc_min_u64(most_ms, (uint64_t)(points[i + 1].at_ms - points[i].at_ms));
    return most_ms;
}

/* The most of a value in each row, sorted. */
static int take_sample(const struct mc_point *points, size_t count, enum mc_value value,
                       struct sample *sample)
{
    *sample = (struct sample){.list = calloc(count + 1, sizeof(*sample->list))};
    if (!sample->list)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        uint64_t span_ms = span_of(points, count, i);

        if (points[i].values[value].high == MC_UNKNOWN || !span_ms)
            continue;
        sample->list[sample->count++] = (struct weighed){points[i].values[value].high, span_ms};
        sample->span_ms += span_ms;
    }
    qsort(sample->list, sample->count, sizeof(*sample->list), compare);
    return 0;
}

/* The least value that was not exceeded for longer than this part of the time, in millionths. */
static uint64_t exceeded_for(const struct sample *sample, unsigned millionths)
{
    unsigned __int128 allowed = (unsigned __int128)sample->span_ms * millionths / 1000000;
    unsigned __int128 above = 0;

    for (size_t i = sample->count; i-- > 0;) {
        above += sample->list[i].span_ms;
        if (above > allowed)
            return sample->list[i].value;
    }
    return sample->count ? sample->list[0].value : MC_UNKNOWN;
}

static uint64_t round_up(uint64_t bytes)
{
    uint64_t step = bytes > 8 * MC_GIB ? MC_GIB : 256 * MC_MIB;

    return (bytes + step - 1) / step * step;
}

static void judge(struct mc_capacity_guest *guest, const struct mc_shape *shape)
{
    uint64_t limit = shape->exempt == MC_EXEMPT_NO ? shape->terms.max : shape->memory;
    uint64_t would_do;

    guest->fit = guest->known_ms < JUDGED_AFTER_MS ? MC_FIT_UNKNOWN : MC_FIT_GOOD;
    if (guest->fit == MC_FIT_UNKNOWN)
        return;
    would_do = round_up(guest->most + guest->most / SPARE_PART);
    if (guest->p99 >= limit / 100 * TOO_SMALL_PERCENT)
        guest->fit = MC_FIT_TOO_SMALL;
    else if (would_do <= shape->memory / 100 * TOO_BIG_PERCENT &&
             shape->memory - would_do >= TOO_BIG_LEAST)
        guest->fit = MC_FIT_TOO_BIG;
    if (guest->fit != MC_FIT_GOOD)
        guest->suggested = would_do;
}

static int look_at_guest(const struct mc_past_guest *past, struct mc_capacity_guest *guest)
{
    struct sample sample;

    if (take_sample(past->points, past->count, MC_VALUE_USED, &sample) < 0)
        return -ENOMEM;
    *guest = (struct mc_capacity_guest){
        .known_ms = sample.span_ms,
        .median = exceeded_for(&sample, 500000),
        .p99 = exceeded_for(&sample, 10000),
        .most = exceeded_for(&sample, 0),
    };
    free(sample.list);
    judge(guest, &past->shape);
    return 0;
}

/* Of a managed guest that is still there at the end. */
static bool is_there(const struct mc_past *past, const struct mc_past_guest *guest)
{
    int64_t slack_ms = 2 * (int64_t)mc_tier_span_ms(past->tier) + 60000;

    return guest->count && guest->shape.exempt == MC_EXEMPT_NO &&
           guest->points[guest->count - 1].at_ms + slack_ms >=
               past->host[past->host_count - 1].at_ms;
}

static void make_rooms(struct mc_capacity *capacity, const struct sample *used)
{
    static const unsigned risks[MC_ROOM_RISKS] = {0, 1000, 10000, 100000};
    /* What these use of their memory in a busy hour. */
    uint64_t busy = exceeded_for(used, 10000);

    for (size_t i = 0; i < MC_ROOM_RISKS; i++) {
        struct mc_room *room = &capacity->rooms[i];

        room->risk = risks[i];
        room->used = mc_less_u64(capacity->strict, exceeded_for(used, risks[i]));
        room->memory =
            busy ? (uint64_t)((unsigned __int128)room->used * capacity->memory / busy) : 0;
    }
}

static int look_at_host(const struct mc_past *past, struct mc_capacity *capacity)
{
    const struct mc_point *last = &past->host[past->host_count - 1];
    struct sample used = {0}, active = {0}, held = {0};
    int rc = take_sample(past->host, past->host_count, MC_VALUE_USED, &used);

    if (rc == 0)
        rc = take_sample(past->host, past->host_count, MC_VALUE_ACTIVE, &active);
    if (rc == 0)
        rc = take_sample(past->host, past->host_count, MC_VALUE_HELD, &held);
    if (rc == 0) {
        capacity->known_ms = used.span_ms;
        capacity->strict = last->values[MC_VALUE_STRICT].avg;
        capacity->promised = last->values[MC_VALUE_PROMISED].avg;
        capacity->divided = last->values[MC_VALUE_DIVIDED].avg;
        capacity->used_median = exceeded_for(&used, 500000);
        capacity->used_p99 = exceeded_for(&used, 10000);
        capacity->used_most = exceeded_for(&used, 0);
        capacity->active_median = exceeded_for(&active, 500000);
        capacity->held_most = exceeded_for(&held, 0);
        capacity->reservable = mc_less_u64(capacity->strict, capacity->reserved);
        make_rooms(capacity, &used);
    }
    free(used.list);
    free(active.list);
    free(held.list);
    return rc;
}

int mc_capacity(const struct mc_past *past, struct mc_capacity *capacity, struct mc_error *err)
{
    int rc = 0;

    *capacity = (struct mc_capacity){0};
    if (!past->host_count ||
        past->host[past->host_count - 1].values[MC_VALUE_STRICT].avg == MC_UNKNOWN)
        return mc_error_set(err, -ENODATA, "nothing was kept of the host in that time");
    capacity->guests = calloc(past->count + 1, sizeof(*capacity->guests));
    if (!capacity->guests)
        rc = -ENOMEM;
    for (size_t i = 0; rc == 0 && i < past->count; i++) {
        rc = look_at_guest(&past->guests[i], &capacity->guests[i]);
        if (!is_there(past, &past->guests[i]))
            continue;
        capacity->memory += past->guests[i].shape.memory;
        capacity->reserved += past->guests[i].shape.terms.min;
    }
    if (rc == 0)
        rc = look_at_host(past, capacity);
    if (rc < 0) {
        mc_capacity_free(capacity);
        return mc_error_set(err, rc, "out of memory");
    }
    return 0;
}

void mc_capacity_free(struct mc_capacity *capacity)
{
    free(capacity->guests);
    *capacity = (struct mc_capacity){0};
}
