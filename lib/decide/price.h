/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prices of pages: exact, and quick to compare. See allocate.c for what they are. */
#ifndef MEMCTL_PRICE_H
#define MEMCTL_PRICE_H

#include <memctl/allocate.h>

__extension__ typedef unsigned __int128 u128; /* the one typedef: it has no short name */

/* A price as a fraction. num < 2^61, den < 2^41, so products of two fit into 128 bits. */
struct mc_price {
    double about; /* rounded; decides almost all comparisons */
    uint64_t num, den;
};

static inline struct mc_price mc_price(uint64_t num, uint64_t den)
{
    return (struct mc_price){.about = (double)num / (double)den, .num = num, .den = den};
}

/* The price at which the demand, min and max aside, reaches this many pages. */
static inline struct mc_price mc_price_of(const struct mc_demand *d, uint64_t pages)
{
    if (pages <= d->knee)
        return mc_price(pages, d->weight);
    return mc_price(d->knee * d->rate_above + (pages - d->knee) * MC_RATE_ONE,
                    d->weight * d->rate_above);
}

static inline int mc_price_compare(const struct mc_price *a, const struct mc_price *b)
{
    const double sure = 1e-14; /* far above the two roundings in `about`, far below what matters */
    double gap = a->about - b->about;
    u128 left, right;

    if (gap > sure * a->about)
        return 1;
    if (gap < -sure * b->about)
        return -1;
    left = (u128)a->num * b->den;
    right = (u128)b->num * a->den;
    return (left > right) - (left < right);
}

#endif
