/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dividing memory by price.
 *
 * Every guest's demand is a non-decreasing function of one price mu, linear between at most three
 * breakpoints: where it leaves its min, where it passes its knee, where it reaches its max. So the
 * sum of all demands is piecewise linear too, and the price at which it meets the budget is found
 * by looking for the stretch between breakpoints in which the budget lies, and solving one linear
 * equation there. Only the breakpoints near that stretch are ever sorted: the search halves them as
 * quicksort does, and what is surely cheap enough is summed up on the way. (Proportional shares
 * with an idle tax are Waldspurger's, "Memory Resource Management in VMware ESX Server", OSDI 2002,
 * section 5.3; that the optimum equalises the adjusted shares-per-page ratio is the same statement
 * as "one price for all".)
 *
 * The answer is exact. With ONE = MC_RATE_ONE, a demand between its breakpoints is
 *
 *     ONE * P(mu) = rate * mu + offset,   rate = weight * (ONE or rate_above),
 *                                         offset = 0 or knee * (ONE - rate_above)
 *
 * so the sums of rates and offsets are integers, and the price is a fraction of two integers:
 * mu = (ONE * budget - sum of what is fixed - sum of offset) / sum of rate. The bounds in the
 * header keep every product inside 128 bits.
 *
 * Memory comes in whole pages. Page p of a guest has the price mu at which P(mu) = p; the pages
 * given out are the cheapest ones. Rounding every P(mu) down gives all pages below the price; fewer
 * than one per guest are then left, and these are taken one by one in the order of their prices.
 * This is the divisor rule of Jefferson, and not that of largest remainders, because only divisor
 * rules are monotone in the budget (Balinski and Young, "Fair Representation", 1982).
 */
#include <memctl/allocate.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "decide/next_pages.h"
#include "decide/price.h"

struct breakpoint {
    struct mc_price price;
    uint32_t guest;
    uint8_t kind; /* enum breakpoint_kind */
};

/* In the order in which a guest passes them when all fall on one price. */
enum breakpoint_kind { LEAVES_MIN, PASSES_KNEE, REACHES_MAX };

struct solver_buffers {
    struct breakpoint *points, *scratch;
    uint32_t *heap;
    struct mc_price *next;
    uint8_t *stretch; /* per guest: the last breakpoint kind passed + 1; 0 is "at min" */
};

struct mc_solver {
    size_t room;
    struct solver_buffers b;
};

struct mc_solver *mc_solver_new(void)
{
    return calloc(1, sizeof(struct mc_solver));
}

static void free_buffers(struct solver_buffers *b)
{
    free(b->points);
    free(b->scratch);
    free(b->heap);
    free(b->next);
    free(b->stretch);
}

void mc_solver_free(struct mc_solver *solver)
{
    if (!solver)
        return;
    free_buffers(&solver->b);
    free(solver);
}

static int make_room(struct mc_solver *solver, size_t count)
{
    struct solver_buffers b;

    if (count <= solver->room)
        return 0;
    b = (struct solver_buffers){
        .points = calloc(3 * count, sizeof(*b.points)),
        .scratch = calloc(3 * count, sizeof(*b.scratch)),
        .heap = calloc(count, sizeof(*b.heap)),
        .next = calloc(count, sizeof(*b.next)),
        .stretch = calloc(count, sizeof(*b.stretch)),
    };
    if (!b.points || !b.scratch || !b.heap || !b.next || !b.stretch) {
        free_buffers(&b);
        return -ENOMEM;
    }
    free_buffers(&solver->b);
    solver->b = b;
    solver->room = count;
    return 0;
}

static bool comes_after(const struct breakpoint *a, const struct breakpoint *b)
{
    int order = mc_price_compare(&a->price, &b->price);

    return order ? order > 0 : a->kind > b->kind;
}

static void add_point(struct breakpoint *points, size_t *used, uint32_t guest,
                      struct mc_price price, enum breakpoint_kind kind)
{
    points[(*used)++] = (struct breakpoint){
        .price = price,
        .guest = guest,
        .kind = (uint8_t)kind,
    };
}

static size_t collect_points(struct breakpoint *points, const struct mc_demand *demands,
                             size_t count)
{
    size_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct mc_demand *d = &demands[i];

        if (d->min == d->max)
            continue;
        add_point(points, &used, i, mc_price_of(d, d->min), LEAVES_MIN);
        if (d->knee > d->min && d->knee < d->max && d->rate_above != MC_RATE_ONE)
            add_point(points, &used, i, mc_price_of(d, d->knee), PASSES_KNEE);
        add_point(points, &used, i, mc_price_of(d, d->max), REACHES_MAX);
    }
    return used;
}

