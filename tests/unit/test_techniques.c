/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Host reclaim and the last resort: what is decided in single cases, that each guard is what
 * decides it (switched off, the same case comes out as the guard exists to prevent), and how it
 * goes on a simulated host.
 */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "govern/govern.h"
#include "host.h"

#define NOW_MS 10000000

struct scene {
    struct mc_engine_config config;
    struct mc_guest guests[2];
    struct mc_snapshot snapshot;
    struct mc_tracks tracks;
    struct mc_host_track host;
    struct mc_plan plan;
};

/* 2 GiB, of which it works with 600 MiB; both guests are alike but for their shares. */
static struct mc_guest guest_named(const char *name, uint64_t shares)
{
    struct mc_guest guest = {
        .state = MC_GUEST_RUNNING,
        .memory = 4 * MC_GIB,
        .actual = 2 * MC_GIB,
        .rss = 2 * MC_GIB + 30 * MC_MIB,
        .overhead = 30 * MC_MIB,
        .held = 2 * MC_GIB,
        .used = 600 * MC_MIB,
        .active = 600 * MC_MIB,
        .active_source = MC_SOURCE_BALLOON,
        .age_ms = NOW_MS,
        .answers = true,
        .known = true,
        .fresh = true,
        .stats = {.available = 2 * MC_GIB, .usable = 2 * MC_GIB - 600 * MC_MIB},
        .terms = {.shares = shares, .min = 256 * MC_MIB, .max = 4 * MC_GIB, .managed = true},
    };

    strcpy(guest.name, name);
    strcpy(guest.uuid, name);
    return guest;
}

/* A host in need, 1 GiB short, with swap; the balloons are where they shall be. */
static void open_scene(struct scene *scene, unsigned guards_off)
{
    *scene = (struct scene){.config = mc_engine_config_default()};
    scene->config.guards_off = guards_off;
    scene->guests[0] = guest_named("a", 1000);
    scene->guests[1] = guest_named("b", 2000);
    scene->snapshot = (struct mc_snapshot){.guests = scene->guests, .count = 2};
    scene->snapshot.host = (struct mc_host){.total = 64 * MC_GIB,
                                            .available = 100 * MC_MIB,
                                            .swap_total = 8 * MC_GIB,
                                            .swap_free = 8 * MC_GIB};
    for (uint64_t ms = NOW_MS - 500; ms <= NOW_MS; ms += 500) {
        scene->snapshot.now_ms = ms;
        assert_int_equal(mc_tracks_follow(&scene->tracks, &scene->snapshot, 600000), 0);
    }
    for (size_t i = 0; i < 2; i++)
        scene->tracks.list[i].boot_ms = 0;
    assert_int_equal(mc_plan_reset(&scene->plan, 2), 0);
    scene->plan.min_free = 100 * MC_MIB + MC_GIB;
    scene->plan.state = MC_HOST_HARD;
    scene->plan.steps[0].target = scene->plan.steps[1].target = 2 * MC_GIB;
    scene->host = (struct mc_host_track){.was_low = true,
                                         .was_clear = true,
                                         .low_since_ms = NOW_MS - 60000,
                                         .clear_since_ms = NOW_MS - 3600000};
}

static void close_scene(struct scene *scene)
{
    mc_tracks_free(&scene->tracks);
    mc_plan_free(&scene->plan);
}

static void decide(struct scene *scene)
{
    mc_reclaim_plan(&scene->config, &scene->snapshot, &scene->tracks, &scene->plan);
    mc_last_resort_plan(&scene->config, &scene->snapshot, &scene->tracks, &scene->host,
                        &scene->plan);
}

/* ---- one guard after another ---- */

static void host_is_not_in_need(struct scene *scene)
{
    scene->plan.state = MC_HOST_SOFT;
}

static void host_has_no_swap(struct scene *scene)
{
    scene->snapshot.host.swap_total = scene->snapshot.host.swap_free = 0;
}

static void much_is_missing(struct scene *scene)
{
    scene->guests[1].terms.managed = false;
}

static void is_at_its_reservation(struct scene *scene)
{
    scene->guests[0].terms.min = 2 * MC_GIB;
    scene->guests[1].terms.managed = false;
}

static void works_with_all(struct scene *scene)
{
    scene->guests[0].used = scene->guests[0].active = 2 * MC_GIB;
    scene->guests[0].stats.usable = 0;
    scene->guests[1].terms.managed = false;
}

static void was_in_trouble(struct scene *scene)
{
    scene->tracks.list[0].distress_until_ms = NOW_MS + 1;
    scene->guests[1].terms.managed = false;
}

static void has_locked_memory(struct scene *scene)
{
    scene->guests[0].exempt = MC_EXEMPT_LOCKED;
    scene->guests[1].exempt = MC_EXEMPT_PASSTHROUGH;
}

