/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policies on cases whose answer is known: from the literature, or worked out by hand in the
 * comment. Sizes are MiB unless it says pages.
 */
#include "testing.h"

#include <stdlib.h>

#include <memctl/policy.h>
#include <memctl/units.h>

#define GUESTS_MAX 8

struct guest {
    uint64_t shares, min, max, active;
    uint64_t kept; /* what it cannot give up now, if that is above min */
};

/* unit: bytes; param: NULL where the default shall hold. */
static void divide_units(const char *policy, const char *param, const char *value,
                         const struct guest *guests, size_t count, uint64_t budget, uint64_t unit,
                         uint64_t *targets)
{
    struct mc_policy_guest seen[GUESTS_MAX];
    struct mc_policy_input input = {.budget = budget * unit, .guests = seen, .count = count};
    struct mc_policy_run *run;
    struct mc_error err;

    for (size_t i = 0; i < count; i++)
        seen[i] = (struct mc_policy_guest){
            .shares = guests[i].shares,
            .reserved = guests[i].min * unit,
            .min = mc_max_u64(guests[i].min, guests[i].kept) * unit,
            .max = guests[i].max * unit,
            .active = guests[i].active * unit,
            .key = i,
        };
    if (mc_policy_load(policy, &run, &err) < 0 ||
        (param && mc_policy_set_param(run, param, value, &err) < 0) ||
        mc_policy_decide(run, &input, targets, &err) < 0)
        fail_msg("%s", err.text);
    mc_policy_unload(run);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(targets[i] % unit, 0);
        targets[i] /= unit;
    }
}

static void divide(const char *policy, const char *param, const char *value,
                   const struct guest *guests, size_t count, uint64_t budget, uint64_t *targets)
{
    divide_units(policy, param, value, guests, count, budget, MC_MIB, targets);
}

static void compare(const uint64_t *targets, const uint64_t *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(targets[i], wanted[i]);
}

