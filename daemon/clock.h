/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTLD_CLOCK_H
#define MEMCTLD_CLOCK_H

#include <stdint.h>

/* Milliseconds of the monotonic clock. */
uint64_t clock_now_ms(void);

/* Microseconds of processor time that the calling thread has had. */
uint64_t clock_processor_us(void);

/* Microseconds of the monotonic clock. */
uint64_t clock_now_us(void);

#endif
