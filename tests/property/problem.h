/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random problems for the solver, and two slow solvers to compare it with. Neither knows
 * breakpoints, sums of slopes or a price of the whole; both only compare the prices of two pages,
 * in 128 bits.
 */
#ifndef MEMCTL_TEST_PROBLEM_H
#define MEMCTL_TEST_PROBLEM_H

#include <memctl/allocate.h>

#include "random.h"

#define GUESTS_MAX 12

struct problem {
    struct mc_demand demands[GUESTS_MAX];
    size_t count;
    uint64_t budget;
};

/*
 * Nothing in it is above `largest` pages, but knees, which may be twice that. Extremes are
 * frequent: guests without any room, the least and the most shares, budgets of nothing and of just
 * enough.
 */
struct problem random_problem(struct random *random, uint64_t largest);

/* As the initialisers of a regression test, and what each guest got. */
void problem_print(const struct problem *problem, const uint64_t *pages);

/* The definition itself: hand out the pages one by one, always the cheapest. For small budgets. */
void solve_page_by_page(const struct problem *problem, uint64_t *pages);

/*
 * For budgets of any size: bisection on the price. Of the pages that may still be given or not,
 * take a middle one, and count all pages that are cheaper; that many either fit or they do not.
 */
void solve_by_bisection(const struct problem *problem, uint64_t *pages);

/* What is given out when all is well: the budget held between the sums of min and max. */
uint64_t problem_to_give(const struct problem *problem);

/* Is page p of a cheaper than page q of b? Pages of one price go by key. */
bool is_cheaper(const struct mc_demand *a, uint64_t p, const struct mc_demand *b, uint64_t q);

#endif
