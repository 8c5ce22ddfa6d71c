/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How host reclaim and the last resort go on a simulated host. */
#include "testing.h"

#include "host.h"

/* Two guests of 4 GiB that have touched all and use little; what else the host has, others take. */
static void open_short_host(struct host *host, uint64_t swap, const char *resort_a,
                            const char *resort_b)
{
    struct mc_sim_guest_config guests[] = {
        host_guest("a", 4 * MC_GIB, 500 * MC_MIB),
        host_guest("b", 4 * MC_GIB, 500 * MC_MIB),
    };

    guests[0].balloon = guests[1].balloon = false; /* so that only the host can take anything */
    mc_settings_say(&guests[0].own, "last-resort", resort_a, NULL);
    mc_settings_say(&guests[1].own, "last-resort", resort_b, NULL);
    mc_settings_say(&guests[1].own, "shares", "2000", NULL);
    host_open(host, "shares", 10 * MC_GIB, guests, 2);
    host->sim->host_memory = 16 * MC_GIB;
    host->sim->host_swap = swap;
    host_run(host, 2);
    for (size_t i = 0; i < 2; i++)
        host->sim->guests[i].held = 4 * MC_GIB;
    host_run(host, 10);
}

static void others_take(struct host *host, uint64_t bytes)
{
    host->sim->host_used.points[0].bytes = bytes;
}

static void a_host_in_need_swaps_out_what_lies_idle(void **state)
{
    struct host host;

    (void)state;
    open_short_host(&host, 8 * MC_GIB, "none", "none");
    others_take(&host, 16 * MC_GIB - 8 * MC_GIB - 100 * MC_MIB);
    host_run(&host, 1);
    assert_true(host.plan.state >= MC_HOST_HARD);
    host_run(&host, 30);
    assert_true(host.plan.state < MC_HOST_HARD);
    assert_true(host.sim->guests[0].swapped > 0);
    assert_true(host.sim->guests[0].swapped <= MC_GIB); /* a quarter: nobody can look into it */
    assert_int_equal(host.sim->guests[0].fetched, 0);
    host_close(&host);
}

/* Who wants it back waits for the disk. */
static void what_is_touched_again_comes_back_slowly(void **state)
{
    struct host host;

    (void)state;
    open_short_host(&host, 8 * MC_GIB, "none", "none");
    assert_int_equal(
        mc_session_reclaim(host.session, host_see(&host, "a")->uuid, 3800 * MC_MIB, NULL), 0);
    assert_int_equal(host.sim->guests[0].held, 296 * MC_MIB);
    host_run(&host, 1);
    assert_true(host.sim->guests[0].held < 540 * MC_MIB);
    host_run(&host, 5);
    assert_true(host.sim->guests[0].held >= 540 * MC_MIB);
    assert_true(host.sim->guests[0].fetched >= 200 * MC_MIB);
    host_close(&host);
}

static void guests_stop_one_by_one_and_go_on_when_there_is_memory(void **state)
{
    struct host host;
    unsigned first = 0, second = 0;

    (void)state;
    open_short_host(&host, 0, "suspend", "save");
    others_take(&host, 16 * MC_GIB - 8 * MC_GIB - 60 * MC_MIB);
    for (unsigned i = 0; i < 120; i++) {
        host_run(&host, 1);
        if (!first && host.sim->guests[1].saved)
            first = i + 1;
        if (!second && host.sim->guests[0].suspended)
            second = i + 1;
    }
    assert_in_range(first, 10, 15); /* the one that frees something */
    assert_int_equal(second, 0);    /* then there is memory */
    assert_int_equal(host.plan.stopped, 1);
    others_take(&host, 16 * MC_GIB - 4 * MC_GIB - 60 * MC_MIB); /* not for long */
    host_run(&host, 60);
    assert_true(host.sim->guests[0].suspended);
    assert_int_equal(host.plan.stopped, 2);

    others_take(&host, MC_GIB);
    host_run(&host, 50);
    assert_int_equal(host.plan.stopped, 2); /* not before it was clear for a while */
    host_run(&host, 20);
    assert_false(host.sim->guests[0].suspended);
    assert_false(host.sim->guests[1].running);
    host_run(&host, 40);
    assert_true(host.sim->guests[1].running);
    assert_int_equal(host.plan.stopped, 0);
    host_close(&host);
}

/* memctld was killed: the next one finds them by their notes. */
static void a_new_engine_takes_over_who_was_stopped(void **state)
{
    struct host host;

    (void)state;
    open_short_host(&host, 0, "suspend", "save");
    others_take(&host, 16 * MC_GIB - 8 * MC_GIB - 60 * MC_MIB);
    host_run(&host, 20);
    others_take(&host, 16 * MC_GIB - 4 * MC_GIB - 60 * MC_MIB);
    host_run(&host, 60);
    assert_int_equal(host.plan.stopped, 2);
    mc_engine_free(host.engine);
    host.engine = mc_engine_new(&host.config, host.policy);
    others_take(&host, MC_GIB);
    host_run(&host, 150);
    assert_true(host.sim->guests[0].running && !host.sim->guests[0].suspended);
    assert_true(host.sim->guests[1].running);
    assert_int_equal(host.sim->guests[0].stopped.how, MC_LAST_RESORT_NONE);
    host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_in_need_swaps_out_what_lies_idle),
        cmocka_unit_test(what_is_touched_again_comes_back_slowly),
        cmocka_unit_test(guests_stop_one_by_one_and_go_on_when_there_is_memory),
        cmocka_unit_test(a_new_engine_takes_over_who_was_stopped),
    };

    return cmocka_run_group_tests_name("short_host", tests, NULL, NULL);
}
