/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's thread that merges pages. */
#ifndef MEMCTL_TEST_KSMD_H
#define MEMCTL_TEST_KSMD_H

#include <sys/types.h>

/* 0 if it cannot be seen. */
pid_t ksmd_find(void);
/* Its processor time in seconds; the kernel counts in hundredths. */
double ksmd_seconds(pid_t pid);

#endif