/* Bottom-up merge sort: n log n whatever the input, and no memory of its own, unlike qsort(3). */
static struct breakpoint *sort_points(struct breakpoint *from, struct breakpoint *to, size_t count)
{
    for (size_t width = 1; width < count; width *= 2) {
        struct breakpoint *swap = from;

        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = start + 2 * width < count ? start + 2 * width : count;
            size_t left = start, right = middle;

            for (size_t out = start; out < end; out++) {
                bool take_right =
                    left == middle || (right < end && comes_after(&from[left], &from[right]));

                to[out] = take_right ? from[right++] : from[left++];
            }
        }
        from = to;
        to = swap;
    }
    return from;
}

/* The sum of all demands in one stretch between breakpoints: (rate * mu + offset) / ONE + fixed. */
struct sum {
    u128 rate;
    u128 offset;
    u128 fixed;
};

static uint64_t rate_of(const struct mc_demand *d, bool above_knee)
{
    return d->weight * (above_knee ? d->rate_above : MC_RATE_ONE);
}

static uint64_t offset_of(const struct mc_demand *d, bool above_knee)
{
    return above_knee ? d->knee * (MC_RATE_ONE - d->rate_above) : 0;
}

/* A guest whose knee lies at or below its min is above its knee from the start. */
static bool starts_above_knee(const struct mc_demand *d)
{
    return d->knee <= d->min;
}

/* A knee that is not a breakpoint (below min, above max, no bend) never changes the slope. */
static bool is_above_knee(const struct mc_demand *d, uint8_t stretch)
{
    return starts_above_knee(d) || stretch == PASSES_KNEE + 1;
}

/*
 * What changes when a guest passes a breakpoint. It depends on the breakpoint alone, so any set
 * that contains all that are cheaper than one of its own may be passed in any order. (In between,
 * the sums may wrap around below zero.)
 */
static void pass(struct sum *sum, const struct mc_demand *d, enum breakpoint_kind kind)
{
    bool was_above = starts_above_knee(d) || (kind == REACHES_MAX && d->knee < d->max);
    bool is_above = starts_above_knee(d) || kind == PASSES_KNEE;

    if (kind == LEAVES_MIN) {
        sum->fixed -= d->min;
    } else {
        sum->rate -= rate_of(d, was_above);
        sum->offset -= offset_of(d, was_above);
    }
    if (kind == REACHES_MAX) {
        sum->fixed += d->max;
    } else {
        sum->rate += rate_of(d, is_above);
        sum->offset += offset_of(d, is_above);
    }
}

/* Does the sum at this price still stay within the budget? */
static bool within_budget(const struct sum *sum, struct mc_price price, uint64_t budget)
{
    u128 left = (u128)MC_RATE_ONE * budget;
    u128 fixed = sum->fixed * MC_RATE_ONE + sum->offset;
    u128 room, whole, rest;

    if (fixed > left)
        return false;
    room = left - fixed;
    /* rate * num / den <= room, without overflow: rate < 2^60, num < 2^61 */
    whole = sum->rate * price.num;
    rest = room * price.den;
    return whole <= rest;
}

/* The breakpoints from low on, up to high, of which it is not known which ones are passed. */
struct search {
    const struct mc_demand *demands;
    struct breakpoint *points, *scratch;
    size_t low, high;
    struct sum sum; /* with all before low passed */
    uint8_t *stretch;
    uint64_t budget;
};

static void pass_up_to(struct search *s, size_t end)
{
    for (; s->low < end; s->low++) {
        const struct breakpoint *point = &s->points[s->low];
        uint8_t *stretch = &s->stretch[point->guest];

        pass(&s->sum, &s->demands[point->guest], point->kind);
        if (*stretch < point->kind + 1)
            *stretch = (uint8_t)(point->kind + 1);
    }
}

static void swap_points(struct breakpoint *a, struct breakpoint *b)
{
    struct breakpoint swap = *a;

    *a = *b;
    *b = swap;
}

static struct breakpoint median(const struct breakpoint *a, const struct breakpoint *b,
                                const struct breakpoint *c)
{
    if (comes_after(a, b)) {
        const struct breakpoint *swap = a;

        a = b;
        b = swap;
    }
    if (!comes_after(b, c))
        return *b;
    return comes_after(a, c) ? *a : *c;
}

/*
 * Divide what is unknown by one of its prices: below, equal, above. All demands are continuous, so
 * at that price it makes no difference whether those that are equal were passed.
 */
