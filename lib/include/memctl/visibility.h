/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTL_VISIBILITY_H
#define MEMCTL_VISIBILITY_H

/* The library is built with hidden visibility: only what carries this mark is its interface. */
#define MC_PUBLIC __attribute__((visibility("default")))

#endif
