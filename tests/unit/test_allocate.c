/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Divisions that can be checked by eye. */
#include "testing.h"

#include <errno.h>

#include <memctl/allocate.h>

struct guest {
    uint64_t min, max, weight, knee;
    uint32_t rate;
};

static struct mc_allocation divide(const struct guest *guests, size_t count, uint64_t budget,
                                   uint64_t *pages)
{
    struct mc_solver *solver = mc_solver_new();
    struct mc_allocation outcome;
    struct mc_demand demands[8];

    for (size_t i = 0; i < count; i++)
        demands[i] = (struct mc_demand){
            .min = guests[i].min,
            .max = guests[i].max,
            .weight = guests[i].weight,
            .knee = guests[i].knee,
            .rate_above = guests[i].rate ? guests[i].rate : MC_RATE_ONE,
            .key = i,
        };
    assert_int_equal(mc_allocate(solver, demands, count, budget, pages, &outcome), 0);
    mc_solver_free(solver);
    return outcome;
}

static void divides_by_weight(void **state)
{
    const struct guest guests[] = {{0, 1000, 1, 0, 0}, {0, 1000, 1, 0, 0}, {0, 1000, 2, 0, 0}};
    uint64_t pages[3];

    (void)state;
    divide(guests, 3, 400, pages);
    assert_int_equal(pages[0], 100);
    assert_int_equal(pages[1], 100);
    assert_int_equal(pages[2], 200);
}

static void what_a_limit_leaves_goes_to_the_others(void **state)
{
    const struct guest guests[] = {{0, 1000, 1, 0, 0}, {0, 1000, 1, 0, 0}, {0, 100, 2, 0, 0}};
    uint64_t pages[3];

    (void)state;
    divide(guests, 3, 400, pages);
    assert_int_equal(pages[0], 150);
    assert_int_equal(pages[1], 150);
    assert_int_equal(pages[2], 100);
}

static void a_reservation_is_kept_at_the_cost_of_the_others(void **state)
{
    const struct guest guests[] = {{200, 1000, 1, 0, 0}, {0, 1000, 3, 0, 0}};
    uint64_t pages[2];

    (void)state;
    divide(guests, 2, 400, pages);
    assert_int_equal(pages[0], 200);
    assert_int_equal(pages[1], 200);
}

static void reservations_above_the_budget_are_a_deficit(void **state)
{
    const struct guest guests[] = {{200, 1000, 1, 0, 0}, {300, 1000, 3, 0, 0}};
    uint64_t pages[2];
    struct mc_allocation outcome = divide(guests, 2, 400, pages);

    (void)state;
    assert_int_equal(pages[0], 200);
    assert_int_equal(pages[1], 300);
    assert_int_equal(outcome.deficit, 100);
    assert_int_equal(outcome.surplus, 0);
}

static void limits_below_the_budget_are_a_surplus(void **state)
{
    const struct guest guests[] = {{0, 100, 1, 0, 0}, {0, 200, 3, 0, 0}};
    uint64_t pages[2];
    struct mc_allocation outcome = divide(guests, 2, 400, pages);

    (void)state;
    assert_int_equal(pages[0], 100);
    assert_int_equal(pages[1], 200);
    assert_int_equal(outcome.surplus, 100);
}

/*
 * Waldspurger's experiment (OSDI 2002, figure 7) in small: equal shares, one guest idle. At tax 0
 * both get half; at 75 % an idle page costs four times as much, and the active guest gets its
 * working set.
 */
static void an_idle_tax_moves_memory_to_the_active_guest(void **state)
{
    struct guest guests[] = {{0, 256, 1, 10, MC_RATE_ONE}, {0, 256, 1, 250, MC_RATE_ONE}};
    uint64_t pages[2];

    (void)state;
    divide(guests, 2, 360, pages);
    assert_int_equal(pages[0], 180);
    assert_int_equal(pages[1], 180);
    guests[0].rate = guests[1].rate = MC_RATE_ONE / 4;
    divide(guests, 2, 360, pages);
    /* mu = 250 + x: 10 + (240 + x)/4 + 250 + x/4 = 360, so x = 80 */
    assert_int_equal(pages[0], 104); /* x is beyond max 256 of the active one */
    assert_int_equal(pages[1], 256);
}

static void the_rest_of_a_division_goes_to_the_lower_key(void **state)
{
    const struct guest guests[] = {{0, 100, 1, 0, 0}, {0, 100, 1, 0, 0}, {0, 100, 1, 0, 0}};
    uint64_t pages[3];

    (void)state;
    divide(guests, 3, 101, pages);
    assert_int_equal(pages[0], 34);
    assert_int_equal(pages[1], 34);
    assert_int_equal(pages[2], 33);
}

static void nobody_to_divide_among_is_no_error(void **state)
{
    struct mc_allocation outcome = divide(NULL, 0, 400, NULL);

    (void)state;
    assert_int_equal(outcome.surplus, 400);
}

static void refuses_demands_outside_its_arithmetic(void **state)
{
    struct mc_demand demand = {.max = 10, .weight = 0, .rate_above = MC_RATE_ONE};
    struct mc_solver *solver = mc_solver_new();
    struct mc_allocation outcome;
    uint64_t pages;

    (void)state;
    assert_int_equal(mc_allocate(solver, &demand, 1, 5, &pages, &outcome), -ERANGE);
    demand.weight = MC_ALLOCATE_WEIGHT_MAX + 1;
    assert_int_equal(mc_allocate(solver, &demand, 1, 5, &pages, &outcome), -ERANGE);
    demand = (struct mc_demand){.min = 11, .max = 10, .weight = 1, .rate_above = MC_RATE_ONE};
    assert_int_equal(mc_allocate(solver, &demand, 1, 5, &pages, &outcome), -ERANGE);
    mc_solver_free(solver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divides_by_weight),
        cmocka_unit_test(what_a_limit_leaves_goes_to_the_others),
        cmocka_unit_test(a_reservation_is_kept_at_the_cost_of_the_others),
        cmocka_unit_test(reservations_above_the_budget_are_a_deficit),
        cmocka_unit_test(limits_below_the_budget_are_a_surplus),
        cmocka_unit_test(an_idle_tax_moves_memory_to_the_active_guest),
        cmocka_unit_test(the_rest_of_a_division_goes_to_the_lower_key),
        cmocka_unit_test(nobody_to_divide_among_is_no_error),
        cmocka_unit_test(refuses_demands_outside_its_arithmetic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
