/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "allowance.h"

#include <stddef.h>

/* Nobody owes for longer than this, whatever an answer cost. */
#define WAIT_MOST_MS 10000

/* What a millisecond gives back. */
#define REFILL_US (1000 * ALLOWANCE_PERCENT / 100)

static int64_t spent_at(const struct purse *purse, uint64_t now_ms)
{
    uint64_t passed = now_ms > purse->at_ms ? now_ms - purse->at_ms : 0;
    const uint64_t full = (ALLOWANCE_MOST_US + WAIT_MOST_MS * REFILL_US) / REFILL_US + 1;
    int64_t spent;

    if (passed >= full)
        return 0;
    spent = purse->spent - (int64_t)passed * REFILL_US;
    return spent > 0 ? spent : 0;
}

static const struct purse *find(const struct allowance *allowance, uint64_t key)
{
    for (size_t i = 0; i < ALLOWANCE_PURSES; i++)
        if (allowance->purses[i].key == key)
            return &allowance->purses[i];
    return NULL;
}

uint64_t allowance_wait_ms(const struct allowance *allowance, uint64_t key, uint64_t now_ms)
{
    const struct purse *purse = find(allowance, key);
    int64_t spent = purse ? spent_at(purse, now_ms) : 0;

    if (spent < ALLOWANCE_MOST_US)
        return 0;
    return (uint64_t)(spent - ALLOWANCE_MOST_US) / REFILL_US + 1;
}

/* The client's own purse, or the fullest one: whoever had that loses next to nothing. */
static struct purse *purse_for(struct allowance *allowance, uint64_t key, uint64_t now_ms)
{
    struct purse *fullest = &allowance->purses[0];

    for (size_t i = 0; i < ALLOWANCE_PURSES; i++) {
        struct purse *purse = &allowance->purses[i];

        if (purse->key == key)
            return purse;
        if (spent_at(purse, now_ms) < spent_at(fullest, now_ms))
            fullest = purse;
    }
    *fullest = (struct purse){.key = key, .at_ms = now_ms};
    return fullest;
}

void allowance_charge(struct allowance *allowance, uint64_t key, uint64_t cost_us, uint64_t now_ms)
{
    const int64_t most = ALLOWANCE_MOST_US + (int64_t)WAIT_MOST_MS * REFILL_US;
    struct purse *purse = purse_for(allowance, key, now_ms);
    int64_t spent = spent_at(purse, now_ms);

    if (cost_us > (uint64_t)(most - spent))
        cost_us = (uint64_t)(most - spent);
    purse->spent = spent + (int64_t)cost_us;
    purse->at_ms = now_ms;
}
