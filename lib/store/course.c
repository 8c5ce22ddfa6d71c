/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a guest, or the host, fared at even steps of time, as a chart wants it: of each step the mean
 * over that part of it in which something was known.
 *
 * One tier has rows of about the right length. Its youngest rows are still to be made (an hour has
 * to be over for its row), and its oldest may be gone: what lies behind its last row comes from the
 * finer tiers, what lies before its first one from the coarser ones.
 */
#include <memctl/store.h>

#include <errno.h>
#include <stdlib.h>

struct sum {
    unsigned __int128 weighed; /* value * ms */
    uint64_t span_ms;
};

struct reading {
    struct mc_course *course;
    struct sum *sums; /* as course->values */
    int64_t from_ms, to_ms;
    enum mc_tier tier;
    struct mc_point last; /* raw: counts until the next one comes */
    bool has_last;
    int64_t begin_ms, end_ms; /* what the rows of this tier reach over; end 0: there is none */
};

static struct sum *sum_at(const struct reading *reading, size_t value, size_t step)
{
    return &reading->sums[value * reading->course->count + step];
}

/* Add what the row says of [from, to), which may lie in several steps. */
static void add_piece(const struct reading *reading, const struct mc_point *point, int64_t from_ms,
                      int64_t to_ms)
{
    const struct mc_course *course = reading->course;

    while (from_ms < to_ms) {
        size_t step = (size_t)(from_ms - course->first_ms) / course->step_ms;
        int64_t end_ms = course->first_ms + (int64_t)((step + 1) * course->step_ms);
        uint64_t span_ms = (uint64_t)((end_ms < to_ms ? end_ms : to_ms) - from_ms);

        for (size_t i = 0; step < course->count && i < course->columns; i++) {
            struct sum *sum = sum_at(reading, i, step);

            if (point->values[i].avg == MC_UNKNOWN)
                continue;
            sum->weighed += (unsigned __int128)point->values[i].avg * span_ms;
            sum->span_ms += span_ms;
        }
        from_ms = end_ms;
    }
}

static void add_span(struct reading *reading, const struct mc_point *point, int64_t until_ms)
{
    int64_t from_ms = point->at_ms > reading->from_ms ? point->at_ms : reading->from_ms;
    int64_t to_ms = until_ms < reading->to_ms ? until_ms : reading->to_ms;

    if (from_ms >= to_ms)
        return;
    if (!reading->end_ms)
        reading->begin_ms = from_ms;
    reading->end_ms = to_ms;
    add_piece(reading, point, from_ms, to_ms);
}

/* A raw row counts until the next one, but not for ever. */
static void end_last(struct reading *reading, int64_t next_ms)
{
    int64_t holds_ms = reading->last.at_ms + MC_RAW_HOLDS_MS;

    if (reading->has_last)
        add_span(reading, &reading->last, next_ms < holds_ms ? next_ms : holds_ms);
    reading->has_last = false;
}

static bool add_row(void *opaque, int64_t id, const struct mc_point *point)
{
    struct reading *reading = opaque;

    (void)id;
    if (reading->tier != MC_TIER_RAW) {
        add_span(reading, point, point->at_ms + (int64_t)mc_tier_span_ms(reading->tier));
        return true;
    }
    end_last(reading, point->at_ms);
    reading->last = *point;
    reading->has_last = true;
    return true;
}

/* The rows of one tier between two moments. */
static int read_tier(struct mc_store *store, const char *guest, struct reading *reading,
                     enum mc_tier tier, int64_t from_ms, int64_t to_ms, struct mc_error *err)
{
    /* A row from before that moment may reach beyond it. */
    int64_t since_ms = from_ms - (int64_t)mc_tier_span_ms(tier);
    struct mc_store_query query = {
        .guest = guest, .tier = tier, .since_ms = since_ms > 0 ? since_ms : 0, .until_ms = to_ms};
    int rc;

    reading->tier = tier;
    reading->from_ms = from_ms;
    reading->to_ms = to_ms;
    reading->begin_ms = reading->end_ms = 0;
    rc = mc_store_points(store, &query, add_row, reading, err);
    end_last(reading, INT64_MAX);
    return rc;
}

/* The coarsest tier whose rows are not longer than a step. */
static enum mc_tier tier_for(uint64_t step_ms)
{
    if (step_ms >= mc_tier_span_ms(MC_TIER_HOUR) / 2)
        return MC_TIER_HOUR;
    return step_ms >= mc_tier_span_ms(MC_TIER_MINUTE) ? MC_TIER_MINUTE : MC_TIER_RAW;
}

static int read_all(struct mc_store *store, const char *guest, struct reading *reading,
                    struct mc_error *err)
{
    const struct mc_course *course = reading->course;
    int64_t since_ms = course->first_ms, begin_ms = 0;
    int64_t until_ms = since_ms + (int64_t)(course->count * course->step_ms);
    enum mc_tier tier = tier_for(course->step_ms);
    int rc = 0;

    for (int finer = (int)tier; rc == 0 && finer >= 0; finer--) {
        rc = read_tier(store, guest, reading, (enum mc_tier)finer, since_ms, until_ms, err);
        if (!reading->end_ms)
            continue;
        if (!begin_ms)
            begin_ms = reading->begin_ms;
        since_ms = reading->end_ms;
    }
    for (until_ms = begin_ms ? begin_ms : until_ms; rc == 0 && ++tier < MC_TIER_COUNT;) {
        rc = read_tier(store, guest, reading, tier, course->first_ms, until_ms, err);
        if (reading->end_ms)
            until_ms = reading->begin_ms;
    }
    return rc;
}

static void take_means(const struct reading *reading, size_t cells)
{
    for (size_t i = 0; i < cells; i++) {
        const struct sum *sum = &reading->sums[i];

        reading->course->values[i] =
            sum->span_ms ? (uint64_t)(sum->weighed / sum->span_ms) : MC_UNKNOWN;
    }
}

int mc_store_course(struct mc_store *store, const char *guest, int64_t since_ms, int64_t until_ms,
                    uint64_t step_ms, struct mc_course *course, struct mc_error *err)
{
    struct reading reading = {.course = course};
    size_t cells;
    int rc;

    *course = (struct mc_course){.step_ms = step_ms,
                                 .first_ms = since_ms - since_ms % (int64_t)step_ms,
                                 .columns = *guest ? MC_GUEST_VALUES : MC_HOST_VALUES};
    course->count = (size_t)(until_ms - course->first_ms + (int64_t)step_ms - 1) / step_ms;
    cells = course->columns * course->count;
    course->values = malloc(cells * sizeof(*course->values) + 1);
    reading.sums = calloc(cells + 1, sizeof(*reading.sums));
    if (!course->values || !reading.sums) {
        free(reading.sums);
        mc_course_free(course);
        return mc_error_set(err, -ENOMEM, "out of memory");
    }
    rc = read_all(store, guest, &reading, err);
    if (rc == 0)
        take_means(&reading, cells);
    free(reading.sums);
    if (rc < 0)
        mc_course_free(course);
    return rc;
}

void mc_course_free(struct mc_course *course)
{
    free(course->values);
    *course = (struct mc_course){0};
}