static void is_low_and_nobody_consents(struct scene *scene)
{
    scene->plan.state = MC_HOST_LOW;
}

static void is_low_since_a_moment(struct scene *scene)
{
    scene->plan.state = MC_HOST_LOW;
    scene->guests[0].terms.last_resort = MC_LAST_RESORT_SAVE;
    scene->host.low_since_ms = NOW_MS - 5000;
}

static void another_was_stopped_just_now(struct scene *scene)
{
    scene->plan.state = MC_HOST_LOW;
    scene->guests[0].terms.last_resort = MC_LAST_RESORT_SAVE;
    scene->host.resort_ms = NOW_MS - 5000;
}

static void suspended(struct scene *scene)
{
    scene->guests[0].state = MC_GUEST_PAUSED;
    scene->guests[0].exempt = MC_EXEMPT_LAST_RESORT;
    scene->guests[0].stopped =
        (struct mc_stopped){.how = MC_LAST_RESORT_SUSPEND, .at_s = 1000, .size = 2 * MC_GIB};
    scene->plan.state = MC_HOST_CLEAR;
    scene->snapshot.host.available = 16 * MC_GIB;
}

static void is_clear_since_a_moment(struct scene *scene)
{
    suspended(scene);
    scene->host.clear_since_ms = NOW_MS - 5000;
}

static void has_been_swapped_out_and_does_not_fit(struct scene *scene)
{
    suspended(scene);
    scene->guests[0].held = 0;
    scene->snapshot.host.available = 2 * scene->plan.min_free + 1900 * MC_MIB;
}

/* What the guard prevents. */
static bool reclaims(const struct scene *scene)
{
    return scene->plan.reclaim > 0;
}

static bool reclaims_much(const struct scene *scene)
{
    return scene->plan.reclaim > 128 * MC_MIB;
}

static bool stops(const struct scene *scene)
{
    return scene->plan.steps[0].resort == MC_RESORT_SUSPEND ||
           scene->plan.steps[0].resort == MC_RESORT_SAVE;
}

static bool continues(const struct scene *scene)
{
    return scene->plan.steps[0].resort == MC_RESORT_CONTINUE;
}

static const struct {
    const char *name;
    enum mc_guard guard;
    void (*arrange)(struct scene *scene);
    bool (*happens)(const struct scene *scene);
} cases[] = {
    {"state", MC_GUARD_STATE, host_is_not_in_need, reclaims},
    {"swap", MC_GUARD_SWAP, host_has_no_swap, reclaims},
    {"pace", MC_GUARD_PACE, much_is_missing, reclaims_much},
    {"min", MC_GUARD_MIN, is_at_its_reservation, reclaims},
    {"active", MC_GUARD_ACTIVE, works_with_all, reclaims},
    {"trouble", MC_GUARD_TROUBLE, was_in_trouble, reclaims},
    {"exempt", MC_GUARD_EXEMPT, has_locked_memory, reclaims},
    {"consent", MC_GUARD_CONSENT, is_low_and_nobody_consents, stops},
    {"low", MC_GUARD_LOW, is_low_since_a_moment, stops},
    {"one", MC_GUARD_ONE, another_was_stopped_just_now, stops},
    {"clear", MC_GUARD_CLEAR, is_clear_since_a_moment, continues},
    {"fits", MC_GUARD_FITS, has_been_swapped_out_and_does_not_fit, continues},
};

static void every_guard_prevents_what_happens_without_it(void **state)
{
    unsigned seen = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (unsigned off = 0; off < 2; off++) {
            struct scene scene;

            open_scene(&scene, off ? 1U << cases[i].guard : 0);
            cases[i].arrange(&scene);
            decide(&scene);
            if (cases[i].happens(&scene) != off)
                fail_msg("%s is %s", cases[i].name, off ? "off, and nothing happens" : "on");
            close_scene(&scene);
        }
        seen |= 1U << cases[i].guard;
    }
    assert_int_equal(seen, (1U << MC_GUARD_COUNT) - 1);
}

/* ---- host reclaim ---- */

static void the_idlest_per_share_gives_first(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, 0);
    decide(&scene);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_WORKS);
    assert_int_equal(scene.plan.steps[0].reclaim, 128 * MC_MIB); /* in half a second */
    assert_int_equal(scene.plan.steps[1].reclaim, 0);
    close_scene(&scene);

    open_scene(&scene, 0);
    scene.guests[1].terms.shares = 500;
    decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 0);
    assert_int_equal(scene.plan.steps[1].reclaim, 128 * MC_MIB);
    close_scene(&scene);
}

