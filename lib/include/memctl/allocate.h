/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one solver behind all allocation policies: at what price do the demands fit the budget?
 */
#ifndef MEMCTL_ALLOCATE_H
#define MEMCTL_ALLOCATE_H

#include <stddef.h>
#include <stdint.h>

#include <memctl/visibility.h>

/* Bounds of the arithmetic: beyond them mc_allocate() answers -ERANGE. */
#define MC_ALLOCATE_PAGES_MAX ((uint64_t)1 << 40) /* 4 PiB in pages of 4 KiB */
#define MC_ALLOCATE_WEIGHT_MAX ((uint64_t)1 << 20)
#define MC_ALLOCATE_COUNT_MAX ((size_t)1 << 20)

/* One is this many parts: the scale of mc_demand.rate_above. */
#define MC_RATE_ONE 1000000U

/*
 * What one guest asks for at price mu, in pages:
 *
 *     P(mu) = mu * weight                                        while that is at most `knee`
 *             knee + (mu * weight - knee) * rate_above / ONE     above it
 *
 * held between min and max. A knee at or above max makes it a plain proportional share.
 */
struct mc_demand {
    uint64_t min, max;   /* pages, min <= max <= MC_ALLOCATE_PAGES_MAX */
    uint64_t weight;     /* 1 .. MC_ALLOCATE_WEIGHT_MAX */
    uint64_t knee;       /* pages */
    uint32_t rate_above; /* 1 .. MC_RATE_ONE */
    uint64_t key;        /* breaks ties; the same for the same guest in every order of guests */
};

struct mc_allocation {
    uint64_t surplus; /* pages that nobody may take: the budget exceeds the sum of max */
    uint64_t deficit; /* pages by which the sum of min exceeds the budget */
};

/* Memory for mc_allocate(), kept between calls so that a steady daemon allocates nothing. */
struct mc_solver;

MC_PUBLIC struct mc_solver *mc_solver_new(void);
MC_PUBLIC void mc_solver_free(struct mc_solver *solver);

/*
 * Divide `budget` pages: pages[i] is what demand i gets. All of the budget is given out, unless all
 * are at max (surplus) or at min (deficit). Every page has a price, the mu at which its guest's
 * demand reaches it; the cheapest pages are the ones given out, and among pages of one price the
 * lower key wins. So the answer does not depend on the order of the guests, and more budget never
 * takes a page from anyone. O(n log n).
 *
 * Returns 0, -ENOMEM, or -ERANGE when an argument is outside the bounds above.
 */
MC_PUBLIC int mc_allocate(struct mc_solver *solver, const struct mc_demand *demands, size_t count,
                          uint64_t budget, uint64_t *pages, struct mc_allocation *outcome);

#endif