#define assert_targets(targets, ...)                                                               \
    compare(targets, (const uint64_t[]){__VA_ARGS__},                                              \
            sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/*
 * The experiment of figure 7 in Waldspurger, "Memory Resource Management in VMware ESX Server",
 * OSDI 2002: equal shares, the first guest idle with 20 MiB active, the second one working with all
 * it can get. At the optimum both have the adjusted shares-per-page ratio S / (P * (f + k * (1 -
 * f))), with k = 1 / (1 - tax).
 */
static const struct guest idle_and_busy[] = {
    {.shares = 1000, .max = 512, .active = 20},
    {.shares = 1000, .max = 512, .active = 512},
};

static void without_tax_an_idle_guest_keeps_half(void **state)
{
    uint64_t targets[2];

    (void)state;
    divide("idle-tax", "tax", "0%", idle_and_busy, 2, 310, targets);
    assert_targets(targets, 155, 155);
}

static void at_50_percent_an_idle_page_costs_two(void **state)
{
    uint64_t targets[2];

    (void)state;
    /* mu busy, 20 + (mu - 20) / 2 idle: mu = 200. P * (f + k(1 - f)): 20 + 2 * 90 = 200. */
    divide("idle-tax", "tax", "50%", idle_and_busy, 2, 310, targets);
    assert_targets(targets, 110, 200);
    divide("idle-tax", NULL, NULL, idle_and_busy, 2, 310, targets); /* what holds by default */
    assert_targets(targets, 110, 200);
}

static void at_75_percent_an_idle_page_costs_four(void **state)
{
    uint64_t targets[2];

    (void)state;
    /* mu busy, 20 + (mu - 20) / 4 idle: mu = 236. P * (f + k(1 - f)): 20 + 4 * 54 = 236. */
    divide("idle-tax", "tax", "75%", idle_and_busy, 2, 310, targets);
    assert_targets(targets, 74, 236);
}

static void a_tax_of_75_percent_takes_three_quarters_of_what_is_only_held(void **state)
{
    const struct guest guests[] = {
        {.shares = 1000, .max = 1000, .active = 0},
        {.shares = 1000, .max = 1000, .active = 1000},
    };
    uint64_t targets[2];

    (void)state;
    divide("idle-tax", "tax", "75%", guests, 2, 500, targets);
    assert_targets(targets, 100, 400);
}

static void shares_can_outbid_the_tax(void **state)
{
    /* Idle at four times the price, with four times the shares to pay it. */
    const struct guest guests[] = {
        {.shares = 4000, .max = 1000, .active = 0},
        {.shares = 1000, .max = 1000, .active = 1000},
    };
    uint64_t targets[2];

    (void)state;
    divide("idle-tax", "tax", "75%", guests, 2, 500, targets);
    assert_targets(targets, 250, 250);
}

static void the_tax_does_not_touch_those_that_are_equally_idle(void **state)
{
    const struct guest guests[] = {
        {.shares = 1000, .max = 1000, .active = 50},
        {.shares = 2000, .max = 1000, .active = 100},
    };
    uint64_t targets[2];

    (void)state;
    /* 50 + (mu - 50) / 4 and twice that: one to two as without a tax. */
    divide("idle-tax", "tax", "75%", guests, 2, 600, targets);
    assert_targets(targets, 200, 400);
}

/* Max-min fairness by water filling, as in Keshav, "An Engineering Approach to Computer
 * Networking", 1997, section 9.4: first with equal weights, then with different ones. */
static void small_needs_are_met_and_large_ones_share_the_rest(void **state)
{
    const struct guest guests[] = {
        {.shares = 1, .max = 1000, .active = 200},
        {.shares = 1, .max = 1000, .active = 260},
        {.shares = 1, .max = 1000, .active = 400},
        {.shares = 1, .max = 1000, .active = 500},
    };
    uint64_t targets[4];

    (void)state;
    /* A quarter each is 250: 50 are left by the first. A third of them more is 266.7: the second
     * leaves 6.7. So 540 remain for two. */
    divide("working-set", "headroom", "0", guests, 4, 1000, targets);
    assert_targets(targets, 200, 260, 270, 270);
}

static void water_fills_by_weight(void **state)
{
    const struct guest guests[] = {
        {.shares = 5, .max = 1600, .active = 400},
        {.shares = 8, .max = 1600, .active = 200},
        {.shares = 1, .max = 1600, .active = 1000},
        {.shares = 2, .max = 1600, .active = 400},
    };
    uint64_t targets[4];

    (void)state;
    /* By weight 500, 800, 100, 200. The first two leave 100 and 600; of these the last takes 200,
     * since a third of 700 and two are above its need, and the third gets what remains. */
    divide("working-set", "headroom", "0", guests, 4, 1600, targets);
    assert_targets(targets, 400, 200, 600, 400);
}

static void min_and_max_are_kept_while_the_rest_fills_up(void **state)
{
    const struct guest guests[] = {
        {.shares = 1, .min = 400, .max = 1000},
        {.shares = 1, .max = 100},
        {.shares = 1, .max = 1000},
        {.shares = 2, .max = 1000},
    };
    uint64_t targets[4];

    (void)state;
    /* 400 + 100 + mu + 2 mu = 1100, and mu = 200 is below that min and above that max. */
    divide("shares", NULL, NULL, guests, 4, 1100, targets);
    assert_targets(targets, 400, 100, 200, 400);
}

static void needs_come_first_and_the_rest_goes_by_shares(void **state)
{
    const struct guest guests[] = {
        {.shares = 2000, .max = 4000, .active = 400},
        {.shares = 1000, .max = 4000, .active = 800},
    };
    uint64_t targets[2];

    (void)state;
    /* Needs with 25 % on top: 500 and 1000; 600 are left, 2 to 1. */
    divide("working-set", NULL, NULL, guests, 2, 2100, targets);
    assert_targets(targets, 900, 1200);
}

static void needs_above_the_budget_are_divided_by_shares(void **state)
{
    const struct guest guests[] = {
        {.shares = 3000, .max = 4000, .active = 400},
        {.shares = 1000, .max = 4000, .active = 800},
    };
    uint64_t targets[2];

    (void)state;
    /* 3 to 1 of 1200 would be 900 to 300, but the first needs no more than 500. */
    divide("working-set", NULL, NULL, guests, 2, 1200, targets);
    assert_targets(targets, 500, 700);
}

static void a_need_ends_at_min_and_max(void **state)
{
    const struct guest guests[] = {
        {.shares = 1000, .min = 300, .max = 4000, .active = 40},
        {.shares = 1000, .max = 1000, .active = 900},
    };
    uint64_t targets[2];

    (void)state;
    /* Needs 300 (not 50) and 1000 (not 1125); the 100 that are left find only the first. */
    divide("working-set", NULL, NULL, guests, 2, 1400, targets);
    assert_targets(targets, 400, 1000);
}

static void nobody_gets_more_on_top_of_what_he_claims_to_be_unable_to_give(void **state)
{
    const struct guest guests[] = {
        {.shares = 1000, .max = 4000, .active = 80, .kept = 600},
        {.shares = 1000, .max = 4000, .active = 400},
    };
    uint64_t targets[2];

    (void)state;
    /* Needs 100 and 500. The 600 on top are 300 each: 400 for the first, who keeps 600 all the
     * same; so 600 are left for the second. With the 600 as a need it would be 650 and 550. */
    divide("working-set", NULL, NULL, guests, 2, 1200, targets);
    assert_targets(targets, 600, 600);
    /* It has its part of what is more than that: needs and 1000 each. */
    divide("working-set", NULL, NULL, guests, 2, 2600, targets);
    assert_targets(targets, 1100, 1500);
    /* What is kept comes out of the others' needs where it has to. */
    divide("working-set", NULL, NULL, guests, 2, 1000, targets);
    assert_targets(targets, 600, 400);
}

static void a_page_more_to_divide_costs_nobody_a_page(void **state)
{
    /* The Alabama paradox (Balinski and Young, "Fair Representation", 1982): by largest remainders
     * 10 are divided 4, 4, 2 and 11 are 5, 5, 1. */
    const struct guest guests[] = {
        {.shares = 6, .max = 100},
        {.shares = 6, .max = 100},
        {.shares = 2, .max = 100},
    };
    uint64_t targets[3];

    (void)state;
    /* Prices: 1/6, 2/6, 3/6, 4/6, 5/6 ... twice, and 1/2, 2/2 ...; of the two at 5/6 the first. */
    divide_units("shares", NULL, NULL, guests, 3, 10, MC_PAGE, targets);
    assert_targets(targets, 5, 4, 1);
    divide_units("shares", NULL, NULL, guests, 3, 11, MC_PAGE, targets);
    assert_targets(targets, 5, 5, 1);
}

static void pages_go_by_the_rule_of_jefferson(void **state)
{
    const struct guest guests[] = {
        {.shares = 5117, .max = 100}, {.shares = 4400, .max = 100}, {.shares = 162, .max = 100},
        {.shares = 161, .max = 100},  {.shares = 160, .max = 100},
    };
    uint64_t targets[5];

    (void)state;
    /* Divided by 97.5 and rounded down: 52.5, 45.1, 1.7, 1.7, 1.6, together 100. */
    divide_units("shares", NULL, NULL, guests, 5, 100, MC_PAGE, targets);
    assert_targets(targets, 52, 45, 1, 1, 1);
}

static const char *const all[] = {"shares", "idle-tax", "working-set"};

static void nobody_to_divide_among_is_no_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        divide(all[i], NULL, NULL, NULL, 0, 1000, NULL);
}

