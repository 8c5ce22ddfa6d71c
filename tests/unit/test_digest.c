/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the engine's passes to the rows of the history. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/history.h>

#define MINUTE INT64_C(60000)
#define BEGIN (INT64_C(1700000000000) / MINUTE * MINUTE)
#define HOLD 6000

struct scene {
    struct mc_digest *digest;
    struct mc_snapshot snapshot;
    struct mc_plan plan;
    struct mc_batch batch;
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    scene->digest = mc_digest_new();
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;

    mc_digest_free(scene->digest);
    mc_snapshot_free(&scene->snapshot);
    mc_plan_free(&scene->plan);
    mc_batch_free(&scene->batch);
    free(scene);
    return 0;
}

/* The snapshot has guests "a", "b", ... with these uses; 0 is one that is not there. */
static void see(struct scene *scene, uint64_t now_ms, int64_t wall_ms, size_t count,
                const uint64_t *used)
{
    mc_snapshot_reset(&scene->snapshot);
    scene->snapshot.now_ms = now_ms;
    for (size_t i = 0; i < count; i++) {
        struct mc_guest *guest = used[i] ? mc_snapshot_add(&scene->snapshot) : NULL;

        if (!guest)
            continue;
        snprintf(guest->uuid, sizeof(guest->uuid), "%c", (char)('a' + i));
        snprintf(guest->name, sizeof(guest->name), "guest %c", (char)('a' + i));
        guest->memory = guest->actual = guest->held = 8 * MC_GIB;
        guest->used = guest->active = used[i];
        guest->terms = (struct mc_terms){1000, MC_MIB, 8 * MC_GIB, true};
    }
    mc_plan_reset(&scene->plan, scene->snapshot.count);
    assert_int_equal(
        mc_digest_pass(scene->digest, &scene->snapshot, &scene->plan, wall_ms, HOLD, &scene->batch),
        0);
}

static size_t rows(const struct scene *scene, const char *uuid, enum mc_tier tier)
{
    size_t count = 0;

    for (size_t i = 0; i < scene->batch.point_count; i++)
        count +=
            scene->batch.points[i].tier == tier && strcmp(scene->batch.points[i].uuid, uuid) == 0;
    return count;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return *seed >> 40;
}

/* Passes at odd moments, with pauses that are longer than a value holds. */
static void minutes_are_what_a_slow_model_says(void **state)
{
    enum { MINUTES = 6, LONG = MINUTES * 60000 };
    struct scene *scene = *state;
    uint64_t *at = calloc(LONG, sizeof(*at)); /* what was used in each ms, 0 if nobody knows */
    uint64_t seed = 3, now = 12345;
    size_t minute = 0;

    for (uint64_t ms = 0; ms < LONG;) {
        uint64_t used = (100 + next_random(&seed) % 7000) * MC_MIB;
        uint64_t passes = next_random(&seed) % 10 ? next_random(&seed) % 4000 : 20000;

        see(scene, now + ms, BEGIN + (int64_t)ms, 1, &used);
        for (uint64_t i = ms; i < LONG && i < ms + mc_min_u64(passes, HOLD); i++)
            at[i] = used;
        ms += passes;
    }
    see(scene, now + LONG, BEGIN + LONG, 0, NULL);
    for (size_t i = 0; i < scene->batch.point_count; i++) {
        const struct mc_point *point = &scene->batch.points[i];
        uint64_t low = UINT64_MAX, high = 0, span = 0, sum = 0;

        if (point->tier != MC_TIER_MINUTE || strcmp(point->uuid, "a") != 0)
            continue;
        assert_int_equal(point->at_ms, BEGIN + (int64_t)minute * MINUTE);
        for (size_t ms = minute * 60000; ms < (minute + 1) * 60000; ms++) {
            if (!at[ms])
                continue;
            low = mc_min_u64(low, at[ms]);
            high = mc_max_u64(high, at[ms]);
            sum += at[ms] / MC_MIB;
            span++;
        }
        assert_int_equal(point->span_ms, span);
        assert_int_equal(point->values[MC_VALUE_USED].low, low);
        assert_int_equal(point->values[MC_VALUE_USED].high, high);
        assert_int_equal(point->values[MC_VALUE_USED].avg / MC_MIB, sum / span);
        minute++;
    }
    assert_int_equal(minute, MINUTES);
    free(at);
}

static void a_guest_that_does_not_change_makes_a_row_a_minute(void **state)
{
    struct scene *scene = *state;
    uint64_t used = MC_GIB;

    for (uint64_t ms = 0; ms <= 300000; ms += 2000)
        see(scene, ms + 1, BEGIN + (int64_t)ms, 1, &used);
    assert_int_equal(rows(scene, "a", MC_TIER_RAW), 6);
    assert_int_equal(rows(scene, "a", MC_TIER_MINUTE), 5);
    assert_int_equal(rows(scene, "", MC_TIER_MINUTE), 5);
    assert_int_equal(scene->batch.shape_count, 1);
}

