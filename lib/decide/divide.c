/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every policy does around the solver: bytes to pages, demands, pages to bytes. */
#include <memctl/policy.h>

#include <errno.h>
#include <stdlib.h>

#include <memctl/units.h>

struct mc_divider {
    struct mc_solver *solver;
    struct mc_demand *demands;
    uint64_t *pages;
    size_t count, room;
};

struct mc_divider *mc_divider_new(void)
{
    struct mc_divider *divider = calloc(1, sizeof(*divider));

    if (!divider)
        return NULL;
    divider->solver = mc_solver_new();
    if (!divider->solver) {
        free(divider);
        return NULL;
    }
    return divider;
}

void mc_divider_free(struct mc_divider *divider)
{
    if (!divider)
        return;
    mc_solver_free(divider->solver);
    free(divider->demands);
    free(divider->pages);
    free(divider);
}

static int make_room(struct mc_divider *divider, size_t count)
{
    struct mc_demand *demands;
    uint64_t *pages;

    if (count <= divider->room)
        return 0;
    demands = reallocarray(divider->demands, count, sizeof(*demands));
    if (!demands)
        return -ENOMEM;
    divider->demands = demands;
    pages = reallocarray(divider->pages, count, sizeof(*pages));
    if (!pages)
        return -ENOMEM;
    divider->pages = pages;
    divider->room = count;
    return 0;
}

struct mc_demand *mc_divider_demands(struct mc_divider *divider,
                                     const struct mc_policy_input *input)
{
    /* Room for one at least: NULL means out of memory, not "no guests". */
    if (make_room(divider, input->count ? input->count : 1) < 0)
        return NULL;
    for (size_t i = 0; i < input->count; i++) {
        const struct mc_policy_guest *guest = &input->guests[i];

        divider->demands[i] = (struct mc_demand){
            .min = guest->min / MC_PAGE,
            .max = guest->max / MC_PAGE,
            .weight = guest->shares,
            .knee = 0,
            .rate_above = MC_RATE_ONE,
            .key = guest->key,
        };
    }
    divider->count = input->count;
    return divider->demands;
}

int mc_divide(struct mc_divider *divider, uint64_t budget, uint64_t *targets)
{
    struct mc_allocation outcome;
    int rc = mc_allocate(divider->solver, divider->demands, divider->count, budget / MC_PAGE,
                         divider->pages, &outcome);

    for (size_t i = 0; rc == 0 && i < divider->count; i++)
        targets[i] = divider->pages[i] * MC_PAGE;
    return rc;
}
