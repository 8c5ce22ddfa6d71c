/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Balloons that do not follow: how often they are asked again, and that they are taken back. */
#include "testing.h"

#include "host.h"

/* Two guests of which one has twice what it shall have, and does not give it back. */
static void open_host(struct host *host, uint64_t stuck_to_ms)
{
    struct mc_sim_guest_config guests[] = {
        host_guest("a", 2 * MC_GIB, 100 * MC_MIB),
        host_guest("b", 2 * MC_GIB, 100 * MC_MIB),
    };

    guests[0].stuck_to_ms = stuck_to_ms;
    host_open(host, "shares", 2 * MC_GIB, guests, 2);
    host->sim->guests[0].config.own = host->sim->guests[1].config.own = (struct mc_settings){0};
    mc_settings_say(&host->sim->guests[0].config.own, "min", "128M", NULL);
    mc_settings_say(&host->sim->guests[1].config.own, "min", "128M", NULL);
}

/* Was it told to go elsewhere? */
static bool is_tried(const struct host *host)
{
    size_t i = host_index(host, "a");
    uint64_t actual = host->snapshot.guests[i].actual, target = host->plan.steps[i].target;

    return host->plan.steps[i].send &&
           (target + 16 * MC_MIB < actual || actual + 16 * MC_MIB < target);
}

/* Of all times that it was left alone and then asked again, each is longer than the one before. */
static void check_pauses(struct host *host)
{
    uint64_t last_ms = 0, pause_ms = 0;
    bool held = false;
    unsigned tries = 0;

    for (int second = 0; second < 600; second++) {
        host_tick(host, 1000);
        held = held || host_see(host, "a")->stuck;
        if (!held || host_see(host, "a")->stuck || !is_tried(host))
            continue;
        held = false;
        assert_true(!tries || host->now_ms - last_ms >= pause_ms);
        pause_ms = tries ? host->now_ms - last_ms : 0;
        last_ms = host->now_ms;
        tries++;
    }
    assert_in_range(tries, 3, 8);
}

/* Each try costs the guest CPU, and the others a part of what they have meanwhile. */
static void one_that_gives_nothing_is_tried_again_with_growing_pauses(void **state)
{
    struct host host;

    (void)state;
    open_host(&host, UINT64_MAX);
    check_pauses(&host);
    host_close(&host);
}

/* What it does not take lies idle while it is tried. */
static void one_that_takes_nothing_is_tried_again_with_growing_pauses(void **state)
{
    struct host host;

    (void)state;
    open_host(&host, 0);
    host.sim->guests[0].config.most = 512 * MC_MIB;
    mc_settings_say(&host.sim->guests[0].config.own, "max", "512M", NULL);
    for (int second = 0; second < 20; second++)
        host_tick(&host, 1000);
    mc_settings_say(&host.sim->guests[0].config.own, "max", "", NULL);
    mc_engine_unsettle(host.engine);
    check_pauses(&host);
    host_close(&host);
}

/* libvirt may refuse for as long as somebody else's job holds the guest. */
static void one_whose_commands_fail_is_told_with_growing_pauses(void **state)
{
    struct host host;
    unsigned commands = 0;
    size_t a;

    (void)state;
    open_host(&host, 0);
    host_tick(&host, 1000);
    a = host_index(&host, "a");
    for (int second = 0; second < 600; second++) {
        host_tick(&host, 1000);
        if (host.plan.steps[a].send) {
            mc_engine_failed(host.engine, host.snapshot.guests[a].uuid, host.now_ms);
            commands++;
        }
    }
    assert_in_range(commands, 3, 15);
    assert_in_range(host_see(&host, "b")->actual, 900 * MC_MIB, 1024 * MC_MIB);
    host_close(&host);
}

static void is_taken_back_when_it_moves(void **state)
{
    struct host host;

    (void)state;
    open_host(&host, 40000);
    for (int second = 0; second < 120; second++)
        host_tick(&host, 1000);
    assert_false(host_see(&host, "a")->stuck);
    assert_in_range(host_see(&host, "a")->actual, 900 * MC_MIB, 1024 * MC_MIB);
    host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_gives_nothing_is_tried_again_with_growing_pauses),
        cmocka_unit_test(one_that_takes_nothing_is_tried_again_with_growing_pauses),
        cmocka_unit_test(one_whose_commands_fail_is_told_with_growing_pauses),
        cmocka_unit_test(is_taken_back_when_it_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