static void what_balloons_will_give_is_not_taken_as_well(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, 0);
    scene.plan.steps[1].target = 900 * MC_MIB;
    decide(&scene);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_NOT_NEEDED);
    close_scene(&scene);

    open_scene(&scene, 0); /* one that is slow brings less than that in a moment */
    scene.plan.steps[1].target = 900 * MC_MIB;
    scene.tracks.list[1].speed = 10 * MC_MIB;
    decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 128 * MC_MIB);
    close_scene(&scene);

    open_scene(&scene, 0); /* and one that was not seen to move at all brings nothing */
    scene.plan.steps[1].target = 900 * MC_MIB;
    scene.tracks.list[1].shrinks_ms = NOW_MS - 4000;
    decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 128 * MC_MIB);
    close_scene(&scene);
}

/* Both take different pages at worst. */
static void balloon_and_host_together_leave_what_is_needed(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, 0);
    scene.guests[1].terms.managed = false;
    scene.tracks.list[0].speed = 1; /* nothing is expected of it */
    scene.plan.steps[0].target = 700 * MC_MIB;
    decide(&scene);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_WORKS);
    assert_true(scene.plan.steps[0].reclaim <= 100 * MC_MIB);
    close_scene(&scene);
}

static void guests_out_of_the_balloons_reach_give_as_well(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, 0); /* no balloon: nothing is known of it but its size */
    scene.guests[0].exempt = MC_EXEMPT_NO_BALLOON;
    scene.guests[0].fresh = false;
    scene.guests[0].active_source = MC_SOURCE_NONE;
    scene.guests[0].active = scene.guests[0].actual;
    scene.guests[1].terms.managed = false;
    decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 128 * MC_MIB);
    scene.guests[0].held = 1536 * MC_MIB; /* a quarter of it is taken for idle */
    scene.plan.steps[0].reclaim = scene.plan.reclaim = 0;
    decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 0);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_NOBODY);
    close_scene(&scene);

    open_scene(&scene, 0); /* a balloon that does not follow */
    scene.tracks.list[0].retry_ms = NOW_MS + 1;
    decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 128 * MC_MIB);
    close_scene(&scene);

    open_scene(&scene, 0); /* the operator's word goes before all */
    scene.guests[0].exempt = MC_EXEMPT_UNMANAGED;
    scene.guests[1].exempt = MC_EXEMPT_OPERATOR;
    decide(&scene);
    assert_int_equal(scene.plan.reclaim, 0);
    close_scene(&scene);
}

static void it_is_done_where_it_can_be_and_a_little_at_a_time(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, 0);
    scene.guests[0].reclaim = MC_RECLAIM_IMPOSSIBLE;
    decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 0);
    assert_true(scene.plan.steps[1].reclaim > 0);
    close_scene(&scene);

    open_scene(&scene, 0); /* what is under way is waited for */
    scene.guests[0].reclaim = scene.guests[1].reclaim = MC_RECLAIM_UNDER_WAY;
    decide(&scene);
    assert_int_equal(scene.plan.reclaim, 0);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_WORKS);
    close_scene(&scene);

    open_scene(&scene, 0); /* the last of the swap is left to the kernel */
    scene.snapshot.host.swap_free = scene.snapshot.host.swap_total / 10 + 20 * MC_MIB;
    decide(&scene);
    assert_in_range(scene.plan.reclaim, 1, 20 * MC_MIB);
    close_scene(&scene);

    open_scene(&scene, 0);
    scene.config.host_reclaim = false;
    decide(&scene);
    assert_int_equal(scene.plan.reclaim, 0);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_OFF);
    close_scene(&scene);
}

/* ---- the last resort ---- */

static enum mc_resort_step stopped_of_two(struct scene *scene, size_t *which)
{
    scene->plan.state = MC_HOST_LOW;
    decide(scene);
    *which = scene->plan.steps[0].resort != MC_RESORT_LEAVE ? 0 : 1;
    assert_int_equal(scene->plan.steps[1 - *which].resort, MC_RESORT_LEAVE);
    return scene->plan.steps[*which].resort;
}

static void the_lowest_shares_and_then_what_frees_most(void **state)
{
    struct scene scene;
    size_t which;

    (void)state;
    open_scene(&scene, 0);
    scene.guests[0].terms.last_resort = scene.guests[1].terms.last_resort = MC_LAST_RESORT_SAVE;
    assert_int_equal(stopped_of_two(&scene, &which), MC_RESORT_SAVE);
    assert_int_equal(which, 0);
    close_scene(&scene);

    open_scene(&scene, 0);
    scene.guests[0].terms.last_resort = scene.guests[1].terms.last_resort = MC_LAST_RESORT_SAVE;
    scene.guests[1].terms.shares = 1000;
    scene.guests[1].rss += MC_MIB;
    assert_int_equal(stopped_of_two(&scene, &which), MC_RESORT_SAVE);
    assert_int_equal(which, 1);
    close_scene(&scene);

    open_scene(&scene, 0); /* suspending frees nothing where nothing can be swapped out */
    host_has_no_swap(&scene);
    scene.guests[0].terms.last_resort = MC_LAST_RESORT_SUSPEND;
    scene.guests[1].terms.last_resort = MC_LAST_RESORT_SAVE;
    assert_int_equal(stopped_of_two(&scene, &which), MC_RESORT_SAVE);
    assert_int_equal(which, 1);
    close_scene(&scene);

    open_scene(&scene, 0); /* but it is done if nothing else is left */
    host_has_no_swap(&scene);
    scene.guests[0].terms.last_resort = MC_LAST_RESORT_SUSPEND;
    assert_int_equal(stopped_of_two(&scene, &which), MC_RESORT_SUSPEND);
    assert_int_equal(which, 0);
    close_scene(&scene);
}

