/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the memory that nobody misses. A guest that hardly ever waits for memory is asked for a
 * little of it all the time; one that waits more than it may gets more at once. What a guest wants
 * in this way is the most that it gets, and where the wants do not fit, they are divided as
 * idle-tax divides. The control law is that of Senpai (Weiner et al., "TMO: Transparent Memory
 * Offloading in Datacenters", ASPLOS 2022): the step down gets smaller as the stall time nears its
 * target.
 *
 * The stall time is told by the agent inside the guest. A guest without one is treated as by
 * idle-tax.
 */
#include <memctl/policy.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <memctl/units.h>

enum { STALL_TARGET, SHRINK, GROW, TAX, PARAM_COUNT };

static const struct mc_policy_param params_pressure[] = {
    [STALL_TARGET] =
        {
            .name = "stall-target",
            .description = "the part of the time that a guest may wait for memory",
            .type = MC_PARAM_RATIO,
            .fallback = 0.001,
            .low = 0.00001,
            .high = 0.5,
        },
    [SHRINK] =
        {
            .name = "shrink",
            .description = "what a guest that does not wait gives up in a second, as a part of it",
            .type = MC_PARAM_RATIO,
            .fallback = 0.001,
            .low = 0,
            .high = 0.1,
        },
    [GROW] =
        {
            .name = "grow",
            .description = "what a guest that waits too much gets at once, as a part of its size",
            .type = MC_PARAM_RATIO,
            .fallback = 0.25,
            .low = 0.01,
            .high = 4,
        },
    [TAX] =
        {
            .name = "tax",
            .description = "the tax on idle memory where the wants do not fit, as in idle-tax",
            .type = MC_PARAM_RATIO,
            .fallback = 0.5,
            .low = 0,
            .high = 1,
            .below_high = true,
        },
};

/* The same stall time is news again after so long: agents report every few seconds. */
#define STALL_OLD_MS 5000

/* A pass that comes late does not make up for all the time that was lost. */
#define PASS_MOST_MS 10000

/* The want runs ahead of the balloon by at most this part of the guest's size, or these bytes. */
#define AHEAD_PART 20
#define AHEAD_LEAST (64 * MC_MIB)

/* What is remembered of a guest. */
struct want {
    uint64_t key;
    bool taken;
    uint64_t bytes;
    uint64_t stall_us; /* that it grew for last, and when */
    uint64_t grown_ms;
};

/* Wants by key, open addressing; rebuilt in every pass, so that guests that left are forgotten. */
struct wants {
    struct want *list;
    size_t room; /* a power of two, at most half taken */
};

struct pressure {
    struct mc_divider *divider;
    struct wants now, next;
    uint64_t last_ms; /* 0 before the first pass */
};

static void *open_pressure(void)
{
    struct pressure *pressure = calloc(1, sizeof(*pressure));

    if (!pressure)
        return NULL;
    pressure->divider = mc_divider_new();
    if (!pressure->divider) {
        free(pressure);
        return NULL;
    }
    return pressure;
}

static void close_pressure(void *state)
{
    struct pressure *pressure = state;

    mc_divider_free(pressure->divider);
    free(pressure->now.list);
    free(pressure->next.list);
    free(pressure);
}

/* Empty, with room for count. */
static int clear(struct wants *wants, size_t count)
{
    size_t room = wants->room ? wants->room : 16;

    while (room < 2 * count)
        room *= 2;
    if (room > wants->room) {
        struct want *list = reallocarray(wants->list, room, sizeof(*list));

        if (!list)
            return -ENOMEM;
        wants->list = list;
        wants->room = room;
    }
    for (size_t i = 0; i < wants->room; i++)
        wants->list[i].taken = false;
    return 0;
}

/* The place of this key, taken or free; NULL in a table without room. */
static struct want *find(const struct wants *wants, uint64_t key)
{
    size_t at = key & (wants->room - 1);

    if (!wants->room)
        return NULL;
    while (wants->list[at].taken && wants->list[at].key != key)
        at = (at + 1) & (wants->room - 1);
    return &wants->list[at];
}

static uint64_t part_of(uint64_t bytes, double part)
{
    return (uint64_t)((double)bytes * part);
}

static uint64_t grow(struct want *want, const struct mc_policy_guest *guest, const double *params,
                     uint64_t now_ms)
{
    if (guest->stall_us == want->stall_us && now_ms - want->grown_ms < STALL_OLD_MS)
        return want->bytes;
    want->stall_us = guest->stall_us;
    want->grown_ms = now_ms;
    return mc_max_u64(want->bytes, guest->current + part_of(guest->current, params[GROW]));
}

static uint64_t shrink(const struct want *want, const struct mc_policy_guest *guest,
                       const double *params, uint64_t passed_ms)
{
    double calm = 1 - (double)guest->stall_us / (params[STALL_TARGET] * 1e6);
    double part = params[SHRINK] * calm * (double)passed_ms / 1000;
    uint64_t ahead = mc_max_u64(guest->current / AHEAD_PART, AHEAD_LEAST);

    return mc_max_u64(mc_less_u64(want->bytes, part_of(guest->current, part)),
                      mc_less_u64(guest->current, ahead));
}

/* The most that this guest shall get now. */
static uint64_t update(struct want *want, const struct mc_policy_guest *guest, const double *params,
                       uint64_t now_ms, uint64_t passed_ms)
{
    if (guest->stall_us == MC_UNKNOWN) {
        want->bytes = guest->current;
        return guest->max;
    }
    if ((double)guest->stall_us > params[STALL_TARGET] * 1e6)
        want->bytes = grow(want, guest, params, now_ms);
    else
        want->bytes = shrink(want, guest, params, passed_ms);
    want->bytes = mc_clamp_u64(want->bytes, guest->min, guest->max);
    return want->bytes;
}

static int decide_pressure(const struct mc_policy_input *input, const double *params, void *state,
                           uint64_t *targets)
{
    struct pressure *pressure = state;
    struct mc_demand *demands = mc_divider_demands(pressure->divider, input);
    uint64_t passed_ms = pressure->last_ms ? input->now_ms - pressure->last_ms : 0;
    uint32_t rate = (uint32_t)lround((1 - params[TAX]) * MC_RATE_ONE);
    struct wants old;

    if (!demands || clear(&pressure->next, input->count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < input->count; i++) {
        const struct mc_policy_guest *guest = &input->guests[i];
        const struct want *before = find(&pressure->now, guest->key);
        struct want *want = find(&pressure->next, guest->key);

        if (before && before->taken)
            *want = *before;
        else
            *want = (struct want){
                .key = guest->key, .taken = true, .bytes = guest->current, .stall_us = MC_UNKNOWN};
        demands[i].max =
            update(want, guest, params, input->now_ms, mc_min_u64(passed_ms, PASS_MOST_MS)) /
            MC_PAGE;
        demands[i].knee = guest->active / MC_PAGE;
        demands[i].rate_above = rate ? rate : 1;
    }
    old = pressure->now;
    pressure->now = pressure->next;
    pressure->next = old;
    pressure->last_ms = input->now_ms;
    return mc_divide(pressure->divider, input->budget, targets);
}

MC_PUBLIC const struct mc_policy mc_policy_module = {
    .abi = MC_POLICY_ABI,
    .name = "pressure",
    .description = "takes what guests do not miss, by their stall time, within what idle-tax gives",
    .params = params_pressure,
    .param_count = PARAM_COUNT,
    .open = open_pressure,
    .close = close_pressure,
    .decide = decide_pressure,
};
