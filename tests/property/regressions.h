/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Histories that once broke a promise, in a table: it was printed by what found them. */
#ifndef MEMCTL_TEST_REGRESSIONS_H
#define MEMCTL_TEST_REGRESSIONS_H

#include "rest.h"

struct regression {
    const char *name;
    void (*plays)(struct property *property, const struct script *script);
    struct script script;
};

/* Each is a test. Returns what main() returns. */
int regressions_run(const struct regression *regressions, size_t count);

#endif
