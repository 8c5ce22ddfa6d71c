/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy `pressure` over several passes: its wants, and that they are bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <memctl/policy.h>
#include <memctl/units.h>

#define STALLS 2000 /* us a second, twice the target */

struct world {
    struct mc_policy_run *pressure, *idle_tax;
    struct mc_policy_guest guests[2];
    struct mc_policy_input input;
    uint64_t targets[2];
};

static int begin(void **state)
{
    static struct world world;
    struct mc_error err;

    world = (struct world){.input = {.budget = 8 * MC_GIB, .guests = world.guests, .count = 2}};
    for (size_t i = 0; i < 2; i++)
        world.guests[i] = (struct mc_policy_guest){.shares = 1000,
                                                   .min = 256 * MC_MIB,
                                                   .max = 4 * MC_GIB,
                                                   .current = 2 * MC_GIB,
                                                   .held = 2 * MC_GIB,
                                                   .active = MC_GIB,
                                                   .stall_us = 0,
                                                   .key = i + 1};
    *state = &world;
    return mc_policy_load("pressure", &world.pressure, &err) ||
           mc_policy_load("idle-tax", &world.idle_tax, &err);
}

static int end(void **state)
{
    struct world *world = *state;

    mc_policy_unload(world->pressure);
    mc_policy_unload(world->idle_tax);
    return 0;
}

/* One pass so many milliseconds later; the balloons are where they were asked to be. */
static void pass(struct world *world, uint64_t after_ms)
{
    struct mc_error err;

    world->input.now_ms += after_ms;
    assert_int_equal(mc_policy_decide(world->pressure, &world->input, world->targets, &err), 0);
    for (size_t i = 0; i < 2; i++)
        world->guests[i].current = world->targets[i];
}

static void takes_slowly_what_nobody_misses(void **state)
{
    struct world *world = *state;

    pass(world, 1000);
    for (unsigned i = 0; i < 60; i++)
        pass(world, 1000);
    /* 0.1 % a second for a minute */
    assert_in_range(world->targets[0], 1925 * MC_MIB, 1932 * MC_MIB);
    world->guests[0].stall_us = 500; /* half of what it may wait: half as fast */
    for (unsigned i = 0; i < 60; i++)
        pass(world, 1000);
    assert_in_range(world->targets[0], 1860 * MC_MIB, 1880 * MC_MIB);
    assert_in_range(world->targets[1], 1805 * MC_MIB, 1820 * MC_MIB);
}

static void gives_at_once_to_who_waits(void **state)
{
    struct world *world = *state;

    pass(world, 1000);
    world->guests[0].stall_us = STALLS;
    pass(world, 1000);
    assert_int_equal(world->targets[0], 2560 * MC_MIB);
    pass(world, 1000); /* the same report is not a second reason */
    assert_int_equal(world->targets[0], 2560 * MC_MIB);
    world->guests[0].stall_us = STALLS + 1;
    pass(world, 1000);
    assert_int_equal(world->targets[0], 3200 * MC_MIB);
    pass(world, 5000); /* it has not become better */
    assert_int_equal(world->targets[0], 4000 * MC_MIB);
}

static void treats_a_silent_guest_as_idle_tax_does(void **state)
{
    struct world *world = *state;
    uint64_t wanted[2];
    struct mc_error err;

    world->input.budget = 3 * MC_GIB;
    world->guests[0].active = 200 * MC_MIB;
    world->guests[0].stall_us = world->guests[1].stall_us = MC_UNKNOWN;
    assert_int_equal(mc_policy_decide(world->idle_tax, &world->input, wanted, &err), 0);
    pass(world, 1000);
    assert_memory_equal(world->targets, wanted, sizeof(wanted));
}

static void divides_wants_that_do_not_fit(void **state)
{
    struct world *world = *state;
    uint64_t wanted[2];
    struct mc_error err;

    world->input.budget = 3 * MC_GIB;
    world->guests[0].active = 200 * MC_MIB;
    world->guests[0].stall_us = world->guests[1].stall_us = STALLS;
    world->guests[0].max = world->guests[1].max = 2560 * MC_MIB; /* what both will want */
    assert_int_equal(mc_policy_decide(world->idle_tax, &world->input, wanted, &err), 0);
    pass(world, 1000);
    assert_memory_equal(world->targets, wanted, sizeof(wanted));
}

static void stops_at_the_reservation(void **state)
{
    struct world *world = *state;

    world->guests[0].min = 1900 * MC_MIB;
    for (unsigned i = 0; i < 200; i++)
        pass(world, 1000);
    assert_int_equal(world->targets[0], 1900 * MC_MIB);
}

/* A balloon that does not follow must not make the want run away from it. */
static void waits_for_the_balloon(void **state)
{
    struct world *world = *state;

    for (unsigned i = 0; i < 1000; i++) {
        pass(world, 1000);
        world->guests[0].current = 2 * MC_GIB;
    }
    assert_in_range(world->targets[0], 1945 * MC_MIB, 1946 * MC_MIB); /* 5 % away */
}

static void forgets_guests_that_left(void **state)
{
    struct world *world = *state;

    world->guests[0].stall_us = STALLS;
    pass(world, 1000);
    world->guests[0].key = 77; /* another guest in its place */
    world->guests[0].stall_us = 0;
    world->guests[0].current = MC_GIB;
    pass(world, 1000);
    assert_in_range(world->targets[0], 1022 * MC_MIB, MC_GIB);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(takes_slowly_what_nobody_misses),
        CASE(gives_at_once_to_who_waits),
        CASE(treats_a_silent_guest_as_idle_tax_does),
        CASE(divides_wants_that_do_not_fit),
        CASE(stops_at_the_reservation),
        CASE(waits_for_the_balloon),
        CASE(forgets_guests_that_left),
    };

    return cmocka_run_group_tests_name("pressure", tests, NULL, NULL);
}
