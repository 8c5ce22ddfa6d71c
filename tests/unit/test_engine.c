/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine on a simulated host: what an operator expects of memctl in a dozen sentences. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "engine/track.h"
#include "host.h"

#define PERCENT_OF(bytes, percent) ((bytes) / 100 * (percent))

static void assert_near(uint64_t value, uint64_t wanted)
{
    assert_in_range(value, wanted - PERCENT_OF(wanted, 1), wanted + PERCENT_OF(wanted, 1));
}

/* Three guests of 1 GiB under 1.5 GiB for their memory; QEMU's own comes on top. */
static void open_three(struct host *host, uint64_t working_set)
{
    struct mc_sim_guest_config guests[] = {
        host_guest("a", MC_GIB, working_set),
        host_guest("b", MC_GIB, working_set),
        host_guest("c", MC_GIB, working_set),
    };

    mc_settings_say(&guests[2].own, "shares", "2000", NULL);
    for (int i = 0; i < 3; i++)
        mc_settings_say(&guests[i].own, "min", "128M", NULL);
    host_open(host, "shares", 1536 * MC_MIB + 3 * 28 * MC_MIB, guests, 3);
}

static void holds_the_ratio_of_shares(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host_run(&host, 15);
    assert_near(host_see(&host, "a")->actual, 384 * MC_MIB);
    assert_near(host_see(&host, "b")->actual, 384 * MC_MIB);
    assert_near(host_see(&host, "c")->actual, 768 * MC_MIB);
    host_close(&host);
}

static void follows_new_shares(void **state)
{
    struct mc_settings own = {0};
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host_run(&host, 15);
    mc_settings_say(&own, "shares", "2000", NULL);
    mc_settings_say(&own, "min", "128M", NULL);
    mc_session_save_settings(host.session, host_see(&host, "a")->uuid, &own, NULL);
    mc_engine_unsettle(host.engine);
    host_run(&host, 5);
    assert_near(host_see(&host, "a")->actual, PERCENT_OF(1536 * MC_MIB, 40));
    assert_near(host_see(&host, "b")->actual, PERCENT_OF(1536 * MC_MIB, 20));
    host_close(&host);
}

static void gives_a_stopped_guests_memory_to_the_others(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host.sim->guests[2].config.stop_ms = 15000;
    host_run(&host, 25);
    assert_int_equal(host.snapshot.count, 2);
    /* 1536 MiB and the third QEMU's own memory between two */
    assert_near(host_see(&host, "a")->actual, 782 * MC_MIB);
    host_close(&host);
}

static void takes_in_a_new_guest(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host.sim->guests[2].config.start_ms = 15000;
    host_run(&host, 14);
    assert_near(host_see(&host, "a")->actual, 782 * MC_MIB);
    host_run(&host, 16);
    assert_near(host_see(&host, "a")->actual, 384 * MC_MIB);
    assert_near(host_see(&host, "c")->actual, 768 * MC_MIB);
    host_close(&host);
}

static void never_shrinks_below_what_is_used(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 500 * MC_MIB);
    host_run(&host, 20);
    for (size_t i = 0; i < 3; i++) {
        const struct mc_guest *guest = &host.snapshot.guests[i];

        assert_true(guest->actual >= guest->used + 60 * MC_MIB);
        assert_int_equal(mc_step_reason(&host.plan.steps[i]), MC_RULE_FLOOR);
    }
    host_close(&host);
}

static void does_not_shrink_a_guest_without_statistics(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host_tick(&host, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(host.plan.steps[i].target, MC_GIB);
        assert_int_equal(mc_step_reason(&host.plan.steps[i]), MC_RULE_FRESHNESS);
        assert_false(host.plan.steps[i].send);
    }
    host_close(&host);
}

static void calls_a_shrink_back_when_statistics_go_stale(void **state)
{
    struct host host;
    size_t c;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    for (int i = 0; i < 3; i++) {
        host.sim->guests[i].config.inflate_per_s = 20 * MC_MIB; /* slow */
        mc_settings_say(&host.sim->guests[i].config.own, "min", "128M", NULL);
    }
    host_run(&host, 4);
    c = host_index(&host, "c");
    assert_true(host.plan.steps[c].target < host.snapshot.guests[c].actual);
    mc_session_set_stats_period(host.session, host.snapshot.guests[c].uuid, 3600, NULL);
    host_run(&host, 6);
    assert_int_equal(mc_step_reason(&host.plan.steps[c]), MC_RULE_FRESHNESS);
    assert_true(host.plan.steps[c].target >= host.snapshot.guests[c].actual);
    host_close(&host);
}

