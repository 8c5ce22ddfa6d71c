/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that says whatever may do harm, as fast as it can and at a pace that is allowed: it is
 * hung up or heard, costs the host no memory, and wakes the engine no more often than others.
 */
#include "testing.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent_messages.h"
#include "agent_scene.h"
#include "hostile.h"

#define ROUNDS 40
#define ROUND_BYTES ((size_t)256 * 1024)

static uint64_t begin(struct hostile *hostile)
{
    const char *given = getenv("MEMCTL_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : scene_clock_ms();

    print_message("# MEMCTL_TEST_SEED=%lu\n", (unsigned long)seed);
    *hostile = (struct hostile){.random = seed | 1};
    return seed;
}

/* As another run of the guest, with which the host is patient once more. */
static void connect_again(struct scene *scene)
{
    close(scene->guest);
    scene->snapshot.guests[0].run_id++;
    scene_look(scene, 0);
    scene->guest = scene_accept(scene->listener, WAIT_MS);
    assert_true(scene->guest >= 0);
}

/* Until the host hangs up, or it was enough. */
static void pour(struct scene *scene, struct hostile *hostile, size_t way)
{
    char text[8192];
    size_t poured = 0;

    while (poured < ROUND_BYTES) {
        size_t length = hostile_bytes(hostile, way, text, sizeof(text));

        if (send(scene->guest, text, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            return;
        poured += length;
        event_base_loop(scene->base, EVLOOP_NONBLOCK);
    }
}

static void floods_of_all_kinds_cost_no_memory(void **state)
{
    struct scene *scene = *state;
    struct hostile hostile;
    size_t before = 0;

    begin(&hostile);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (size_t way = 0; hostile_names[way]; way++) {
            connect_again(scene);
            pour(scene, &hostile, way);
            scene_run(scene);
            scene_look(scene, 0);
        }
        if (round == 1)
            before = mallinfo2().uordblks;
    }
    assert_true(scene_counters(scene)->floods > ROUNDS);
    assert_in_range(mallinfo2().uordblks, 0, before + 16384);
}

static void a_good_agent_after_it_is_heard(void **state)
{
    struct scene *scene = *state;
    struct hostile hostile;

    begin(&hostile);
    for (size_t way = 0; hostile_names[way]; way++)
        pour(scene, &hostile, way);
    scene_run(scene);
    connect_again(scene);
    scene_say(scene, "\n" HELLO "\n" REPORT "\n");
    assert_true(scene_look(scene, 0)->present);
}

/* At eight lines a second, which is what an agent may say. */
static void distress_at_a_pace_that_is_allowed_is_bounded(void **state)
{
    struct scene *scene = *state;
    struct hostile hostile;
    char text[8192];
    size_t way = 0;

    begin(&hostile);
    while (strcmp(hostile_names[way], "distress") != 0)
        way++;
    for (unsigned i = 0; i < 40; i++) {
        size_t length = hostile_bytes(&hostile, way, text, sizeof(text) - 1);

        text[length] = '\0';
        scene_say(scene, text);
        usleep(125000);
    }
    assert_int_equal(scene_counters(scene)->floods, 0);
    assert_int_equal(scene_counters(scene)->distress, 40);
    assert_in_range(scene->wakes, 5, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(floods_of_all_kinds_cost_no_memory, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_good_agent_after_it_is_heard, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(distress_at_a_pace_that_is_allowed_is_bounded, scene_set_up,
                                        scene_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
