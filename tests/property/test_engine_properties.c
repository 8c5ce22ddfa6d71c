/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random hosts with random guests: slow, lagging, limited, stuck for a while or now and then,
 * hung, lying, vanishing, rebooting, coming and going, with demands that jump; hosts on which
 * others take memory, operators who change settings and move balloons by hand. At every step of
 * every history the governor's promises must hold (invariants.c). A history that fails is shrunk to
 * a short one with few guests, and printed as a regression test begins.
 */
#include "testing.h"

#include "rest.h"

#define HISTORIES 2000

static void keeps_the_promises(struct property *property)
{
    struct script script = random_script(&property->random);

    history_runs(property, &script);
}

static void every_history_keeps_the_promises(void **state)
{
    (void)state;
    property_holds(keeps_the_promises, NULL, HISTORIES);
}

static void comes_to_rest(struct property *property)
{
    struct script script = random_script(&property->random);

    history_rests(property, &script);
}

static void every_history_comes_to_rest(void **state)
{
    (void)state;
    property_holds(comes_to_rest, NULL, HISTORIES / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_history_keeps_the_promises),
        cmocka_unit_test(every_history_comes_to_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
