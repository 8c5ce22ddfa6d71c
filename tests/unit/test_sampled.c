/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "testing.h"

#include "estimate/sampled.h"

static unsigned percent(double part)
{
    return (unsigned)(part * 100 + 0.5);
}

/* Against the interval's published values: Wilson, 95 %, n = 100. */
static void bounds_are_wilsons(void **state)
{
    const struct {
        unsigned had, least, most;
    } known[] = {{0, 0, 4}, {10, 6, 17}, {50, 40, 60}, {90, 83, 94}, {100, 96, 100}};

    (void)state;
    for (unsigned i = 0; i < sizeof(known) / sizeof(*known); i++) {
        struct mc_part part = mc_part_estimate(known[i].had, 100);

        assert_int_equal(percent(part.least), known[i].least);
        assert_int_equal(percent(part.most), known[i].most);
        assert_int_equal(percent(part.guess), known[i].had);
    }
}

static void nothing_is_known_from_nothing(void **state)
{
    struct mc_part part = mc_part_estimate(0, 0);

    (void)state;
    assert_true(part.least == 0 && part.most == 1 && part.guess == 1);
}

static void rounds_together_narrow_the_bounds(void **state)
{
    struct mc_course course = {0};
    struct mc_part first = mc_course_add(&course, 30, 100), part;

    (void)state;
    for (unsigned i = 0; i < 6; i++)
        part = mc_course_add(&course, i % 2 ? 25 : 35, 100);
    assert_int_equal(mc_course_length(&course), MC_COURSE_ROUNDS);
    assert_int_equal(mc_course_looked(&course), 400);
    assert_true(part.most - part.least < (first.most - first.least) * 0.55);
    assert_int_equal(percent(part.guess), 30);
}

static void a_change_is_followed_by_the_next_round(void **state)
{
    struct mc_course course = {0};

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        mc_course_add(&course, 10, 100);
    assert_int_equal(percent(mc_course_add(&course, 80, 100).guess), 80);
    assert_int_equal(mc_course_length(&course), 1);
    assert_int_equal(percent(mc_course_add(&course, 15, 100).guess), 15);
    assert_int_equal(mc_course_length(&course), 1);
}

static void a_round_that_saw_nothing_changes_nothing(void **state)
{
    struct mc_course course = {0};

    (void)state;
    mc_course_add(&course, 20, 100);
    assert_int_equal(percent(mc_course_add(&course, 0, 0).guess), 20);
    assert_int_equal(mc_course_length(&course), 1);
}

/* The bounds hold as often as they say, for parts of any size: counted over many random samples. */
static void the_truth_is_between_the_bounds(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned truth = 1; truth < 100; truth += 7) {
        unsigned inside = 0, above = 0;

        for (unsigned trial = 0; trial < 2000; trial++) {
            unsigned had = 0;
            struct mc_part part;

            for (unsigned i = 0; i < 100; i++) {
                seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                had += (seed >> 33) % 100 < truth;
            }
            part = mc_part_estimate(had, 100);
            inside += part.least <= truth / 100.0 && truth / 100.0 <= part.most;
            above += truth / 100.0 > part.most;
        }
        assert_in_range(inside, 1800, 2000); /* 92 % at the worst truth, 95 % on average */
        assert_in_range(above, 0, 180);      /* near all of it, one side has most of the error */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_wilsons),
        cmocka_unit_test(nothing_is_known_from_nothing),
        cmocka_unit_test(rounds_together_narrow_the_bounds),
        cmocka_unit_test(a_change_is_followed_by_the_next_round),
        cmocka_unit_test(a_round_that_saw_nothing_changes_nothing),
        cmocka_unit_test(the_truth_is_between_the_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
