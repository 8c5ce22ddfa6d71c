/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An example of a policy: strict priority. The guest with the most shares is filled up first, then
 * the next one, down to whoever finds nothing left and stays at its min.
 *
 *   cc -shared -fPIC -fvisibility=hidden priority.c $(pkg-config --cflags --libs memctl) \
 *      -o priority.so
 */
#include <memctl/policy.h>

#include <errno.h>
#include <stdlib.h>

#include <memctl/units.h>

/* A guest in the order in which it is filled. */
struct entry {
    uint64_t shares, key;
    size_t index;
};

/* Working memory, kept from one decision to the next. */
struct priority {
    struct entry *order;
    size_t room;
};

static const struct mc_policy_param params_priority[] = {
    {
        .name = "fill",
        .description = "the part of its max that a guest gets before the next one is asked",
        .type = MC_PARAM_RATIO,
        .fallback = 1,
        .low = 0,
        .high = 1,
    },
};

static void *open_priority(void)
{
    return calloc(1, sizeof(struct priority));
}

static void close_priority(void *state)
{
    struct priority *priority = state;

    free(priority->order);
    free(priority);
}

/* By shares, the most first. The key makes the answer the same in every order of guests. */
static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->shares != y->shares)
        return x->shares > y->shares ? -1 : 1;
    return x->key < y->key ? -1 : x->key > y->key;
}

static int sort_guests(struct priority *priority, const struct mc_policy_input *input)
{
    if (input->count > priority->room) {
        struct entry *order = reallocarray(priority->order, input->count, sizeof(*order));

        if (!order)
            return -ENOMEM;
        priority->order = order;
        priority->room = input->count;
    }
    for (size_t i = 0; i < input->count; i++)
        priority->order[i] = (struct entry){input->guests[i].shares, input->guests[i].key, i};
    qsort(priority->order, input->count, sizeof(*priority->order), compare_entries);
    return 0;
}

/* Raise the targets in order to the part `fill` of each max; returns what is left. */
static uint64_t fill_up(const struct priority *priority, const struct mc_policy_input *input,
                        double fill, uint64_t left, uint64_t *targets)
{
    for (size_t i = 0; i < input->count; i++) {
        size_t which = priority->order[i].index;
        uint64_t wanted = (uint64_t)((double)input->guests[which].max * fill) / MC_PAGE * MC_PAGE;
        uint64_t more = mc_min_u64(mc_less_u64(wanted, targets[which]), left);

        targets[which] += more;
        left -= more;
    }
    return left;
}

static int decide_priority(const struct mc_policy_input *input, const double *params, void *state,
                           uint64_t *targets)
{
    struct priority *priority = state;
    uint64_t sum_min = 0, left;

    if (sort_guests(priority, input) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < input->count; i++) {
        targets[i] = input->guests[i].min;
        sum_min += input->guests[i].min;
    }
    left = fill_up(priority, input, params[0], mc_less_u64(input->budget, sum_min), targets);
    fill_up(priority, input, 1, left, targets);
    return 0;
}

MC_PUBLIC const struct mc_policy mc_policy_module = {
    .abi = MC_POLICY_ABI,
    .name = "priority",
    .description = "fills guests up one after another, the one with the most shares first",
    .params = params_priority,
    .param_count = 1,
    .open = open_priority,
    .close = close_priority,
    .decide = decide_priority,
};