/* Nobody knows how old they were when they came. The others have to do with the rest. */
static void statistics_that_come_seldom_shrink_nobody(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host.sim->guests[2].config.faults = calloc(1, sizeof(struct mc_sim_fault));
    host.sim->guests[2].config.faults[0] =
        (struct mc_sim_fault){.kind = MC_SIM_LATE, .to_ms = UINT64_MAX, .by_ms = 10000};
    host.sim->guests[2].config.fault_count = 1;
    host_run(&host, 60);
    assert_int_equal(host_see(&host, "c")->actual, MC_GIB);
    assert_int_equal(mc_step_reason(&host.plan.steps[host_index(&host, "c")]), MC_RULE_FRESHNESS);
    assert_near(host_see(&host, "a")->actual, 256 * MC_MIB);
    assert_near(host_see(&host, "b")->actual, 256 * MC_MIB);
    host_close(&host);
}

static void grows_only_into_what_was_given_back(void **state)
{
    struct host host;
    uint64_t a_before;
    struct mc_settings own = {0};

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host_run(&host, 15);
    a_before = host_see(&host, "a")->actual;
    /* b and c do not give anything back any more; a is promised more by its shares. */
    for (int i = 1; i < 3; i++) {
        host.sim->guests[i].config.stuck_from_ms = 0;
        host.sim->guests[i].config.stuck_to_ms = UINT64_MAX;
    }
    mc_settings_say(&own, "shares", "9000", NULL);
    mc_session_save_settings(host.session, host_see(&host, "a")->uuid, &own, NULL);
    mc_engine_unsettle(host.engine);
    host_run(&host, 4);
    assert_int_equal(mc_step_reason(&host.plan.steps[host_index(&host, "a")]),
                     MC_RULE_SHRINK_FIRST);
    for (int second = 0; second < 60; second++) {
        host_run(&host, 1);
        assert_in_range(host_see(&host, "a")->actual, a_before, a_before + 8 * MC_MIB);
    }
    host_close(&host);
}

static void leaves_unmanaged_guests_alone_and_counts_them(void **state)
{
    struct host host;
    size_t b;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    mc_settings_say(&host.sim->guests[1].config.own, "managed", "no", NULL);
    host_run(&host, 15);
    b = host_index(&host, "b");
    assert_int_equal(host.snapshot.guests[b].actual, MC_GIB);
    assert_false(host.plan.steps[b].send);
    assert_int_equal(host.plan.exempt, MC_GIB + 28 * MC_MIB);
    host_close(&host);
}

static void is_quiet_when_nothing_changes(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host_run(&host, 15);
    for (int second = 0; second < 60; second++) {
        host_tick(&host, 1000);
        for (size_t i = 0; i < host.plan.count; i++)
            assert_false(host.plan.steps[i].send);
    }
    host_close(&host);
}

/*
 * A fresh engine over guests that are where they should be is a daemon that was killed. It does not
 * know which targets are in force, and tells each guest once: to stay where it is.
 */
static void moves_nothing_after_a_restart(void **state)
{
    uint64_t before[3];
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host_run(&host, 15);
    for (size_t i = 0; i < 3; i++)
        before[i] = host.snapshot.guests[i].actual;
    mc_engine_free(host.engine);
    host.engine = mc_engine_new(&host.config, host.policy);
    for (int second = 0; second < 10; second++) {
        host_tick(&host, 1000);
        for (size_t i = 0; i < host.plan.count; i++) {
            assert_int_equal(host.plan.steps[i].target, before[i]);
            assert_int_equal(host.plan.steps[i].send, second == 0);
        }
    }
    host_close(&host);
}

/* ---- what a reviewer found: each was once wrong ---- */

static void notices_a_need_that_rises_while_it_shrinks(void **state)
{
    struct mc_sim_guest_config guests[] = {
        host_guest("a", 32 * MC_GIB, 4 * MC_GIB),
        host_guest("b", 32 * MC_GIB, MC_GIB),
    };
    struct host host;

    (void)state;
    mc_settings_say(&guests[0].own, "shares", "100", NULL);
    mc_settings_say(&guests[0].own, "min", "1G", NULL);
    free(guests[0].working_set.points);
    guests[0].working_set =
        (struct mc_trace){.points = calloc(35, sizeof(struct mc_trace_point)), .count = 35};
    for (uint64_t i = 0; i < 35; i++)
        guests[0].working_set.points[i] = (struct mc_trace_point){
            .at_ms = 5000 + i * 1000, .bytes = 4 * MC_GIB + i * 240 * MC_MIB};
    host_open(&host, "shares", 33 * MC_GIB, guests, 2);
    host_run(&host, 70);
    assert_true(host_see(&host, "a")->stats.usable >= 64 * MC_MIB);
    host_close(&host);
}

