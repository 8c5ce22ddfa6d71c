/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a round of looking says: memory touched within half a window, and within all of it. Pure.
 * The idea is in round.c.
 */
#ifndef BALLOON_GUEST_AGENT_ROUND_H
#define BALLOON_GUEST_AGENT_ROUND_H

#include <stdbool.h>
#include <stdint.h>

/* The window's half; start with least_ms == most_ms for a window that does not change. */
struct round {
    uint64_t half_ms, least_ms, most_ms;
    unsigned settled;   /* rounds in a row that agreed, */
    unsigned unsettled; /* that did not */
    unsigned patience;  /* so many that agree, and a shorter window is tried */
    bool trying;        /* a shorter window */
    bool doubted;       /* the last round saw less than those before, and was not believed */
    uint64_t kept;      /* bytes: the figure as it was told last */
};

struct round round_begin(uint64_t least_ms, uint64_t most_ms);

/* Take both looks of a round: the bytes that are worked with, and how sure that is in percent. */
uint64_t round_take(struct round *round, uint64_t first, uint64_t second, unsigned *confidence);

/* So much less in the next round is no surprise. */
void round_expect_less(struct round *round, uint64_t bytes);

/* Samples of huge pages that count together. */
#define HUGE_LOTS 8

/* So much less in the next round is no surprise. */
void round_expect_less(struct round *round, uint64_t bytes);

/* Samples of huge pages that count together. */
#define HUGE_LOTS 8

/* What is known about huge pages. Start from {0}. */
struct huge {
    unsigned lots[HUGE_LOTS]; /* what of a huge page is not touched within a window, thousandths */
    unsigned learned;         /* lots, however many of them are still there */
    uint64_t pages;           /* in all of these */
    uint64_t known;           /* bytes: the figure when the last lot was learned */
    unsigned wait;            /* rounds until it is looked at again */
    unsigned failures;        /* lots in a row that showed nothing */
    uint64_t split;           /* bytes that were split before the present round */
    uint64_t before;          /* bytes touched in the last round, */
    uint64_t before_huge;     /* and in huge pages at its end, before the split */
    uint64_t noise;           /* by which two rounds differed between which none was split */
};

/* Take a round's bytes. True: split huge pages now, and say how many bytes that were. */
bool huge_take(struct huge *huge, uint64_t touched, uint64_t anon_huge, bool settled);

/* The bytes without what is not touched in huge pages. */
uint64_t huge_correct(const struct huge *huge, uint64_t touched, uint64_t anon_huge);

/* Would more rounds make it better known? */
bool huge_asks(const struct huge *huge, uint64_t touched, uint64_t anon_huge);

#endif
