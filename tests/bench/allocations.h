/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTL_BENCH_ALLOCATIONS_H
#define MEMCTL_BENCH_ALLOCATIONS_H

/* Calls of malloc() and its kin in this process so far, loaded modules included. */
unsigned long allocations(void);

#endif
