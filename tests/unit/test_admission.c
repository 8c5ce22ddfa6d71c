/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Room for a guest that is about to start, on a simulated host. */
#include "testing.h"

#include <memctl/admission.h>

#include "host.h"

/* Three guests of 4 GiB that use `working_set` and have touched all, with 10 GiB for all. */
static void open_full(struct host *host, uint64_t working_set, unsigned overcommit_percent)
{
    struct mc_sim_guest_config guests[3];

    for (int i = 0; i < 3; i++)
        guests[i] = host_guest((const char[]){(char)('a' + i), 0}, 4 * MC_GIB, working_set);
    host_open(host, "shares", 10 * MC_GIB, guests, 3);
    host->config.overcommit_percent = overcommit_percent;
    mc_engine_configure(host->engine, &host->config, host->policy);
    host_run(host, 1);
    for (size_t i = 0; i < 3; i++)
        host->sim->guests[i].held = host->sim->guests[i].actual;
    host_run(host, 60);
}

static void what_is_free_is_room_at_once(void **state)
{
    struct mc_sim_guest_config guest = host_guest("a", MC_GIB, 100 * MC_MIB);
    struct host host;

    (void)state;
    host_open(&host, "shares", 10 * MC_GIB, &guest, 1);
    host_run(&host, 5);
    host.pledged = 8 * MC_GIB;
    host_run(&host, 1);
    assert_int_equal(mc_admission_judge(&host.plan, host.pledged), MC_ADMISSION_FITS);
    host_close(&host);
}

static void the_others_make_room(void **state)
{
    struct host host;
    unsigned passes = 0;

    (void)state;
    open_full(&host, 500 * MC_MIB, 100);
    host.pledged = 4 * MC_GIB;
    host_run(&host, 1);
    assert_int_equal(mc_admission_judge(&host.plan, host.pledged), MC_ADMISSION_CAN_FIT);
    while (mc_admission_judge(&host.plan, host.pledged) != MC_ADMISSION_FITS && passes++ < 60)
        host_run(&host, 1);
    assert_in_range(passes, 1, 59);
    assert_true(host_sum_held(&host) + host.pledged <= 10 * MC_GIB);
    host.pledged = 0;
    host_run(&host, 60);
    assert_true(host.plan.promised > 9 * MC_GIB); /* it is theirs again */
    host_close(&host);
}

static void nobody_makes_room_below_his_floor(void **state)
{
    struct host host;

    (void)state;
    open_full(&host, 2500 * MC_MIB, 100);
    host.pledged = 4 * MC_GIB;
    for (unsigned i = 0; i < 60; i++) {
        host_run(&host, 1);
        assert_int_equal(mc_admission_judge(&host.plan, host.pledged), MC_ADMISSION_CANNOT_FIT);
    }
    for (size_t i = 0; i < host.snapshot.count; i++)
        assert_true(host.snapshot.guests[i].actual > host.snapshot.guests[i].used + 60 * MC_MIB);
    host_close(&host);
}

static void what_was_promised_beyond_the_host_falls_in_the_same_pass(void **state)
{
    struct host host;
    uint64_t before;

    (void)state;
    open_full(&host, 500 * MC_MIB, 150);
    before = host.plan.divided;
    host.pledged = 4 * MC_GIB;
    host_run(&host, 1);
    assert_true(host.plan.divided + 2 * MC_GIB < before);
    host_close(&host);
}

static void pledges_are_served_in_their_order(void **state)
{
    const struct mc_plan plan = {.spare = 3 * MC_GIB, .givable = 2 * MC_GIB};

    (void)state;
    assert_int_equal(mc_admission_judge(&plan, 3 * MC_GIB), MC_ADMISSION_FITS);
    assert_int_equal(mc_admission_judge(&plan, 5 * MC_GIB), MC_ADMISSION_CAN_FIT);
    assert_int_equal(mc_admission_judge(&plan, 6 * MC_GIB), MC_ADMISSION_CANNOT_FIT);
}

static void qemu_is_guessed_from_those_that_run(void **state)
{
    struct mc_guest guests[] = {{.overhead = 100 * MC_MIB}, {.overhead = 0}, {.overhead = MC_GIB}};
    const struct mc_snapshot snapshot = {.guests = guests, .count = 3};
    const struct mc_snapshot nobody = {0};

    (void)state;
    assert_int_equal(mc_admission_overhead(&snapshot), (100 * MC_MIB + MC_GIB) / 2);
    assert_in_range(mc_admission_overhead(&nobody), 32 * MC_MIB, 512 * MC_MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_free_is_room_at_once),
        cmocka_unit_test(the_others_make_room),
        cmocka_unit_test(nobody_makes_room_below_his_floor),
        cmocka_unit_test(what_was_promised_beyond_the_host_falls_in_the_same_pass),
        cmocka_unit_test(pledges_are_served_in_their_order),
        cmocka_unit_test(qemu_is_guessed_from_those_that_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
