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

/* Was it told to give something up? */
static bool is_tried(const struct host *host, const char *name)
{
    size_t i = host_index(host, name);

    return host->plan.steps[i].send &&
           host->plan.steps[i].target + MC_MIB < host->snapshot.guests[i].actual;
}

/* Each try costs the guest CPU, and the others a part of what they have meanwhile. */
static void is_tried_again_with_growing_pauses(void **state)
{
    uint64_t last_ms = 0, pause_ms = 0;
    unsigned tries = 0;
    struct host host;

    (void)state;
    open_host(&host, UINT64_MAX);
    for (int second = 0; second < 600; second++) {
        bool held = second && host_see(&host, "a")->stuck;

        host_tick(&host, 1000);
        if (!held || host_see(&host, "a")->stuck || !is_tried(&host, "a"))
            continue;
        assert_true(!tries || host.now_ms - last_ms >= pause_ms);
        pause_ms = tries ? host.now_ms - last_ms : 0;
        last_ms = host.now_ms;
        tries++;
    }
    assert_in_range(tries, 3, 8);
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
        cmocka_unit_test(is_tried_again_with_growing_pauses),
        cmocka_unit_test(is_taken_back_when_it_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
