/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the agent in the guest takes for distress, and how often it looks. */
#include "testing.h"

#include "watch.h"

#define MIB (UINT64_C(1) << 20)

/* A guest of 1 GiB, whose distress begins under 32 MiB. */
static const struct sight calm = {
    .now_ms = 1000,
    .total = 1024 * MIB,
    .free = 300 * MIB,
    .available = 600 * MIB,
    .has_balloon = true,
};

static struct sight later(const struct sight *sight, uint64_t ms, uint64_t available)
{
    struct sight next = *sight;

    next.now_ms += ms;
    next.available = next.free = available;
    next.stalled = false;
    return next;
}

/* What is said of a guest that had `from` bytes available and has `to` after so many ms. */
static enum watch_news said_of(uint64_t from, uint64_t to, uint64_t ms)
{
    struct watch watch = {0};
    struct sight first = later(&calm, 0, from), second = later(&calm, ms, to);

    assert_int_equal(watch_look(&watch, &first), WATCH_NOTHING);
    return watch_look(&watch, &second);
}

static void little_available_is_low(void **state)
{
    struct watch watch = {0};
    struct sight sight = later(&calm, 0, 31 * MIB);

    (void)state;
    assert_int_equal(watch_look(&watch, &sight), WATCH_LOW);
    assert_int_equal(said_of(33 * MIB, 33 * MIB, 100), WATCH_NOTHING);
    assert_true(watch_low(64 * MIB) == 8 * MIB);
    assert_true(watch_low(4096 * MIB) > 100 * MIB && watch_low(UINT64_C(1) << 50) == 512 * MIB);
}

static void a_fast_fall_is_told_before_it_is_low(void **state)
{
    (void)state;
    assert_int_equal(said_of(64 * MIB, 46 * MIB, 100), WATCH_FALLING); /* 180 MiB/s */
    assert_int_equal(said_of(500 * MIB, 400 * MIB, 200), WATCH_FALLING);
    assert_int_equal(said_of(500 * MIB, 480 * MIB, 100), WATCH_NOTHING); /* 2.4 s are left */
}

static void noise_is_no_fall(void **state)
{
    (void)state;
    assert_int_equal(said_of(40 * MIB, 37 * MIB, 50), WATCH_NOTHING);
    assert_int_equal(said_of(40 * MIB, 34 * MIB, 5), WATCH_NOTHING); /* too close to tell */
    assert_int_equal(said_of(40 * MIB, 60 * MIB, 100), WATCH_NOTHING);
}

static void what_the_balloon_takes_is_no_fall(void **state)
{
    struct watch watch = {0};
    struct sight first = later(&calm, 0, 500 * MIB), second = later(&calm, 100, 410 * MIB);

    (void)state;
    second.balloon = 88 * MIB;
    assert_int_equal(watch_look(&watch, &first), WATCH_NOTHING);
    assert_int_equal(watch_look(&watch, &second), WATCH_NOTHING);
    assert_true(watch.rate == 0);

    second.now_ms += 100; /* a balloon that counts as less memory in total is not counted twice */
    second.balloon += 90 * MIB;
    second.total -= 90 * MIB;
    second.available -= 140 * MIB;
    assert_int_equal(watch_look(&watch, &second), WATCH_FALLING);
    assert_true(watch.rate == 500 * MIB);
}

static void what_the_balloon_gives_does_not_hide_a_fall(void **state)
{
    struct watch watch = {0};
    struct sight first = later(&calm, 0, 60 * MIB), second = later(&calm, 100, 60 * MIB);

    (void)state;
    first.balloon = 200 * MIB;
    second.balloon = 180 * MIB;
    assert_int_equal(watch_look(&watch, &first), WATCH_NOTHING);
    assert_int_equal(watch_look(&watch, &second), WATCH_FALLING);
    assert_true(watch.rate == 200 * MIB);
}

static void the_balloon_is_read_only_when_memory_moves(void **state)
{
    struct watch watch = {0};
    struct sight sight = calm;

    (void)state;
    assert_true(watch_wants_balloon(&watch, &sight));
    sight.balloon = 100 * MIB;
    watch_look(&watch, &sight);
    sight = later(&sight, 100, 598 * MIB);
    sight.has_balloon = false;
    assert_false(watch_wants_balloon(&watch, &sight));
    watch_look(&watch, &sight);

    sight = later(&sight, 100, 500 * MIB);
    assert_true(watch_wants_balloon(&watch, &sight));
    sight.has_balloon = true; /* the balloon took it, since the reading before the last */
    sight.balloon += 98 * MIB;
    watch_look(&watch, &sight);
    assert_true(watch.rate == 0);

    sight = later(&sight, 100, 500 * MIB);
    assert_false(watch_wants_balloon(&watch, &sight));
    sight.total -= MIB;
    assert_true(watch_wants_balloon(&watch, &sight));
    sight = later(&sight, 500, 500 * MIB);
    assert_true(watch_wants_balloon(&watch, &sight));
}