static void small_changes_make_no_row_but_what_they_add_up_to_does(void **state)
{
    struct scene *scene = *state;
    uint64_t used = MC_GIB;

    for (uint64_t i = 0; i < 16; i++, used += 1500 * MC_KIB)
        see(scene, 1 + i * 2000, BEGIN + (int64_t)i * 2000, 1, &used);
    /* 22.5 MB in all, and a row for each 1 % of a GiB: after 7 passes and after 15. */
    assert_int_equal(rows(scene, "a", MC_TIER_RAW), 3);
}

static void guests_come_and_go(void **state)
{
    struct scene *scene = *state;
    uint64_t all[] = {MC_GIB, MC_GIB, MC_GIB}, others[] = {MC_GIB, 0, MC_GIB};

    see(scene, 1, BEGIN, 3, all);
    see(scene, 2001, BEGIN + 2000, 3, others);
    see(scene, 4001, BEGIN + 4000, 3, all);
    mc_digest_end(scene->digest, &scene->batch);
    assert_int_equal(rows(scene, "a", MC_TIER_MINUTE), 1);
    assert_int_equal(rows(scene, "b", MC_TIER_MINUTE), 1);
    assert_int_equal(rows(scene, "c", MC_TIER_MINUTE), 1);
    assert_int_equal(rows(scene, "b", MC_TIER_RAW), 2);
    assert_int_equal(scene->batch.shape_count, 4);
}

static void a_clock_that_jumps_loses_no_time(void **state)
{
    struct scene *scene = *state;
    uint64_t used = MC_GIB, span = 0;

    see(scene, 1, BEGIN, 1, &used);
    see(scene, 5001, BEGIN + 5000, 1, &used);
    see(scene, 10001, BEGIN - 3600000 + 10000, 1, &used);
    see(scene, 15001, BEGIN + 86400000, 1, &used);
    mc_digest_end(scene->digest, &scene->batch);
    for (size_t i = 0; i < scene->batch.point_count; i++)
        if (scene->batch.points[i].tier == MC_TIER_MINUTE &&
            strcmp(scene->batch.points[i].uuid, "a") == 0)
            span += scene->batch.points[i].span_ms;
    assert_int_equal(span, 15000);
}

static void the_batch_is_bounded_and_counts_what_it_drops(void **state)
{
    struct scene *scene = *state;
    struct mc_point raw = {.tier = MC_TIER_RAW}, minute = {.tier = MC_TIER_MINUTE};

    for (size_t i = 0; i < MC_BATCH_POINTS_MAX; i++)
        mc_batch_add_point(&scene->batch, &raw);
    assert_int_equal(scene->batch.point_count, MC_BATCH_POINTS_MAX / 2);
    assert_int_equal(scene->batch.dropped, MC_BATCH_POINTS_MAX / 2);
    mc_batch_add_point(&scene->batch, &minute);
    assert_int_equal(scene->batch.point_count, MC_BATCH_POINTS_MAX / 2 + 1);
}

static void a_decision_is_kept_with_every_rule_that_changed_it(void **state)
{
    struct scene *scene = *state;
    uint64_t used = MC_GIB;
    struct mc_step *step;

    see(scene, 1, BEGIN, 1, &used);
    step = &scene->plan.steps[0];
    step->wish = MC_GIB;
    step->target = 3 * MC_GIB;
    step->send = true;
    step->changes[step->change_count++] = (struct mc_change){MC_RULE_FLOOR, MC_GIB, 2 * MC_GIB};
    step->changes[step->change_count++] = (struct mc_change){MC_RULE_RATE, 2 * MC_GIB, 3 * MC_GIB};
    mc_digest_pass(scene->digest, &scene->snapshot, &scene->plan, BEGIN + 1, HOLD, &scene->batch);
    assert_int_equal(scene->batch.decision_count, 1);
    assert_int_equal(scene->batch.decisions[0].target, 3 * MC_GIB);
    assert_int_equal(scene->batch.decisions[0].reason, MC_RULE_RATE);
    assert_string_equal(scene->batch.decisions[0].rules, "floor 2.00G, rate 3.00G");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(minutes_are_what_a_slow_model_says),
        TEST(a_guest_that_does_not_change_makes_a_row_a_minute),
        TEST(small_changes_make_no_row_but_what_they_add_up_to_does),
        TEST(guests_come_and_go),
        TEST(a_clock_that_jumps_loses_no_time),
        TEST(the_batch_is_bounded_and_counts_what_it_drops),
        TEST(a_decision_is_kept_with_every_rule_that_changed_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
