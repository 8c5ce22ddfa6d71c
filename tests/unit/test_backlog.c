/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which job is next. */
#include "testing.h"

#include "backlog.h"

static void jobs_that_go_first_do_and_others_keep_their_order(void **state)
{
    struct job one = {0}, two = {0}, ahead = {.goes_first = true};
    struct backlog backlog;

    (void)state;
    backlog_init(&backlog);
    backlog_add(&backlog, &one);
    backlog_add(&backlog, &two);
    backlog_add(&backlog, &ahead);
    assert_ptr_equal(backlog_take(&backlog, true), &ahead);
    assert_null(backlog_take(&backlog, true));
    assert_ptr_equal(backlog_take(&backlog, false), &one);
    backlog_add(&backlog, &one);
    assert_ptr_equal(backlog_take(&backlog, false), &two);
    assert_ptr_equal(backlog_take(&backlog, false), &one);
    assert_null(backlog_take(&backlog, false));
}

static void what_is_for_later_waits_for_its_time(void **state)
{
    struct job soon = {.at_ms = 1000}, late = {.at_ms = 5000, .goes_first = true};
    struct backlog backlog;

    (void)state;
    backlog_init(&backlog);
    assert_true(backlog_next_ms(&backlog) == BACKLOG_NEVER);
    backlog_put_off(&backlog, &soon);
    backlog_put_off(&backlog, &late);
    assert_int_equal(backlog_next_ms(&backlog), 1000);
    backlog_ripen(&backlog, 999);
    assert_null(backlog_take(&backlog, false));
    assert_true(backlog_is_later(&backlog, &soon));
    backlog_ripen(&backlog, 1000);
    assert_false(backlog_is_later(&backlog, &soon));
    assert_true(backlog_is_later(&backlog, &late));
    assert_int_equal(backlog_next_ms(&backlog), 5000);
    assert_ptr_equal(backlog_take(&backlog, false), &soon);
    backlog_ripen(&backlog, 6000);
    assert_ptr_equal(backlog_take(&backlog, true), &late);
}

static void a_job_that_is_expected_is_one_to_wake_up_for_until_its_time(void **state)
{
    struct backlog backlog;

    (void)state;
    backlog_init(&backlog);
    backlog.expected_ms = 2000;
    assert_int_equal(backlog_next_ms(&backlog), 2000);
    backlog_ripen(&backlog, 1999);
    assert_int_equal(backlog_next_ms(&backlog), 2000);
    backlog_ripen(&backlog, 2000);
    assert_true(backlog_next_ms(&backlog) == BACKLOG_NEVER);
}

static void nothing_is_left_when_all_is_taken(void **state)
{
    struct job now = {0}, first = {.goes_first = true}, later = {.at_ms = 9000};
    struct backlog backlog;

    (void)state;
    backlog_init(&backlog);
    backlog_put_off(&backlog, &later);
    backlog_add(&backlog, &now);
    backlog_add(&backlog, &first);
    assert_ptr_equal(backlog_take_any(&backlog), &first);
    assert_ptr_equal(backlog_take_any(&backlog), &now);
    assert_ptr_equal(backlog_take_any(&backlog), &later);
    assert_null(backlog_take_any(&backlog));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_that_go_first_do_and_others_keep_their_order),
        cmocka_unit_test(what_is_for_later_waits_for_its_time),
        cmocka_unit_test(a_job_that_is_expected_is_one_to_wake_up_for_until_its_time),
        cmocka_unit_test(nothing_is_left_when_all_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