static void without_a_budget_everybody_has_its_min(void **state)
{
    const struct guest guests[] = {
        {.shares = 1, .min = 100, .max = 200, .active = 150},
        {.shares = 1000000, .max = 200, .active = 200},
    };
    uint64_t targets[2];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        divide(all[i], NULL, NULL, guests, 2, 0, targets);
        assert_targets(targets, 100, 0);
    }
}

static void more_than_all_may_have_is_left_over(void **state)
{
    const struct guest guests[] = {
        {.shares = 1, .min = 100, .max = 200, .active = 150},
        {.shares = 1000000, .max = 300, .active = 0},
    };
    uint64_t targets[2];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        divide(all[i], NULL, NULL, guests, 2, 600, targets);
        assert_targets(targets, 200, 300);
    }
}

static void one_share_beside_a_million_gets_its_page(void **state)
{
    const struct guest guests[] = {
        {.shares = 1, .max = 2000000},
        {.shares = 1000000, .max = 2000000},
    };
    uint64_t targets[2];

    (void)state;
    divide_units("shares", NULL, NULL, guests, 2, 1000001, MC_PAGE, targets);
    assert_targets(targets, 1, 1000000);
    divide_units("shares", NULL, NULL, guests, 2, 1000000, MC_PAGE, targets); /* a tie */
    assert_targets(targets, 1, 999999);
}

