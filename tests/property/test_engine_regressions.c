/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Histories that once broke a promise, as test_engine_properties.c printed them. */
#include "testing.h"

#include "rest.h"

static void runs(struct property *property)
{
    history_runs(property, property->subject);
}

static void rests(struct property *property)
{
    history_rests(property, property->subject);
}

/* Its growth was called back, and it hung before that was seen to happen. */
static void what_a_guest_took_before_it_hung_is_counted(void **state)
{
    static const struct script script = {
        .policy = "shares",
        .budget = 269 * MC_MIB,
        .count = 1,
        .guests =
            {
                {.memory = 1076 * MC_MIB,
                 .shares = 1,
                 .inflate_per_s = 61 * MC_MIB,
                 .deflate_per_s = 9 * MC_MIB,
                 .works_with = {{0, 0}, {15000, 146485249}, {30000, 0}, {45000, 0}},
                 .faults[0] = {.kind = MC_SIM_HUNG, .from_ms = 15201, .to_ms = UINT64_MAX}},
            },
        .steps = {{200},  {1000}, {470}, {203},  {200},  {1114}, {323},  {1177},
                  {1480}, {1956}, {204}, {202},  {1627}, {1243}, {1448}, {976},
                  {851},  {526},  {200}, {1250}, {200},  {200},  {200}},
    };

    (void)state;
    property_holds(runs, &script, 1);
}

/* A guest in trouble that hangs is first in line, and gets nothing. */
static void what_a_hung_guest_cannot_be_given_goes_to_others(void **state)
{
    static const struct script script = {
        .policy = "shares",
        .budget = 2140123136,
        .count = 8,
        .guests =
            {
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .stop_ms = 1,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 3475 * MC_MIB,
                    .shares = 123,
                    .inflate_per_s = 164 * MC_MIB,
                    .deflate_per_s = 100 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 1889 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 67 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}, {15000, 925896705}, {30000, 0}, {45000, 0}},
                    .faults[0] =
                        {
                            .kind = MC_SIM_HUNG,
                            .from_ms = 15051,
                            .to_ms = UINT64_MAX,
                        },
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
            },
        .steps =
            {
                {200},  {1000}, {487},  {203},  {200},  {1524}, {323}, {1177}, {1480},
                {1956}, {204},  {202},  {1627}, {1243}, {1448}, {976}, {1000}, {687},
                {1183}, {1141}, {450},  {539},  {686},  {752},  {851}, {526},  {224, ACT_MAX, 0, 1},
                {1673}, {1719}, {1895}, {913},  {200},  {200},  {200}, {200},  {200},
                {200},  {200},  {200},  {200},  {200},  {200},  {200}, {200},  {200},
                {200},  {200},  {200},  {200},  {200},  {200},  {200}, {200},  {200},
                {200},  {200},  {200},  {200},  {200},  {200},
            },
    };

    (void)state;
    property_holds(runs, &script, 1);
}

