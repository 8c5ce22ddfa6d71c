/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What act.c does in a dry run, for minutes on end: the plan stays what it would be. */
#include "testing.h"

#include <string.h>

#include "daemon.h"
#include "host.h"

#define NEAR(value, wanted)                                                                        \
    assert_in_range(value, (wanted) - (wanted) / 100, (wanted) + (wanted) / 100)

/* Three guests of 1 GiB under 1.5 GiB for their memory; QEMU's own comes on top. */
static void open_three(struct host *host)
{
    struct mc_sim_guest_config guests[] = {
        host_guest("a", MC_GIB, 50 * MC_MIB),
        host_guest("b", MC_GIB, 50 * MC_MIB),
        host_guest("c", MC_GIB, 50 * MC_MIB),
    };

    mc_settings_say(&guests[2].own, "shares", "2000", NULL);
    for (int i = 0; i < 3; i++)
        mc_settings_say(&guests[i].own, "min", "128M", NULL);
    host_open(host, "shares", 1536 * MC_MIB + 3 * 28 * MC_MIB, guests, 3);
    host->config.shrink_percent = 100; /* the whole way is planned at once */
    mc_engine_configure(host->engine, &host->config, host->policy);
}

/* One pass in which nothing is sent; the balloons stay where they are. */
static void dry_tick(struct host *host)
{
    struct daemon daemon = {.engine = host->engine, .config = {.dry_run = true}};
    struct mc_error err;

    host->now_ms += 1000;
    assert_int_equal(mc_session_observe(host->session, host->now_ms, &host->snapshot, &err), 0);
    for (size_t i = 0; i < host->snapshot.count; i++) {
        struct mc_guest *guest = &host->snapshot.guests[i];
        struct mc_settings settings = mc_settings_default();

        mc_settings_merge(&settings, &guest->own);
        guest->terms = mc_settings_resolve(&settings, guest->memory);
    }
    assert_int_equal(mc_engine_step(host->engine, &host->snapshot, &host->plan, &err), 0);
    daemon.snapshot = host->snapshot;
    daemon.plan = host->plan;
    act_run(&daemon);
}

static void plans_the_same_shrinks_for_as_long_as_it_takes(void **state)
{
    struct host host;

    (void)state;
    open_three(&host);
    for (int second = 0; second < 120; second++) {
        dry_tick(&host);
        /* nobody else turns the statistics on */
        for (int i = 0; i < 3; i++)
            host.sim->guests[i].stats_period_s = 1;
        if (second < 5)
            continue;
        NEAR(host.plan.steps[host_index(&host, "a")].target, 384 * MC_MIB);
        NEAR(host.plan.steps[host_index(&host, "c")].target, 768 * MC_MIB);
        assert_int_equal(host_see(&host, "a")->actual, MC_GIB);
        /* What was never asked for is not counted as given up. */
        assert_int_equal(host.plan.promised, 3 * MC_GIB);
    }
    host_close(&host);
}

/*
 * A daemon that moved the guests was replaced by one that only looks, and a guest went: it does not
 * count the others at their limit because some older target could be in force, as a daemon does
 * that has not told them yet; and plans growth into what is free.
 */
static void plans_growth_into_what_is_free(void **state)
{
    struct host host;
    int grown = 0;

    (void)state;
    open_three(&host);
    for (int second = 0; second < 15; second++)
        host_tick(&host, 1000);
    NEAR(host_see(&host, "a")->actual, 384 * MC_MIB);
    mc_engine_free(host.engine);
    host.engine = mc_engine_new(&host.config, host.policy);
    host.sim->guests[2].config.stop_ms = host.now_ms + 1;
    for (int second = 0; second < 125; second++) {
        uint64_t target;

        dry_tick(&host);
        target = host.plan.steps[host_index(&host, "a")].target;
        if (second >= 5)
            grown += target > 774 * MC_MIB && target < 790 * MC_MIB;
        assert_true(host_see(&host, "a")->actual < 390 * MC_MIB);
    }
    assert_in_range(grown, 114, 120);
    host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_the_same_shrinks_for_as_long_as_it_takes),
        cmocka_unit_test(plans_growth_into_what_is_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
