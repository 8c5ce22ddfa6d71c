/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest's distress does on the host, and what a guest that always says so cannot do. */
#include "testing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent_messages.h"
#include "agent_scene.h"

static void say_distress(struct scene *scene, unsigned seq, const char *reason)
{
    char line[256];

    snprintf(line, sizeof(line), DISTRESS_WITH("%u", "\"reason\":\"%s\"") "\n", seq, reason);
    scene_say(scene, line);
}

/* The loop runs so long, as the daemon's does. */
static void let_pass(struct scene *scene, uint64_t ms)
{
    uint64_t until = scene_clock_ms() + ms;

    while (scene_clock_ms() < until) {
        event_base_loop(scene->base, EVLOOP_NONBLOCK);
        usleep(2000);
    }
}

static void distress_wakes_the_engine_at_once(void **state)
{
    struct scene *scene = *state;
    uint64_t before = scene_clock_ms();

    scene_say(scene, HELLO "\n" REPORT "\n");
    assert_int_equal(scene_look(scene, 0)->distress_ms, 0);
    assert_int_equal(scene->wakes, 0);
    say_distress(scene, 2, "falling");
    assert_int_equal(scene->wakes, 1);
    assert_in_range(scene_look(scene, 0)->distress_ms, before, scene_clock_ms());
    assert_int_equal(scene_look(scene, 0)->available, 600);
    assert_int_equal(scene_counters(scene)->distress, 1);
}

static void say_available(struct scene *scene, unsigned seq, unsigned mib)
{
    char line[256];

    snprintf(line, sizeof(line),
             "{\"memctl-agent\":1,\"type\":\"report\",\"seq\":%u,"
             "\"memory\":{\"total\":1073741824,\"free\":1048576,\"available\":%u}}\n",
             seq, mib << 20);
    scene_say(scene, line);
}

/* Not by little, not by what it gives back, and not more than four times in ten seconds. */
static void a_guest_that_takes_memory_wakes_the_engine(void **state)
{
    struct scene *scene = *state;
    unsigned seq = 0, available = 900;

    scene->snapshot.guests[0].memory = MC_GIB;
    scene_look(scene, 0);
    say_available(scene, ++seq, available);
    say_available(scene, ++seq, available -= 20);
    say_available(scene, ++seq, available += 40);
    assert_int_equal(scene->wakes, 0);
    for (unsigned i = 1; i <= 6; i++) {
        say_available(scene, ++seq, available -= 40);
        let_pass(scene, 210);
        assert_int_equal(scene->wakes, i < 4 ? i : 4);
    }
    say_distress(scene, ++seq, "falling"); /* which has a number of its own */
    assert_int_equal(scene->wakes, 5);
}

static void an_agent_that_only_ever_said_distress_is_present(void **state)
{
    struct scene *scene = *state;

    say_distress(scene, 1, "low");
    assert_true(scene_look(scene, 0)->present);
}

static void its_end_wakes_nobody_and_is_remembered(void **state)
{
    struct scene *scene = *state;
    uint64_t when;

    say_distress(scene, 1, "stall");
    when = scene_look(scene, 0)->distress_ms;
    usleep(3000);
    say_distress(scene, 2, "over");
    assert_int_equal(scene->wakes, 1);
    assert_int_equal(scene_counters(scene)->distress, 1);
    assert_int_equal(scene_look(scene, 0)->distress_ms, when);
}

static void an_impossible_distress_wakes_nobody(void **state)
{
    struct scene *scene = *state;

    scene->snapshot.guests[0].memory = 999;
    scene_look(scene, 0);
    say_distress(scene, 1, "low");
    assert_int_equal(scene->wakes, 0);
    assert_int_equal(scene_look(scene, 0)->distress_ms, 0);
    assert_int_equal(scene_counters(scene)->ignored, 1);
}

static void events_gather_between_two_wakes(void **state)
{
    struct scene *scene = *state;

    for (unsigned seq = 1; seq <= 6; seq++)
        say_distress(scene, seq, "low");
    assert_int_equal(scene->wakes, 1);
    let_pass(scene, 300);
    assert_int_equal(scene->wakes, 2);
    let_pass(scene, 300);
    assert_int_equal(scene->wakes, 2);
}

static void distress_for_ever_wakes_eight_times_in_ten_seconds(void **state)
{
    struct scene *scene = *state;
    unsigned seq = 0;

    for (unsigned i = 0; i < 24; i++) {
        say_distress(scene, ++seq, "low");
        let_pass(scene, 210);
    }
    assert_int_equal(scene->wakes, 8);
    assert_int_equal(scene_counters(scene)->distress, 24);
    assert_int_equal(scene_counters(scene)->floods, 0);
}

static void an_echo_of_old_distress_is_ignored(void **state)
{
    struct scene *scene = *state;

    say_distress(scene, 5, "low");
    say_distress(scene, 5, "low");
    say_distress(scene, 4, "low");
    assert_int_equal(scene_counters(scene)->distress, 1);
    assert_int_equal(scene_counters(scene)->ignored, 2);
    scene_say(scene, HELLO "\n"); /* of an agent that began anew */
    say_distress(scene, 1, "low");
    assert_int_equal(scene_counters(scene)->distress, 2);
}

static void distress_is_known_after_a_hang_up_and_not_in_the_next_run(void **state)
{
    struct scene *scene = *state;
    uint64_t when;

    say_distress(scene, 1, "low");
    when = scene_look(scene, 0)->distress_ms;
    close(scene->guest);
    scene_run(scene);
    assert_false(scene_look(scene, 0)->present);
    assert_int_equal(scene_look(scene, 0)->distress_ms, when);
    scene->snapshot.guests[0].run_id = 2;
    assert_int_equal(scene_look(scene, 0)->distress_ms, 0);
    scene->guest = scene_accept(scene->listener, WAIT_MS);
}

static void events_close_together_keep_the_stall_that_was_measured(void **state)
{
    struct scene *scene = *state;

    scene_say(scene, "{\"memctl-agent\":1,\"type\":\"report\",\"seq\":1," SMALL_MEMORY
                     ",\"counters\":{\"stall_us\":0}}\n");
    usleep(510000);
    scene_say(scene, "{\"memctl-agent\":1,\"type\":\"report\",\"seq\":2," SMALL_MEMORY
                     ",\"counters\":{\"stall_us\":255000}}\n");
    assert_in_range(scene_look(scene, 0)->stall_us, 300000, 500000);
    say_distress(scene, 3, "low");
    assert_in_range(scene_look(scene, 0)->stall_us, 300000, 500000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(distress_wakes_the_engine_at_once, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_guest_that_takes_memory_wakes_the_engine, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(an_agent_that_only_ever_said_distress_is_present,
                                        scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(its_end_wakes_nobody_and_is_remembered, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(an_impossible_distress_wakes_nobody, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(events_gather_between_two_wakes, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(distress_for_ever_wakes_eight_times_in_ten_seconds,
                                        scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(an_echo_of_old_distress_is_ignored, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(distress_is_known_after_a_hang_up_and_not_in_the_next_run,
                                        scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(events_close_together_keep_the_stall_that_was_measured,
                                        scene_set_up, scene_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
