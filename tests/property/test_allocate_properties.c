/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The solver against an independent slow one, and against what any fair division must hold: bounds,
 * full use of the budget, no dependence on the order of guests, more for everyone from a larger
 * budget, more for a guest from more shares or more active memory.
 *
 * The slow solver is the definition itself: hand out the pages one by one, always the cheapest.
 */
#include "testing.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <memctl/allocate.h>

#include "random.h"

#define GUESTS_MAX 12
#define CASES 4000

struct problem {
    struct mc_demand demands[GUESTS_MAX];
    size_t count;
    uint64_t budget;
};

static struct problem random_problem(struct random *random, uint64_t largest)
{
    static const uint32_t rates[] = {MC_RATE_ONE, MC_RATE_ONE / 2, MC_RATE_ONE / 4, 1, 333333};
    struct problem problem = {.count = random_between(random, 1, GUESTS_MAX)};
    uint64_t sum_max = 0;
    uint32_t rate = rates[random_between(random, 0, 4)];

    for (size_t i = 0; i < problem.count; i++) {
        struct mc_demand *d = &problem.demands[i];

        d->max = random_scaled(random, 0, largest);
        d->min = random_scaled(random, 0, d->max);
        d->knee = random_scaled(random, 0, 2 * largest);
        d->weight = random_scaled(random, 1, MC_ALLOCATE_WEIGHT_MAX);
        d->rate_above = rate;
        d->key = random_next(random);
        sum_max += d->max;
    }
    problem.budget = random_between(random, 0, sum_max + 3);
    return problem;
}

static void solve(const struct problem *problem, uint64_t *pages)
{
    struct mc_solver *solver = mc_solver_new();
    struct mc_allocation outcome;

    assert_int_equal(
        mc_allocate(solver, problem->demands, problem->count, problem->budget, pages, &outcome), 0);
    mc_solver_free(solver);
}

/* Is page p of a cheaper than page q of b? */
static bool cheaper(const struct mc_demand *a, uint64_t p, const struct mc_demand *b, uint64_t q)
{
    const struct mc_demand *d[2] = {a, b};
    const uint64_t page[2] = {p, q};
    __extension__ unsigned __int128 num[2];
    uint64_t den[2];

    for (int i = 0; i < 2; i++) {
        bool above = page[i] > d[i]->knee;
        uint64_t below = above ? d[i]->knee : page[i];

        num[i] = (unsigned __int128)below * d[i]->rate_above +
                 (unsigned __int128)(page[i] - below) * MC_RATE_ONE;
        den[i] = d[i]->weight * d[i]->rate_above;
    }
    if (num[0] * den[1] != num[1] * den[0])
        return num[0] * den[1] < num[1] * den[0];
    return a->key < b->key;
}

static void solve_slowly(const struct problem *problem, uint64_t *pages)
{
    uint64_t left = problem->budget;

    for (size_t i = 0; i < problem->count; i++) {
        pages[i] = problem->demands[i].min;
        left = left > pages[i] ? left - pages[i] : 0;
    }
    for (; left; left--) {
        size_t best = problem->count;

        for (size_t i = 0; i < problem->count; i++) {
            if (pages[i] == problem->demands[i].max)
                continue;
            if (best == problem->count || cheaper(&problem->demands[i], pages[i] + 1,
                                                  &problem->demands[best], pages[best] + 1))
                best = i;
        }
        if (best == problem->count)
            return;
        pages[best]++;
    }
}

static void print_problem(uint64_t seed, const struct problem *problem, const uint64_t *pages)
{
    fprintf(stderr, "seed %lu, budget %lu\n", (unsigned long)seed, (unsigned long)problem->budget);
    for (size_t i = 0; i < problem->count; i++) {
        const struct mc_demand *d = &problem->demands[i];

        fprintf(stderr, "  min %lu max %lu knee %lu weight %lu rate %u -> %lu\n",
                (unsigned long)d->min, (unsigned long)d->max, (unsigned long)d->knee,
                (unsigned long)d->weight, d->rate_above, (unsigned long)pages[i]);
    }
}

