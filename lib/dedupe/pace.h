/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long to pause after some work so that no more is used than so many per cent of one processor;
 * several threads can use more than one. Pure. */
#ifndef MEMCTL_PACE_H
#define MEMCTL_PACE_H

#include <stdint.h>

/* Microseconds. What was saved up may be spent at once up to a second's worth. */
struct mc_pace {
    uint64_t last_us;  /* of the wall clock, 0 at first */
    int64_t credit_us; /* of processor time */
};

/* Work that took spent_us of processor time has ended at now_us; returns the pause, microseconds.
 */
uint64_t mc_pace_pause(struct mc_pace *pace, uint64_t now_us, uint64_t spent_us, unsigned percent);

#endif