static void old_statistics_that_come_again_are_not_fresh(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    for (int i = 0; i < 3; i++)
        host.sim->guests[i].config.own.present = 0;
    host_run(&host, 4);
    for (int i = 0; i < 3; i++)
        mc_session_set_stats_period(host.session, host.snapshot.guests[i].uuid, 3600, NULL);
    host_run(&host, 10);
    assert_false(host.snapshot.guests[0].fresh);
    host.sim->guests[0].stats.last_update -= 1; /* as after a snapshot that had none */
    host_run(&host, 1);
    host.sim->guests[0].stats.last_update += 1;
    host_run(&host, 1);
    assert_false(host.snapshot.guests[0].fresh);
    host_close(&host);
}

static void a_shrink_that_was_not_delivered_frees_nothing(void **state)
{
    struct mc_settings own = {0};
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host_run(&host, 15);
    host.undelivered = "a";
    mc_settings_say(&own, "shares", "1", NULL);
    mc_settings_say(&own, "min", "128M", NULL);
    mc_session_save_settings(host.session, host_see(&host, "a")->uuid, &own, NULL);
    mc_engine_unsettle(host.engine);
    host_run(&host, 4);
    assert_true(host.plan.steps[host_index(&host, "a")].target < 250 * MC_MIB);
    host_run(&host, 6);
    assert_near(host_see(&host, "a")->actual, 384 * MC_MIB);
    assert_near(host_see(&host, "b")->actual, 384 * MC_MIB);
    assert_near(host_see(&host, "c")->actual, 768 * MC_MIB);
    host_close(&host);
}

static void the_rest_of_a_move_follows_a_guest_that_was_busy(void **state)
{
    struct mc_settings own = {0};
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host_run(&host, 15);
    mc_settings_say(&own, "shares", "1030", NULL); /* less than calm would let begin */
    mc_settings_say(&own, "min", "128M", NULL);
    mc_session_save_settings(host.session, host_see(&host, "a")->uuid, &own, NULL);
    mc_engine_unsettle(host.engine);
    host_tick(&host, 1000);
    host.busy = "a"; /* just when there is room for it */
    host_run(&host, 3);
    host.busy = NULL;
    host_run(&host, 8);
    assert_near(host_see(&host, "a")->actual, 1536 * MC_MIB / 4030 * 1030);
    host_close(&host);
}

static void growth_under_way_counts_when_a_guest_becomes_exempt(void **state)
{
    struct mc_settings own = {0};
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host_run(&host, 15);
    host.sim->guests[0].config.deflate_per_s = 0; /* a does not take what it is given */
    mc_settings_say(&own, "shares", "4000", NULL);
    mc_session_save_settings(host.session, host_see(&host, "a")->uuid, &own, NULL);
    mc_engine_unsettle(host.engine);
    host_run(&host, 6);
    mc_settings_say(&own, "managed", "no", NULL);
    mc_session_save_settings(host.session, host_see(&host, "a")->uuid, &own, NULL);
    host_run(&host, 2);
    assert_true(host_see(&host, "a")->actual < 400 * MC_MIB);
    assert_true(host.plan.exempt > 700 * MC_MIB);
    host_close(&host);
}

static void counts_reservations_above_the_budget_as_a_deficit(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    for (int i = 0; i < 3; i++)
        mc_settings_say(&host.sim->guests[i].config.own, "min", "600M", NULL);
    host_run(&host, 15);
    assert_int_equal(host.plan.deficit, 1800 * MC_MIB - 1536 * MC_MIB);
    for (int i = 0; i < 3; i++)
        assert_near(host.snapshot.guests[i].actual, 600 * MC_MIB);
    host_close(&host);
}

static void works_the_same_with_deflate_on_oom(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    for (int i = 0; i < 3; i++)
        host.sim->guests[i].config.deflate_on_oom = true;
    host_run(&host, 15);
    assert_near(host_see(&host, "a")->actual, 384 * MC_MIB);
    assert_near(host_see(&host, "c")->actual, 768 * MC_MIB);
    host_close(&host);
}

static void budget_auto_leaves_the_reserve(void **state)
{
    struct host host;

    (void)state;
    open_three(&host, 50 * MC_MIB);
    host.config.budget.automatic = true;
    mc_engine_configure(host.engine, &host.config, host.policy);
    host_run(&host, 2);
    assert_int_equal(host.plan.budget, 64 * MC_GIB - 64 * MC_GIB / 100 * 5);
    assert_true(host.plan.surplus > 0);
    host_close(&host);
}

