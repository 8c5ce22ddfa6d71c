/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "testing.h"

#include "allowance.h"

#define SECOND 1000000

static struct allowance allowance;

static int begin(void **state)
{
    (void)state;
    allowance = (struct allowance){0};
    return 0;
}

static void lets_a_client_ask_until_its_purse_is_empty(void **state)
{
    (void)state;
    assert_int_equal(allowance_wait_ms(&allowance, 7, 0), 0);
    allowance_charge(&allowance, 7, ALLOWANCE_MOST_US - 1, 0);
    assert_int_equal(allowance_wait_ms(&allowance, 7, 0), 0);
    allowance_charge(&allowance, 7, SECOND, 0);
    assert_in_range(allowance_wait_ms(&allowance, 7, 0), 3990, 4010);
    assert_int_equal(allowance_wait_ms(&allowance, 8, 0), 0);
}

static void gives_back_a_quarter_of_the_time(void **state)
{
    uint64_t now = 1000, spent = 0;

    (void)state;
    /* A client that asks as soon as it may, for 10 ms each time, for ten minutes. */
    while (now < 601000) {
        uint64_t wait = allowance_wait_ms(&allowance, 0, now);

        if (!wait) {
            allowance_charge(&allowance, 0, 10000, now);
            spent += 10000;
            wait = 10;
        }
        now += wait;
    }
    assert_in_range(spent, 150 * SECOND, 153 * SECOND);
}

static void lets_nobody_wait_for_longer_than_ten_seconds(void **state)
{
    (void)state;
    allowance_charge(&allowance, 1, UINT64_MAX, 5000);
    allowance_charge(&allowance, 1, UINT64_MAX, 5000);
    assert_in_range(allowance_wait_ms(&allowance, 1, 5000), 9000, 10001);
    assert_int_equal(allowance_wait_ms(&allowance, 1, 16000), 0);
    /* After an hour nothing is left of it. */
    allowance_charge(&allowance, 1, ALLOWANCE_MOST_US - 1, 3600000);
    assert_int_equal(allowance_wait_ms(&allowance, 1, 3600000), 0);
}

static void remembers_who_owes_among_many(void **state)
{
    (void)state;
    allowance_charge(&allowance, 12345, 3 * SECOND, 1000);
    for (uint64_t key = 1; key < 10000; key++)
        allowance_charge(&allowance, key, 10, 1000);
    assert_true(allowance_wait_ms(&allowance, 12345, 1000) > 0);
    assert_int_equal(allowance_wait_ms(&allowance, 9999, 1000), 0);
}

static void bears_a_clock_that_goes_back(void **state)
{
    (void)state;
    allowance_charge(&allowance, 3, 3 * SECOND, 50000);
    assert_true(allowance_wait_ms(&allowance, 3, 40000) > 0);
    assert_true(allowance_wait_ms(&allowance, 3, 40000) <= 10001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lets_a_client_ask_until_its_purse_is_empty, begin),
        cmocka_unit_test_setup(gives_back_a_quarter_of_the_time, begin),
        cmocka_unit_test_setup(lets_nobody_wait_for_longer_than_ten_seconds, begin),
        cmocka_unit_test_setup(remembers_who_owes_among_many, begin),
        cmocka_unit_test_setup(bears_a_clock_that_goes_back, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