#define CHECK(condition, seed, problem, pages)                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_problem(seed, problem, pages);                                                   \
            fail_msg("%s", #condition);                                                            \
        }                                                                                          \
    } while (0)

static void agrees_with_handing_out_page_by_page(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed, CASES)
    {
        struct random random = {.state = seed};
        struct problem problem = random_problem(&random, 200);
        uint64_t fast[GUESTS_MAX], slow[GUESTS_MAX];

        solve(&problem, fast);
        solve_slowly(&problem, slow);
        CHECK(memcmp(fast, slow, problem.count * sizeof(*fast)) == 0, seed, &problem, fast);
    }
}

static void keeps_bounds_and_uses_the_whole_budget(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed, CASES)
    {
        struct random random = {.state = seed};
        struct problem problem = random_problem(&random, MC_ALLOCATE_PAGES_MAX);
        uint64_t pages[GUESTS_MAX], sum = 0, sum_min = 0, sum_max = 0;

        solve(&problem, pages);
        for (size_t i = 0; i < problem.count; i++) {
            CHECK(pages[i] >= problem.demands[i].min, seed, &problem, pages);
            CHECK(pages[i] <= problem.demands[i].max, seed, &problem, pages);
            sum += pages[i];
            sum_min += problem.demands[i].min;
            sum_max += problem.demands[i].max;
        }
        if (problem.budget <= sum_min)
            CHECK(sum == sum_min, seed, &problem, pages);
        else if (problem.budget >= sum_max)
            CHECK(sum == sum_max, seed, &problem, pages);
        else
            CHECK(sum == problem.budget, seed, &problem, pages);
    }
}

static void does_not_depend_on_the_order_of_guests(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed, CASES)
    {
        struct random random = {.state = seed};
        struct problem problem = random_problem(&random, MC_ALLOCATE_PAGES_MAX), reversed;
        uint64_t pages[GUESTS_MAX], again[GUESTS_MAX];

        reversed = problem;
        for (size_t i = 0; i < problem.count; i++)
            reversed.demands[i] = problem.demands[problem.count - 1 - i];
        solve(&problem, pages);
        solve(&reversed, again);
        for (size_t i = 0; i < problem.count; i++)
            CHECK(pages[i] == again[problem.count - 1 - i], seed, &problem, pages);
    }
}

static void more_budget_takes_from_nobody(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed, CASES)
    {
        struct random random = {.state = seed};
        struct problem problem = random_problem(&random, 100000);
        uint64_t pages[GUESTS_MAX], more[GUESTS_MAX];

        solve(&problem, pages);
        problem.budget += random_scaled(&random, 1, 1000);
        solve(&problem, more);
        for (size_t i = 0; i < problem.count; i++)
            CHECK(more[i] >= pages[i], seed, &problem, pages);
    }
}

static void more_shares_or_more_activity_never_cost_a_guest(void **state)
{
    (void)state;
    FOR_EACH_SEED(seed, CASES)
    {
        struct random random = {.state = seed};
        struct problem problem = random_problem(&random, 100000);
        size_t lucky = random_between(&random, 0, problem.count - 1);
        uint64_t pages[GUESTS_MAX], more[GUESTS_MAX];

        solve(&problem, pages);
        if (random_next(&random) % 2)
            problem.demands[lucky].knee += random_scaled(&random, 1, 1000);
        else if (problem.demands[lucky].weight < MC_ALLOCATE_WEIGHT_MAX)
            problem.demands[lucky].weight++;
        solve(&problem, more);
        CHECK(more[lucky] >= pages[lucky], seed, &problem, pages);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_handing_out_page_by_page),
        cmocka_unit_test(keeps_bounds_and_uses_the_whole_budget),
        cmocka_unit_test(does_not_depend_on_the_order_of_guests),
        cmocka_unit_test(more_budget_takes_from_nobody),
        cmocka_unit_test(more_shares_or_more_activity_never_cost_a_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