static void a_page_and_four_pebibytes_are_divided_exactly(void **state)
{
    const uint64_t pebibytes = (uint64_t)1 << 40; /* pages */
    const struct guest guests[] = {
        {.shares = 1000, .max = 1, .active = 1},
        {.shares = 1000, .max = pebibytes, .active = pebibytes},
        {.shares = 1000, .max = pebibytes, .active = pebibytes},
    };
    uint64_t targets[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        divide_units(all[i], NULL, NULL, guests, 3, pebibytes, MC_PAGE, targets);
        assert_targets(targets, 1, pebibytes / 2, pebibytes / 2 - 1);
    }
}

static void a_guest_without_room_stays_where_it_is(void **state)
{
    const struct guest guests[] = {
        {.shares = 1000000, .min = 300, .max = 300, .active = 10},
        {.shares = 1, .max = 1000, .active = 10},
    };
    uint64_t targets[2];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        divide(all[i], NULL, NULL, guests, 2, 800, targets);
        assert_targets(targets, 300, 500);
    }
}

static int use_built_policies(void **state)
{
    (void)state;
    return setenv("MEMCTL_POLICY_PATH", BUILT_POLICIES, 0); /* so that a test runs alone as well */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_tax_an_idle_guest_keeps_half),
        cmocka_unit_test(at_50_percent_an_idle_page_costs_two),
        cmocka_unit_test(at_75_percent_an_idle_page_costs_four),
        cmocka_unit_test(a_tax_of_75_percent_takes_three_quarters_of_what_is_only_held),
        cmocka_unit_test(shares_can_outbid_the_tax),
        cmocka_unit_test(the_tax_does_not_touch_those_that_are_equally_idle),
        cmocka_unit_test(small_needs_are_met_and_large_ones_share_the_rest),
        cmocka_unit_test(water_fills_by_weight),
        cmocka_unit_test(min_and_max_are_kept_while_the_rest_fills_up),
        cmocka_unit_test(needs_come_first_and_the_rest_goes_by_shares),
        cmocka_unit_test(needs_above_the_budget_are_divided_by_shares),
        cmocka_unit_test(a_need_ends_at_min_and_max),
        cmocka_unit_test(nobody_gets_more_on_top_of_what_he_claims_to_be_unable_to_give),
        cmocka_unit_test(a_page_more_to_divide_costs_nobody_a_page),
        cmocka_unit_test(pages_go_by_the_rule_of_jefferson),
        cmocka_unit_test(nobody_to_divide_among_is_no_error),
        cmocka_unit_test(without_a_budget_everybody_has_its_min),
        cmocka_unit_test(more_than_all_may_have_is_left_over),
        cmocka_unit_test(one_share_beside_a_million_gets_its_page),
        cmocka_unit_test(a_page_and_four_pebibytes_are_divided_exactly),
        cmocka_unit_test(a_guest_without_room_stays_where_it_is),
    };

    return cmocka_run_group_tests(tests, use_built_policies, NULL);
}