/* A guest fills what it is given faster than the promise can follow, and again each time. */
static void a_promise_that_is_touched_at_once_is_not_made_again_and_again(void **state)
{
    static const struct script script = {
        .policy = "pressure",
        .budget = 7665249568,
        .count = 7,
        .host_memory = 8294 * MC_MIB,
        .host_used = {{0, 0}},
        .overcommit_percent = 158,
        .reserve = 998,
        .shrink_percent = 86,
        .cooldown_ms = 1,
        .guests =
            {
                {
                    .memory = 129 * MC_MIB,
                    .shares = 1653,
                    .min_percent = 17,
                    .inflate_per_s = 418 * MC_MIB,
                    .deflate_per_s = 200 * MC_MIB,
                    .lag_ms = 118,
                    .deflates_on_oom = 1,
                    .works_with = {{0, 21102768}},
                },
                {
                    .memory = 865 * MC_MIB,
                    .shares = 59090,
                    .min_percent = 44,
                    .inflate_per_s = 200 * MC_MIB,
                    .deflate_per_s = 200 * MC_MIB,
                    .lag_ms = 1197,
                    .deflates_on_oom = 1,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 3463 * MC_MIB,
                    .shares = 34160,
                    .min_percent = 7,
                    .inflate_per_s = 1167 * MC_MIB,
                    .deflate_per_s = 3732 * MC_MIB,
                    .lag_ms = 1466,
                    .deflates_on_oom = 1,
                    .cache = 1974096733,
                    .works_with = {{0, 3123898325}},
                },
                {
                    .memory = 133 * MC_MIB,
                    .shares = 8,
                    .min_percent = 4,
                    .inflate_per_s = 200 * MC_MIB,
                    .deflate_per_s = 595 * MC_MIB,
                    .lag_ms = 1,
                    .works_with = {{0, 6}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 2,
                    .min_percent = 1,
                    .inflate_per_s = 200 * MC_MIB,
                    .deflate_per_s = 200 * MC_MIB,
                    .lag_ms = 461,
                    .cache = 5,
                    .works_with = {{0, 3}},
                },
                {
                    .memory = 3448 * MC_MIB,
                    .shares = 86148,
                    .inflate_per_s = 200 * MC_MIB,
                    .deflate_per_s = 200 * MC_MIB,
                    .lag_ms = 1,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 2,
                    .min_percent = 1,
                    .inflate_per_s = 200 * MC_MIB,
                    .deflate_per_s = 200 * MC_MIB,
                    .lag_ms = 2,
                    .works_with = {{0, 851883}},
                },
            },
        .steps = {},
    };

    (void)state;
    property_holds(rests, &script, 1);
}

/* What is seen of a balloon is late; what was told meanwhile was called back, and that again. */
static void a_guest_is_not_moved_to_and_fro_by_late_reports(void **state)
{
    static const struct script script = {
        .policy = "shares",
        .budget = 414449664,
        .count = 1,
        .host_memory = 1581 * MC_MIB,
        .host_used = {{0, 0}},
        .overcommit_percent = 100,
        .shrink_percent = 2,
        .cooldown_ms = 1,
        .guests =
            {
                {
                    .memory = 1581 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 591 * MC_MIB,
                    .deflate_per_s = 200 * MC_MIB,
                    .lag_ms = 51,
                    .works_with = {{0, 0}},
                    .faults[0] =
                        {
                            .kind = MC_SIM_STUCK,
                            .from_ms = 6651,
                            .to_ms = 26001,
                        },
                    .faults[1] =
                        {
                            .kind = MC_SIM_LYING,
                            .from_ms = 49001,
                            .to_ms = UINT64_MAX,
                        },
                },
            },
        .steps = {},
    };

    (void)state;
    property_holds(rests, &script, 1);
}

/* The host had been short, the balloon lagged, and what was under way to it was given out again. */
static void a_promise_that_gave_way_rises_with_what_is_left(void **state)
{
    static const struct script script = {
        .policy = "shares",
        .budget = 2484441088,
        .count = 1,
        .host_memory = 4352 * MC_MIB,
        .host_used = {{0, 2013638685}},
        .overcommit_percent = 101,
        .shrink_percent = 1,
        .cooldown_ms = 1,
        .guests =
            {
                {
                    .memory = 3433 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 200 * MC_MIB,
                    .deflate_per_s = 200 * MC_MIB,
                    .lag_ms = 2051,
                    .cache = 974606480,
                    .works_with = {{0, 0}, {20000, 0}, {40000, 2435511236}},
                },
            },
        .steps = {},
    };

    (void)state;
    property_holds(rests, &script, 1);
}

/* Its trouble had become chronic, and a budget that rose went to those who needed nothing. */
static void one_that_hungers_comes_before_those_who_can_do_without(void **state)
{
    static const struct script script = {
        .policy = "shares",
        .budget = 2109093114,
        .count = 5,
        .host_memory = 7442 * MC_MIB,
        .host_used = {{0, 0}},
        .overcommit_percent = 296,
        .reserve = 656,
        .shrink_percent = 12,
        .boot_grace_ms = 12660,
        .cooldown_ms = 4986,
        .guests =
            {
                {
                    .memory = 1424 * MC_MIB,
                    .shares = 8,
                    .inflate_per_s = 6 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 2441 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 155 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 2751 * MC_MIB,
                    .shares = 1,
                    .min_percent = 30,
                    .inflate_per_s = 128 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}, {30000, 816289885}},
                },
                {
                    .memory = 671 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 12 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 268792792}, {30000, 0}},
                },
            },
        .steps =
            {
                {200},
                {1279},
                {1657},
                {1557},
                {787},
                {982},
                {1473},
                {531},
                {1446},
                {1889},
                {244},
                {814},
                {1519},
                {349},
                {1278, ACT_UNMANAGED, 1, 0},
                {1696},
                {950},
                {1049},
                {1065, ACT_BUDGET, 0, 5685},
                {912},
                {1090, ACT_SHARES, 4, 5},
                {1127},
                {605},
                {1576},
                {1597},
                {569},
                {1987},
                {1352},
                {1378},
                {1296},
                {1576},
                {970},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
                {200},
            },
    };

    (void)state;
    property_holds(runs, &script, 1);
}

