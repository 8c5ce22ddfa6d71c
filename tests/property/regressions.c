/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "regressions.h"

#include <stdlib.h>

#include "testing.h"

static void play(struct property *property)
{
    const struct regression *regression = property->subject;

    regression->plays(property, &regression->script);
}

static void keeps_its_promise(void **state)
{
    property_holds(play, *state, 1);
}

int regressions_run(const struct regression *regressions, size_t count)
{
    struct CMUnitTest *tests = calloc(count, sizeof(*tests));
    int failed;

    if (!tests)
        return EXIT_FAILURE;
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){.name = regressions[i].name,
                                       .test_func = keeps_its_promise,
                                       .initial_state = (void *)(uintptr_t)&regressions[i]};
    failed = _cmocka_run_group_tests("regressions", tests, count, NULL, NULL);
    free(tests);
    return failed;
}
