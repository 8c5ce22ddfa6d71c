/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every cmocka test includes, in the order that cmocka wants. */
#ifndef MEMCTL_TESTING_H
#define MEMCTL_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