/* It had been in trouble, grew and filled what it got; its statistics were of the time before. */
static void one_in_trouble_has_the_benefit_of_the_doubt(void **state)
{
    static const struct script script = {
        .policy = "shares",
        .budget = 816578560,
        .count = 5,
        .host_memory = 3115 * MC_MIB,
        .host_used = {{0, 0}, {12000, 0}, {24000, 0}, {36000, 0}, {48000, 2657629151}},
        .overcommit_percent = 102,
        .shrink_percent = 1,
        .cooldown_ms = 1,
        .guests =
            {
                {
                    .memory = 933 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 141 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 2 * MC_MIB,
                    .deflate_per_s = 16 * MC_MIB,
                    .works_with = {{0, 0}, {30000, 75497473}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 128 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 1785 * MC_MIB,
                    .shares = 1,
                    .inflate_per_s = 1 * MC_MIB,
                    .deflate_per_s = 1 * MC_MIB,
                    .works_with = {{0, 133722113}, {30000, 0}},
                },
            },
        .steps =
            {
                {200},  {1499},
                {1899}, {415},
                {1322}, {1253},
                {1421}, {1649},
                {1904}, {500},
                {1951}, {506},
                {974},  {230},
                {1535}, {1915},
                {1527}, {1349},
                {860},  {1344},
                {869},  {874},
                {1938}, {1628},
                {1156}, {454},
                {1707}, {745},
                {330},  {1800},
                {741},  {1898},
                {801},  {1966},
                {1418}, {560},
                {1526}, {200, ACT_BUDGET, 0, 3059},
                {336},  {200, ACT_MAX, 1, 1},
                {200},  {200},
                {200},  {200},
                {200},  {200},
                {200},
            },
    };

    (void)state;
    property_holds(runs, &script, 1);
}

/* That the cache is still worked with is found out by missing it: some memory moves, and arrives.
 */
static void a_move_at_rest_ends(void **state)
{
    static const struct script script = {
        .policy = "idle-tax",
        .budget = 1279393792,
        .count = 2,
        .guests =
            {
                {
                    .memory = 757 * MC_MIB,
                    .shares = 56123,
                    .inflate_per_s = 200 * MC_MIB,
                    .deflate_per_s = 200 * MC_MIB,
                    .works_with = {{0, 0}},
                },
                {
                    .memory = 3059 * MC_MIB,
                    .shares = 43959,
                    .inflate_per_s = 200 * MC_MIB,
                    .deflate_per_s = 200 * MC_MIB,
                    .cache = 549826724,
                    .works_with = {{0, 581906432}},
                },
            },
        .steps = {},
    };

    (void)state;
    property_holds(rests, &script, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_guest_took_before_it_hung_is_counted),
        cmocka_unit_test(what_a_hung_guest_cannot_be_given_goes_to_others),
        cmocka_unit_test(a_promise_that_is_touched_at_once_is_not_made_again_and_again),
        cmocka_unit_test(a_promise_that_gave_way_rises_with_what_is_left),
        cmocka_unit_test(a_guest_is_not_moved_to_and_fro_by_late_reports),
        cmocka_unit_test(one_that_hungers_comes_before_those_who_can_do_without),
        cmocka_unit_test(one_in_trouble_has_the_benefit_of_the_doubt),
        cmocka_unit_test(a_move_at_rest_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
