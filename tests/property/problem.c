/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "problem.h"

#include <inttypes.h>
#include <stdio.h>

#include <memctl/units.h>

static uint64_t random_weight(struct random *random)
{
    switch (random_below(random, 8)) {
    case 6:
        return 1;
    case 7:
        return MC_ALLOCATE_WEIGHT_MAX;
    default:
        return random_scaled(random, 1, MC_ALLOCATE_WEIGHT_MAX);
    }
}

static struct mc_demand random_demand(struct random *random, uint64_t largest, uint32_t rate)
{
    struct mc_demand d = {.rate_above = rate};

    d.max = random_below(random, 16) == 15 ? largest : random_scaled(random, 0, largest);
    d.min = random_below(random, 8) == 7 ? d.max : random_scaled(random, 0, d.max);
    d.knee = random_scaled(random, 0, 2 * largest);
    d.weight = random_weight(random);
    return d;
}

/* Counted from the sum of min, so that a guest can be cut out without changing what is left. */
static uint64_t random_budget(struct random *random, uint64_t sum_min, uint64_t sum_max)
{
    switch (random_below(random, 8)) {
    case 4:
        return random_between(random, 0, sum_min);
    case 5:
        return sum_min;
    case 6:
        return sum_max;
    case 7:
        return 0;
    default:
        return sum_min + random_between(random, 0, sum_max - sum_min + 3);
    }
}

struct problem random_problem(struct random *random, uint64_t largest)
{
    static const uint32_t rates[] = {MC_RATE_ONE, MC_RATE_ONE / 2, MC_RATE_ONE / 4, 333333, 1};
    uint32_t rate = rates[random_below(random, 5)];
    bool same_for_all = random_below(random, 2) == 0;
    uint64_t sum_min = 0, sum_max = 0;
    struct problem problem = {0};

    while (random_more(random, problem.count, GUESTS_MAX)) {
        struct mc_demand *d = &problem.demands[problem.count];

        *d = random_demand(random, largest, same_for_all ? rate : rates[random_below(random, 5)]);
        d->key = random_below(random, 1 << 16) * GUESTS_MAX + problem.count++;
        sum_min += d->min;
        sum_max += d->max;
    }
    problem.budget = random_budget(random, sum_min, sum_max);
    return problem;
}

void problem_print(const struct problem *problem, const uint64_t *pages)
{
    fprintf(stderr, "struct problem problem = {\n    .budget = %" PRIu64 ",\n    .count = %zu,\n",
            problem->budget, problem->count);
    fprintf(stderr, "    .demands = {\n");
    for (size_t i = 0; i < problem->count; i++) {
        const struct mc_demand *d = &problem->demands[i];

        fprintf(stderr,
                "        {.min = %" PRIu64 ", .max = %" PRIu64 ", .weight = %" PRIu64
                ", .knee = %" PRIu64 ", .rate_above = %" PRIu32 ", .key = %" PRIu64
                "}, /* got %" PRIu64 " */\n",
                d->min, d->max, d->weight, d->knee, d->rate_above, d->key, pages[i]);
    }
    fprintf(stderr, "    },\n};\n");
}

bool is_cheaper(const struct mc_demand *a, uint64_t p, const struct mc_demand *b, uint64_t q)
{
    const struct mc_demand *d[2] = {a, b};
    const uint64_t page[2] = {p, q};
    __extension__ unsigned __int128 num[2];
    uint64_t den[2];

    for (int i = 0; i < 2; i++) {
        uint64_t below = mc_min_u64(page[i], d[i]->knee);

        num[i] = below;
        num[i] = num[i] * d[i]->rate_above + (page[i] - below) * MC_RATE_ONE;
        den[i] = d[i]->weight * d[i]->rate_above;
    }
    if (num[0] * den[1] != num[1] * den[0])
        return num[0] * den[1] < num[1] * den[0];
    return a->key < b->key;
}

uint64_t problem_to_give(const struct problem *problem)
{
    uint64_t sum_min = 0, sum_max = 0;

    for (size_t i = 0; i < problem->count; i++) {
        sum_min += problem->demands[i].min;
        sum_max += problem->demands[i].max;
    }
    return mc_clamp_u64(problem->budget, sum_min, sum_max);
}

/* Everybody's min; returns what is left. */
static uint64_t give_min(const struct problem *problem, uint64_t *pages)
{
    uint64_t left = problem_to_give(problem);

    for (size_t i = 0; i < problem->count; i++) {
        pages[i] = problem->demands[i].min;
        left -= pages[i];
    }
    return left;
}

void solve_page_by_page(const struct problem *problem, uint64_t *pages)
{
    for (uint64_t left = give_min(problem, pages); left; left--) {
        size_t best = problem->count;

        for (size_t i = 0; i < problem->count; i++) {
            if (pages[i] == problem->demands[i].max)
                continue;
            if (best == problem->count || is_cheaper(&problem->demands[i], pages[i] + 1,
                                                     &problem->demands[best], pages[best] + 1))
                best = i;
        }
        pages[best]++;
    }
}

/* The guest with the most pages between low and high; problem->count if none has any. */
static size_t widest(const struct problem *problem, const uint64_t *low, const uint64_t *high)
{
    size_t best = problem->count;

    for (size_t i = 0; i < problem->count; i++)
        if (high[i] > low[i] &&
            (best == problem->count || high[i] - low[i] > high[best] - low[best]))
            best = i;
    return best;
}

/* How many pages guest i has, from low to high, when all that are not dearer than this one count.
 */
static uint64_t pages_up_to(const struct mc_demand *d, uint64_t low, uint64_t high,
                            const struct mc_demand *pivot, uint64_t page)
{
    if (d == pivot)
        return page;
    while (low < high) {
        uint64_t middle = high - (high - low) / 2;

        if (is_cheaper(d, middle, pivot, page))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

void solve_by_bisection(const struct problem *problem, uint64_t *pages)
{
    uint64_t low[GUESTS_MAX], high[GUESTS_MAX], up_to[GUESTS_MAX];
    uint64_t to_give = give_min(problem, low);
    size_t pivot;

    for (size_t i = 0; i < problem->count; i++)
        high[i] = problem->demands[i].max;
    while ((pivot = widest(problem, low, high)) < problem->count) {
        uint64_t page = high[pivot] - (high[pivot] - low[pivot]) / 2, more = 0;

        for (size_t i = 0; i < problem->count; i++) {
            up_to[i] =
                pages_up_to(&problem->demands[i], low[i], high[i], &problem->demands[pivot], page);
            more += up_to[i] - low[i];
        }
        if (more > to_give) {
            for (size_t i = 0; i < problem->count; i++)
                high[i] = up_to[i];
            high[pivot]--; /* of the pages that do not all fit, the dearest goes */
            continue;
        }
        for (size_t i = 0; i < problem->count; i++)
            low[i] = up_to[i];
        to_give -= more;
    }
    for (size_t i = 0; i < problem->count; i++)
        pages[i] = low[i];
}