/* One guest's need, divided by forty, is less than calm lets begin. */
static void many_guests_give_a_little_each_to_one_in_need(void **state)
{
    enum { OTHERS = 40 };
    struct mc_sim_guest_config guests[OTHERS + 1];
    struct host host;

    (void)state;
    for (int i = 0; i < OTHERS; i++) {
        char name[4] = {'g', (char)('a' + i / 26), (char)('a' + i % 26), 0};

        guests[i] = host_guest(name, MC_GIB, 100 * MC_MIB);
    }
    guests[OTHERS] = host_guest("needy", 4 * MC_GIB, 200 * MC_MIB);
    mc_settings_say(&guests[OTHERS].own, "min", "256M", NULL);
    host_open(&host, "shares", OTHERS * 600 * MC_MIB, guests, OTHERS + 1);
    host_run(&host, 30);
    host.sim->guests[OTHERS].config.working_set.points[0].bytes = 2 * MC_GIB;
    host_run(&host, 90);
    assert_true(host_see(&host, "needy")->actual >= 2 * MC_GIB + 40 * MC_MIB);
    host_close(&host);
}

/* "b" says that it is full, and has touched a tenth of what it has. */
static void a_claim_that_the_host_does_not_see_brings_nothing(void **state)
{
    struct mc_sim_guest_config guests[] = {
        host_guest("a", 4 * MC_GIB, 500 * MC_MIB),
        host_guest("b", 4 * MC_GIB, 200 * MC_MIB),
    };
    struct host host;
    uint64_t before;

    (void)state;
    guests[1].faults = calloc(1, sizeof(*guests[1].faults));
    guests[1].faults[0] =
        (struct mc_sim_fault){.kind = MC_SIM_LYING, .from_ms = 20000, .to_ms = UINT64_MAX};
    guests[1].fault_count = 1;
    host_open(&host, "shares", 4 * MC_GIB, guests, 2);
    host_run(&host, 20);
    before = host_see(&host, "b")->actual;
    host_run(&host, 60);
    assert_near(host_see(&host, "b")->actual, before);
    host_close(&host);
}

/* A step every half second, each obeyed before the next one. */
static void what_many_small_shrinks_gave_is_free_soon(void **state)
{
    struct mc_guest guest = {.uuid = "a",
                             .age_ms = MC_UNKNOWN,
                             .memory = 4 * MC_GIB,
                             .actual = 4 * MC_GIB,
                             .answers = true};
    struct mc_snapshot snapshot = {.guests = &guest, .count = 1};
    struct mc_tracks tracks = {0};

    (void)state;
    for (snapshot.now_ms = 0; snapshot.now_ms < 20000; snapshot.now_ms += 500) {
        assert_int_equal(mc_tracks_follow(&tracks, &snapshot, 600000), 0);
        assert_in_range(mc_track_promised(tracks.list, &guest, snapshot.now_ms), guest.actual,
                        guest.actual + 8 * 50 * MC_MIB);
        mc_track_sent(tracks.list, &guest, guest.actual - 50 * MC_MIB, snapshot.now_ms);
        mc_track_delivered(tracks.list, snapshot.now_ms);
        guest.actual -= 50 * MC_MIB;
    }
    snapshot.now_ms += 2000;
    assert_int_equal(mc_track_promised(tracks.list, &guest, snapshot.now_ms), guest.actual);
    mc_tracks_free(&tracks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_ratio_of_shares),
        cmocka_unit_test(follows_new_shares),
        cmocka_unit_test(gives_a_stopped_guests_memory_to_the_others),
        cmocka_unit_test(takes_in_a_new_guest),
        cmocka_unit_test(never_shrinks_below_what_is_used),
        cmocka_unit_test(does_not_shrink_a_guest_without_statistics),
        cmocka_unit_test(calls_a_shrink_back_when_statistics_go_stale),
        cmocka_unit_test(statistics_that_come_seldom_shrink_nobody),
        cmocka_unit_test(grows_only_into_what_was_given_back),
        cmocka_unit_test(leaves_unmanaged_guests_alone_and_counts_them),
        cmocka_unit_test(is_quiet_when_nothing_changes),
        cmocka_unit_test(moves_nothing_after_a_restart),
        cmocka_unit_test(notices_a_need_that_rises_while_it_shrinks),
        cmocka_unit_test(old_statistics_that_come_again_are_not_fresh),
        cmocka_unit_test(a_shrink_that_was_not_delivered_frees_nothing),
        cmocka_unit_test(the_rest_of_a_move_follows_a_guest_that_was_busy),
        cmocka_unit_test(growth_under_way_counts_when_a_guest_becomes_exempt),
        cmocka_unit_test(counts_reservations_above_the_budget_as_a_deficit),
        cmocka_unit_test(works_the_same_with_deflate_on_oom),
        cmocka_unit_test(budget_auto_leaves_the_reserve),
        cmocka_unit_test(many_guests_give_a_little_each_to_one_in_need),
        cmocka_unit_test(what_many_small_shrinks_gave_is_free_soon),
        cmocka_unit_test(a_claim_that_the_host_does_not_see_brings_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