static void halve(struct search *s)
{
    struct breakpoint pivot = median(
        &s->points[s->low], &s->points[s->low + (s->high - s->low) / 2], &s->points[s->high - 1]);
    size_t below = s->low, at = s->low, above = s->high;
    struct sum sum = s->sum;

    while (at < above) {
        if (comes_after(&s->points[at], &pivot)) {
            swap_points(&s->points[at], &s->points[--above]);
            continue;
        }
        pass(&sum, &s->demands[s->points[at].guest], s->points[at].kind);
        if (comes_after(&pivot, &s->points[at]))
            swap_points(&s->points[below++], &s->points[at]);
        at++;
    }
    if (within_budget(&sum, pivot.price, s->budget))
        pass_up_to(s, above);
    else
        s->high = below;
}

/*
 * Pass all breakpoints up to the price. Halving does it in linear time, but for inputs that are
 * made against it; so it ends after as many rounds as sorting takes, and what is left is sorted.
 */
static void find_price(struct search *s)
{
    const size_t few = 16;

    for (size_t rounds = s->high; s->high - s->low > few && rounds; rounds /= 2)
        halve(s);
    s->points = sort_points(s->points + s->low, s->scratch, s->high - s->low) - s->low;
    while (s->low < s->high && within_budget(&s->sum, s->points[s->low].price, s->budget))
        pass_up_to(s, s->low + 1);
}

/* Pages of one guest at mu = room / rate, rounded down. */
static uint64_t pages_at(const struct mc_demand *d, uint8_t stretch, u128 room, u128 rate)
{
    bool above;

    if (stretch == 0)
        return d->min;
    if (stretch == REACHES_MAX + 1)
        return d->max;
    above = is_above_knee(d, stretch);
    return (uint64_t)((room * rate_of(d, above) + rate * offset_of(d, above)) /
                      (rate * MC_RATE_ONE));
}

static bool in_range(const struct mc_demand *d)
{
    return d->min <= d->max && d->max <= MC_ALLOCATE_PAGES_MAX && d->weight >= 1 &&
           d->weight <= MC_ALLOCATE_WEIGHT_MAX && d->rate_above >= 1 &&
           d->rate_above <= MC_RATE_ONE;
}

/* min > budget or max <= budget in sum: nothing to solve. Returns whether that was so. */
static bool take_simple_case(const struct mc_demand *demands, size_t count, uint64_t budget,
                             uint64_t *pages, struct mc_allocation *outcome)
{
    uint64_t min = 0, max = 0;

    for (size_t i = 0; i < count; i++) {
        min += demands[i].min;
        max += demands[i].max;
    }
    outcome->deficit = min > budget ? min - budget : 0;
    outcome->surplus = max < budget ? budget - max : 0;
    if (min < budget && max > budget)
        return false;
    for (size_t i = 0; i < count; i++)
        pages[i] = min >= budget ? demands[i].min : demands[i].max;
    return true;
}

int mc_allocate(struct mc_solver *solver, const struct mc_demand *demands, size_t count,
                uint64_t budget, uint64_t *pages, struct mc_allocation *outcome)
{
    struct search search = {.demands = demands, .budget = budget};
    uint64_t given = 0;
    u128 room;

    if (count > MC_ALLOCATE_COUNT_MAX)
        return -ERANGE;
    for (size_t i = 0; i < count; i++)
        if (!in_range(&demands[i]))
            return -ERANGE;
    if (take_simple_case(demands, count, budget, pages, outcome))
        return 0;
    if (make_room(solver, count) < 0)
        return -ENOMEM;

    search.points = solver->b.points;
    search.scratch = solver->b.scratch;
    search.stretch = solver->b.stretch;
    for (size_t i = 0; i < count; i++) {
        search.stretch[i] = demands[i].min == demands[i].max ? REACHES_MAX + 1 : 0;
        search.sum.fixed += demands[i].min;
    }
    search.high = collect_points(search.points, demands, count);
    find_price(&search);

    room = (u128)MC_RATE_ONE * budget - search.sum.fixed * MC_RATE_ONE - search.sum.offset;
    for (size_t i = 0; i < count; i++) {
        pages[i] = pages_at(&demands[i], search.stretch[i], room, search.sum.rate);
        given += pages[i];
    }
    mc_next_pages_give(
        &(struct mc_next_pages){.demands = demands, .next = solver->b.next, .heap = solver->b.heap},
        count, budget - given, pages);
    return 0;
}
