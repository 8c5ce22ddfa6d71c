/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTLD_CLOCK_H
#define MEMCTLD_CLOCK_H

#include <stdint.h>

/* Milliseconds of the monotonic clock. */
uint64_t clock_now_ms(void);

#endif