static void whom_an_operator_holds_is_left_alone(void **state)
{
    struct scene scene;

    (void)state;
    for (int i = 0; i < 4; i++) {
        open_scene(&scene, 0);
        scene.plan.state = MC_HOST_LOW;
        scene.guests[0].terms.last_resort = MC_LAST_RESORT_SUSPEND;
        if (i == 0)
            scene.guests[0].exempt = MC_EXEMPT_OPERATOR;
        if (i == 1)
            scene.guests[0].terms.managed = false;
        if (i == 2)
            scene.guests[0].resort_hold = true;
        if (i == 3) /* he let it go on himself */
            scene.guests[0].stopped.how = MC_LAST_RESORT_SUSPEND;
        decide(&scene);
        assert_int_equal(scene.plan.steps[0].resort, MC_RESORT_LEAVE);
        scene.guests[0].stopped.how = MC_LAST_RESORT_NONE;
        scene.snapshot.now_ms += 60000;
        if (i == 3) {
            decide(&scene); /* and for a while after that */
            assert_int_equal(scene.plan.steps[0].resort, MC_RESORT_LEAVE);
        }
        close_scene(&scene);
    }
}

static void nothing_of_what_somebody_else_suspended_goes_on(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, 0);
    suspended(&scene);
    scene.guests[0].exempt = MC_EXEMPT_NOT_RUNNING;
    scene.guests[0].stopped.how = MC_LAST_RESORT_NONE;
    decide(&scene);
    assert_int_equal(scene.plan.steps[0].resort, MC_RESORT_LEAVE);
    assert_int_equal(scene.plan.stopped, 0);
    close_scene(&scene);
}

static void the_last_one_goes_on_first(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, 0);
    suspended(&scene);
    strcpy(scene.snapshot.resort.last.uuid, "c");
    scene.snapshot.resort.last.stopped =
        (struct mc_stopped){.how = MC_LAST_RESORT_SAVE, .at_s = 2000, .size = MC_GIB};
    scene.snapshot.resort.saved_count = 1;
    decide(&scene);
    assert_true(scene.plan.start_saved);
    assert_int_equal(scene.plan.steps[0].resort, MC_RESORT_LEAVE);
    assert_int_equal(scene.plan.stopped, 2);
    close_scene(&scene);

    open_scene(&scene, 0);
    suspended(&scene);
    strcpy(scene.snapshot.resort.last.uuid, "c");
    scene.snapshot.resort.last.stopped =
        (struct mc_stopped){.how = MC_LAST_RESORT_SAVE, .at_s = 500, .size = MC_GIB};
    decide(&scene);
    assert_false(scene.plan.start_saved);
    assert_int_equal(scene.plan.steps[0].resort, MC_RESORT_CONTINUE);
    close_scene(&scene);
}

/* ---- on a simulated host ---- */

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
        cmocka_unit_test(every_guard_prevents_what_happens_without_it),
        cmocka_unit_test(the_idlest_per_share_gives_first),
        cmocka_unit_test(what_balloons_will_give_is_not_taken_as_well),
        cmocka_unit_test(balloon_and_host_together_leave_what_is_needed),
        cmocka_unit_test(guests_out_of_the_balloons_reach_give_as_well),
        cmocka_unit_test(it_is_done_where_it_can_be_and_a_little_at_a_time),
        cmocka_unit_test(the_lowest_shares_and_then_what_frees_most),
        cmocka_unit_test(whom_an_operator_holds_is_left_alone),
        cmocka_unit_test(nothing_of_what_somebody_else_suspended_goes_on),
        cmocka_unit_test(the_last_one_goes_on_first),
        cmocka_unit_test(a_host_in_need_swaps_out_what_lies_idle),
        cmocka_unit_test(what_is_touched_again_comes_back_slowly),
        cmocka_unit_test(guests_stop_one_by_one_and_go_on_when_there_is_memory),
        cmocka_unit_test(a_new_engine_takes_over_who_was_stopped),
    };

    return cmocka_run_group_tests_name("techniques", tests, NULL, NULL);
}
