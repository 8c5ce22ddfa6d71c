/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The solver against two independent slow ones, and against what any fair division must hold:
 * bounds, full use of the budget, no dependence on the order of guests or on the unit of shares,
 * more for everyone from a larger budget, more for a guest from more shares or more active memory,
 * and that at the cost of the others only.
 */
#include "testing.h"

#include <string.h>

#include "problem.h"
#include "property.h"

#define CASES 4000

static void solve(const struct problem *problem, uint64_t *pages)
{
    struct mc_solver *solver = mc_solver_new();
    struct mc_allocation outcome;

    assert_non_null(solver);
    assert_int_equal(
        mc_allocate(solver, problem->demands, problem->count, problem->budget, pages, &outcome), 0);
    mc_solver_free(solver);
}

#define CHECK(condition, property, problem, pages)                                                 \
    PROPERTY_CHECK(property, condition, #condition, problem_print(problem, pages))

static void matches_page_by_page(struct property *property)
{
    struct problem problem = random_problem(&property->random, 200);
    uint64_t fast[GUESTS_MAX], slow[GUESTS_MAX];

    solve(&problem, fast);
    solve_page_by_page(&problem, slow);
    CHECK(memcmp(fast, slow, problem.count * sizeof(*fast)) == 0, property, &problem, fast);
}

static void agrees_with_handing_out_page_by_page(void **state)
{
    (void)state;
    property_holds(matches_page_by_page, NULL, CASES);
}

static void matches_bisection(struct property *property)
{
    static const uint64_t largest[] = {3, 200, 100000, MC_ALLOCATE_PAGES_MAX};
    struct problem problem =
        random_problem(&property->random, largest[random_below(&property->random, 4)]);
    uint64_t fast[GUESTS_MAX], slow[GUESTS_MAX];

    solve(&problem, fast);
    solve_by_bisection(&problem, slow);
    CHECK(memcmp(fast, slow, problem.count * sizeof(*fast)) == 0, property, &problem, fast);
}

static void agrees_with_bisection_at_any_size(void **state)
{
    (void)state;
    property_holds(matches_bisection, NULL, 4 * CASES);
}

static void keeps_bounds(struct property *property)
{
    struct problem problem = random_problem(&property->random, MC_ALLOCATE_PAGES_MAX);
    uint64_t pages[GUESTS_MAX], sum = 0;

    solve(&problem, pages);
    for (size_t i = 0; i < problem.count; i++) {
        CHECK(pages[i] >= problem.demands[i].min, property, &problem, pages);
        CHECK(pages[i] <= problem.demands[i].max, property, &problem, pages);
        sum += pages[i];
    }
    CHECK(sum == problem_to_give(&problem), property, &problem, pages);
}

static void keeps_bounds_and_uses_the_whole_budget(void **state)
{
    (void)state;
    property_holds(keeps_bounds, NULL, CASES);
}

static void shuffle(struct random *random, struct mc_demand *demands, size_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        from[i] = i;
    for (size_t i = count; i > 1; i--) {
        size_t other = i - 1 - random_below(random, i);
        struct mc_demand demand = demands[i - 1];
        size_t place = from[i - 1];

        demands[i - 1] = demands[other];
        demands[other] = demand;
        from[i - 1] = from[other];
        from[other] = place;
    }
}

static void ignores_order(struct property *property)
{
    struct problem problem = random_problem(&property->random, MC_ALLOCATE_PAGES_MAX), shuffled;
    uint64_t pages[GUESTS_MAX], again[GUESTS_MAX];
    size_t from[GUESTS_MAX];

    shuffled = problem;
    shuffle(&property->random, shuffled.demands, from, problem.count);
    solve(&problem, pages);
    solve(&shuffled, again);
    for (size_t i = 0; i < problem.count; i++)
        CHECK(again[i] == pages[from[i]], property, &problem, pages);
}

static void does_not_depend_on_the_order_of_guests(void **state)
{
    (void)state;
    property_holds(ignores_order, NULL, CASES);
}

static void grows_with_budget(struct property *property)
{
    struct problem problem = random_problem(&property->random, 100000);
    uint64_t pages[GUESTS_MAX], more[GUESTS_MAX];

    solve(&problem, pages);
    problem.budget += random_scaled(&property->random, 1, 1000);
    solve(&problem, more);
    for (size_t i = 0; i < problem.count; i++)
        CHECK(more[i] >= pages[i], property, &problem, pages);
}

static void more_budget_takes_from_nobody(void **state)
{
    (void)state;
    property_holds(grows_with_budget, NULL, CASES);
}

static void favours(struct property *property)
{
    struct problem problem = random_problem(&property->random, 100000);
    size_t lucky = random_below(&property->random, problem.count ? problem.count : 1);
    uint64_t pages[GUESTS_MAX], more[GUESTS_MAX];

    solve(&problem, pages);
    if (random_below(&property->random, 2))
        problem.demands[lucky].knee += random_scaled(&property->random, 1, 1000);
    else
        problem.demands[lucky].weight =
            random_scaled(&property->random, problem.demands[lucky].weight, MC_ALLOCATE_WEIGHT_MAX);
    if (problem.count)
        solve(&problem, more);
    for (size_t i = 0; i < problem.count; i++)
        CHECK(i == lucky ? more[i] >= pages[i] : more[i] <= pages[i], property, &problem, pages);
}

static void more_shares_or_more_activity_cost_only_the_others(void **state)
{
    (void)state;
    property_holds(favours, NULL, CASES);
}

static void ignores_unit_of_weights(struct property *property)
{
    struct problem problem = random_problem(&property->random, MC_ALLOCATE_PAGES_MAX);
    uint64_t pages[GUESTS_MAX], again[GUESTS_MAX], heaviest = 1, times;

    for (size_t i = 0; i < problem.count; i++)
        if (problem.demands[i].weight > heaviest)
            heaviest = problem.demands[i].weight;
    times = random_between(&property->random, 1, MC_ALLOCATE_WEIGHT_MAX / heaviest);
    solve(&problem, pages);
    for (size_t i = 0; i < problem.count; i++)
        problem.demands[i].weight *= times;
    solve(&problem, again);
    CHECK(memcmp(pages, again, problem.count * sizeof(*pages)) == 0, property, &problem, again);
}

static void only_the_ratio_of_weights_counts(void **state)
{
    (void)state;
    property_holds(ignores_unit_of_weights, NULL, CASES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_handing_out_page_by_page),
        cmocka_unit_test(agrees_with_bisection_at_any_size),
        cmocka_unit_test(keeps_bounds_and_uses_the_whole_budget),
        cmocka_unit_test(does_not_depend_on_the_order_of_guests),
        cmocka_unit_test(more_budget_takes_from_nobody),
        cmocka_unit_test(more_shares_or_more_activity_cost_only_the_others),
        cmocka_unit_test(only_the_ratio_of_weights_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
