/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the host's side makes of a good, a broken, a flooding and a silent guest. */
#include "testing.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memctl/agent_protocol.h>

#include "agent_messages.h"
#include "agent_scene.h"

static void a_report_arrives_in_the_snapshot(void **state)
{
    struct scene *scene = *state;
    const struct mc_agent_report *agent;

    scene_say(scene, HELLO "\n");
    assert_false(scene_look(scene, 0)->present);
    scene_say(scene, REPORT "\n");
    agent = scene_look(scene, 0);
    assert_true(agent->present);
    assert_string_equal(agent->version, "1.2.3");
    assert_int_equal(agent->total, 1000);
    assert_int_equal(agent->free, 200);
    assert_int_equal(agent->available, 600);
    assert_in_range(agent->received_ms, scene_clock_ms() - WAIT_MS, scene_clock_ms());
    assert_int_equal(scene_counters(scene)->messages, 2);
}

static void the_host_asks_for_reports_once(void **state)
{
    struct scene *scene = *state;
    char text[256] = "";

    scene_look(scene, 0);
    assert_true(read(scene->guest, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "\n{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":5}\n");
}

static void lines_may_come_in_pieces_and_together(void **state)
{
    struct scene *scene = *state;

    for (const char *byte = REPORT; *byte; byte++)
        scene_say(scene, (const char[]){*byte, '\0'});
    assert_false(scene_look(scene, 0)->present);
    scene_say(scene, "\n\n" HELLO "\n" REPORT "\n");
    assert_true(scene_look(scene, 0)->present);
    assert_int_equal(scene_counters(scene)->messages, 3);
    assert_int_equal(scene_counters(scene)->ignored, 0);
}

static void a_good_line_after_garbage_is_taken(void **state)
{
    struct scene *scene = *state;
    char long_line[MC_AGENT_LINE_MAX + 500];

    scene_say(scene, "l\":600}}\n\x01\x02\xff\n{\"memctl-agent\":1}\n");
    assert_int_equal(scene_counters(scene)->ignored, 3);
    memset(long_line, 'x', sizeof(long_line) - 1);
    long_line[sizeof(long_line) - 1] = '\0';
    scene_say(scene, long_line);
    scene_say(scene, REPORT "\n"); /* ends the long line: not taken */
    assert_int_equal(scene_counters(scene)->ignored, 4);
    assert_false(scene_look(scene, 0)->present);
    scene_say(scene, REPORT "\n");
    assert_true(scene_look(scene, 0)->present);
}

static void more_memory_than_the_guest_has_is_ignored(void **state)
{
    struct scene *scene = *state;

    scene->snapshot.guests[0].memory = 999;
    scene_look(scene, 0);
    scene_say(scene, REPORT "\n");
    assert_false(scene_look(scene, 0)->present);
    assert_int_equal(scene_counters(scene)->ignored, 1);
}

static void a_gap_in_the_numbers_is_counted(void **state)
{
    struct scene *scene = *state;

    scene_say(scene, REPORT "\n");
    scene_say(scene, "{\"memctl-agent\":1,\"type\":\"report\",\"seq\":5,"
                     "\"memory\":{\"total\":9,\"free\":2,\"available\":6}}\n");
    assert_int_equal(scene_counters(scene)->gaps, 1);
    assert_int_equal(scene_look(scene, 0)->available, 6);
}

static void a_silent_agent_is_not_present(void **state)
{
    struct scene *scene = *state;

    scene_say(scene, REPORT "\n");
    assert_true(scene_look(scene, 5000)->present);
    assert_false(scene_look(scene, 15500)->present);
    scene_say(scene, REPORT_NUMBER("2") "\n");
    assert_true(scene_look(scene, 0)->present);
}

static void a_flood_is_hung_up_and_called_again_later(void **state)
{
    struct scene *scene = *state;
    char flood[4000];

    memset(flood, '\n', sizeof(flood) - 1);
    flood[sizeof(flood) - 1] = '\0';
    scene_say(scene, REPORT "\n");
    assert_true(scene_look(scene, 0)->present);
    scene_say(scene, flood);
    assert_int_equal(scene_counters(scene)->floods, 1);
    assert_true(scene_is_hung_up(scene));
    assert_false(scene_look(scene, 4000)->present);
    assert_int_equal(scene_accept(scene->listener, 0), -1);

    close(scene->guest);
    scene_look(scene, 6000);
    scene->guest = scene_accept(scene->listener, WAIT_MS);
    assert_true(scene->guest >= 0);
}

static void a_flood_without_newlines_is_bounded_too(void **state)
{
    struct scene *scene = *state;
    char flood[1000];
    size_t taken = 0;

    memset(flood, 'x', sizeof(flood));
    for (unsigned i = 0; i < 1000 && !scene_counters(scene)->floods; i++) {
        ssize_t sent = send(scene->guest, flood, sizeof(flood), MSG_NOSIGNAL);

        taken += sent > 0 ? (size_t)sent : 0;
        event_base_loop(scene->base, EVLOOP_NONBLOCK);
    }
    assert_int_equal(scene_counters(scene)->floods, 1);
    assert_int_equal(scene_counters(scene)->messages, 0);
    assert_in_range(taken, 1, 20 * MC_AGENT_LINE_MAX);
}

/* Nobody answers, so it is tried after 5, 15, 35, 75, 135, 195 s. */
static void failed_calls_are_tried_again_with_growing_pauses(void **state)
{
    struct scene *scene = *state;

    close(scene->guest);
    close(scene->listener);
    unlink(scene->path);
    scene_run(scene);
    for (uint64_t second = 0; second < 140; second++)
        scene_look(scene, second * 1000);
    scene->listener = scene_listen(scene->path);
    scene_look(scene, 190000);
    assert_int_equal(scene_accept(scene->listener, 0), -1);
    scene_look(scene, 200000);
    scene->guest = scene_accept(scene->listener, WAIT_MS);
    assert_true(scene->guest >= 0);
}

static void a_guest_that_is_gone_is_forgotten(void **state)
{
    struct scene *scene = *state;

    scene_say(scene, REPORT "\n");
    mc_snapshot_reset(&scene->snapshot);
    scene_look(scene, 0);
    assert_true(scene_is_hung_up(scene));
}

static void another_run_of_a_guest_begins_anew(void **state)
{
    struct scene *scene = *state;

    scene_say(scene, HELLO "\n" REPORT "\n");
    scene->snapshot.guests[0].run_id = 2;
    assert_false(scene_look(scene, 0)->present);
    assert_true(scene_is_hung_up(scene));
    close(scene->guest);
    scene->guest = scene_accept(scene->listener, WAIT_MS);
    assert_true(scene->guest >= 0);
    scene_say(scene, REPORT "\n");
    assert_true(scene_look(scene, 0)->present);
    assert_string_equal(scene_look(scene, 0)->version, "");
}

static void guests_come_and_go_beside_each_other(void **state)
{
    struct scene *scene = *state;

    scene_say(scene, REPORT "\n");
    scene_add_guest(scene, "a", "/nonexistent/socket");
    scene_add_guest(scene, "c", "");
    mc_snapshot_sort(&scene->snapshot);
    scene_look(scene, 0);
    assert_false(mc_snapshot_find(&scene->snapshot, "a")->agent.present);
    assert_true(mc_snapshot_find(&scene->snapshot, "b")->agent.present);
    assert_false(mc_snapshot_find(&scene->snapshot, "c")->agent.present);
}

static void a_definition_that_is_missing_once_costs_nothing(void **state)
{
    struct scene *scene = *state;

    scene_say(scene, REPORT "\n");
    scene->snapshot.guests[0].agent_socket[0] = '\0';
    assert_true(scene_look(scene, 0)->present);
    assert_false(scene_is_hung_up(scene));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_report_arrives_in_the_snapshot, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(the_host_asks_for_reports_once, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(lines_may_come_in_pieces_and_together, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_good_line_after_garbage_is_taken, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(more_memory_than_the_guest_has_is_ignored, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_gap_in_the_numbers_is_counted, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_silent_agent_is_not_present, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_flood_is_hung_up_and_called_again_later, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_flood_without_newlines_is_bounded_too, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(failed_calls_are_tried_again_with_growing_pauses,
                                        scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(a_guest_that_is_gone_is_forgotten, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(another_run_of_a_guest_begins_anew, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(guests_come_and_go_beside_each_other, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_definition_that_is_missing_once_costs_nothing,
                                        scene_set_up, scene_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