static void what_the_balloon_gave_earlier_is_no_fall_now(void **state)
{
    struct watch watch = {0};
    struct sight sight = calm;

    (void)state;
    sight.balloon = 100 * MIB;
    watch_look(&watch, &sight);
    sight = later(&sight, 100, 600 * MIB);
    sight.has_balloon = false;
    sight.balloon = 0;
    watch_look(&watch, &sight);
    sight = later(&sight, 100, 590 * MIB);
    sight.has_balloon = true;
    watch_look(&watch, &sight);
    assert_true(watch.rate == 100 * MIB);
}

static void a_stall_counts_while_nothing_is_free(void **state)
{
    struct watch watch = {0};
    struct sight sight = calm;

    (void)state;
    sight.stalled = true;
    assert_int_equal(watch_look(&watch, &sight), WATCH_NOTHING); /* a limit inside the guest */
    sight.now_ms += 100;
    sight.free = 10 * MIB;
    assert_int_equal(watch_look(&watch, &sight), WATCH_STALL);
}

static void a_stall_of_the_balloon_driver_does_not_count(void **state)
{
    struct watch watch = {0};
    struct sight sight = later(&calm, 0, 600 * MIB);

    (void)state;
    watch_look(&watch, &sight);
    sight = later(&sight, 100, 580 * MIB);
    sight.free = 10 * MIB;
    sight.balloon = 20 * MIB;
    sight.stalled = true;
    assert_int_equal(watch_look(&watch, &sight), WATCH_NOTHING);
}

static void it_is_told_again_and_less_often_while_it_lasts(void **state)
{
    struct watch watch = {0};
    unsigned early = 0, late = 0;

    (void)state;
    for (uint64_t ms = 0; ms < 12000; ms += 50) {
        struct sight sight = later(&calm, ms, 10 * MIB);
        enum watch_news news = watch_look(&watch, &sight);

        assert_true(news == WATCH_LOW || news == WATCH_NOTHING);
        *(ms < 2000 ? &early : &late) += news == WATCH_LOW;
    }
    assert_int_equal(early, 8);
    assert_in_range(late, 9, 11);
}

static void it_is_over_after_a_calm_second(void **state)
{
    struct watch watch = {0};
    struct sight sight = later(&calm, 0, 10 * MIB);

    (void)state;
    watch_look(&watch, &sight);
    sight = later(&calm, 300, 40 * MIB); /* above 32, but not yet safely */
    assert_int_equal(watch_look(&watch, &sight), WATCH_LOW);
    sight = later(&calm, 400, 60 * MIB);
    assert_int_equal(watch_look(&watch, &sight), WATCH_NOTHING);
    sight = later(&calm, 1299, 60 * MIB);
    assert_int_equal(watch_look(&watch, &sight), WATCH_NOTHING);
    sight = later(&calm, 1301, 60 * MIB);
    assert_int_equal(watch_look(&watch, &sight), WATCH_OVER);
    sight = later(&calm, 2000, 60 * MIB);
    assert_int_equal(watch_look(&watch, &sight), WATCH_NOTHING);
}

static void plenty_is_looked_at_seldom_and_little_often(void **state)
{
    struct watch watch = {0};
    struct sight sight = later(&calm, 0, 1000 * MIB);

    (void)state;
    watch_look(&watch, &sight);
    assert_in_range(watch_pause(&watch, 50), 900, 1000);
    sight = later(&sight, 1000, 100 * MIB);
    watch_look(&watch, &sight);
    assert_int_equal(watch_pause(&watch, 50), 50); /* and falling */
    sight = later(&sight, 100, 100 * MIB);
    watch_look(&watch, &sight);
    assert_int_equal(watch_pause(&watch, 50), 100);
}

static void looking_keeps_to_its_part_of_the_processor(void **state)
{
    struct watch watch = {0};
    struct sight sight = later(&calm, 0, 800 * MIB);

    (void)state;
    watch_look(&watch, &sight);
    assert_int_equal(watch_pause(&watch, 1200), 1200);
    assert_in_range(watch_pause(&watch, 25000), 2200, 2300); /* but is not too late to help */
    sight = later(&sight, 5000, 64 * MIB);
    sight.has_balloon = false;
    watch_look(&watch, &sight);
    assert_int_equal(watch_pause(&watch, 1200), 120);
    assert_int_equal(watch_pause(&watch, 5000), 150); /* but is not late near the wall */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_available_is_low),
        cmocka_unit_test(a_fast_fall_is_told_before_it_is_low),
        cmocka_unit_test(noise_is_no_fall),
        cmocka_unit_test(what_the_balloon_takes_is_no_fall),
        cmocka_unit_test(what_the_balloon_gives_does_not_hide_a_fall),
        cmocka_unit_test(the_balloon_is_read_only_when_memory_moves),
        cmocka_unit_test(what_the_balloon_gave_earlier_is_no_fall_now),
        cmocka_unit_test(a_stall_counts_while_nothing_is_free),
        cmocka_unit_test(a_stall_of_the_balloon_driver_does_not_count),
        cmocka_unit_test(it_is_told_again_and_less_often_while_it_lasts),
        cmocka_unit_test(it_is_over_after_a_calm_second),
        cmocka_unit_test(plenty_is_looked_at_seldom_and_little_often),
        cmocka_unit_test(looking_keeps_to_its_part_of_the_processor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
