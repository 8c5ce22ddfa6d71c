/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much of the daemon's time a client may cost. Every client has a purse of processor time that
 * fills up again slowly; an answer is paid for when it was made, and who owes waits. Counting time
 * and not requests lets a thousand cheap questions pass and a few dear ones not. Pure: the time is
 * an argument.
 */
#ifndef MEMCTLD_ALLOWANCE_H
#define MEMCTLD_ALLOWANCE_H

#include <stdint.h>

/* A quarter of one processor's time in the long run, and two seconds at once. */
#define ALLOWANCE_PERCENT 25
#define ALLOWANCE_MOST_US 2000000

/* Clients remembered; a further one takes the place of who has spent the least. */
#define ALLOWANCE_PURSES 64

struct purse {
    uint64_t key;  /* whose it is: what the caller tells clients apart by */
    int64_t spent; /* microseconds; 0 is a full purse */
    uint64_t at_ms;
};

/* Start from {0}. */
struct allowance {
    struct purse purses[ALLOWANCE_PURSES];
};

/* How long the client has to wait until it may ask again, milliseconds; 0: it may. */
uint64_t allowance_wait_ms(const struct allowance *allowance, uint64_t key, uint64_t now_ms);

void allowance_charge(struct allowance *allowance, uint64_t key, uint64_t cost_us, uint64_t now_ms);

#endif
