/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Host reclaim and the last resort: what is decided in single cases. */
#include "testing.h"

#include <string.h>

#include "technique_scene.h"

static void the_idlest_per_share_gives_first(void **state)
{
    struct technique_scene scene;

    (void)state;
    technique_scene_open(&scene, 0);
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_WORKS);
    assert_int_equal(scene.plan.steps[0].reclaim, 128 * MC_MIB); /* in half a second */
    assert_int_equal(scene.plan.steps[1].reclaim, 0);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0);
    scene.guests[1].terms.shares = 500;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 0);
    assert_int_equal(scene.plan.steps[1].reclaim, 128 * MC_MIB);
    technique_scene_close(&scene);
}

static void what_balloons_will_give_is_not_taken_as_well(void **state)
{
    struct technique_scene scene;

    (void)state;
    technique_scene_open(&scene, 0);
    scene.plan.steps[1].target = 900 * MC_MIB;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_NOT_NEEDED);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0); /* one that is slow brings less than that in a moment */
    scene.plan.steps[1].target = 900 * MC_MIB;
    scene.tracks.list[1].speed = 10 * MC_MIB;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 128 * MC_MIB);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0); /* and one that was not seen to move at all brings nothing */
    scene.plan.steps[1].target = 900 * MC_MIB;
    scene.tracks.list[1].shrinks_ms = SCENE_NOW_MS - 4000;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 128 * MC_MIB);
    technique_scene_close(&scene);
}

/* Both take different pages at worst. */
static void balloon_and_host_together_leave_what_is_needed(void **state)
{
    struct technique_scene scene;

    (void)state;
    technique_scene_open(&scene, 0);
    scene.guests[1].terms.managed = false;
    scene.tracks.list[0].speed = 1; /* nothing is expected of it */
    scene.plan.steps[0].target = 700 * MC_MIB;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_WORKS);
    assert_true(scene.plan.steps[0].reclaim <= 100 * MC_MIB);
    technique_scene_close(&scene);
}

static void guests_out_of_the_balloons_reach_give_as_well(void **state)
{
    struct technique_scene scene;

    (void)state;
    technique_scene_open(&scene, 0); /* no balloon: nothing is known of it but its size */
    scene.guests[0].exempt = MC_EXEMPT_NO_BALLOON;
    scene.guests[0].fresh = false;
    scene.guests[0].active_source = MC_SOURCE_NONE;
    scene.guests[0].active = scene.guests[0].actual;
    scene.guests[1].terms.managed = false;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 128 * MC_MIB);
    scene.guests[0].held = 1536 * MC_MIB; /* a quarter of it is taken for idle */
    scene.plan.steps[0].reclaim = scene.plan.reclaim = 0;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 0);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_NOBODY);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0); /* a balloon that does not follow */
    scene.tracks.list[0].retry_ms = SCENE_NOW_MS + 1;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 128 * MC_MIB);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0); /* the operator's word goes before all */
    scene.guests[0].exempt = MC_EXEMPT_UNMANAGED;
    scene.guests[1].exempt = MC_EXEMPT_OPERATOR;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.reclaim, 0);
    technique_scene_close(&scene);
}

static void it_is_done_where_it_can_be_and_a_little_at_a_time(void **state)
{
    struct technique_scene scene;

    (void)state;
    technique_scene_open(&scene, 0);
    scene.guests[0].reclaim = MC_RECLAIM_IMPOSSIBLE;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.steps[0].reclaim, 0);
    assert_true(scene.plan.steps[1].reclaim > 0);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0); /* what is under way is waited for */
    scene.guests[0].reclaim = scene.guests[1].reclaim = MC_RECLAIM_UNDER_WAY;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.reclaim, 0);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_WORKS);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0); /* the last of the swap is left to the kernel */
    scene.snapshot.host.swap_free = scene.snapshot.host.swap_total / 10 + 20 * MC_MIB;
    technique_scene_decide(&scene);
    assert_in_range(scene.plan.reclaim, 1, 20 * MC_MIB);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0);
    scene.config.host_reclaim = false;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.reclaim, 0);
    assert_int_equal(scene.plan.reclaim_verdict, MC_RECLAIM_OFF);
    technique_scene_close(&scene);
}

/* ---- the last resort ---- */

static enum mc_resort_step stopped_of_two(struct technique_scene *scene, size_t *which)
{
    scene->plan.state = MC_HOST_LOW;
    technique_scene_decide(scene);
    *which = scene->plan.steps[0].resort != MC_RESORT_LEAVE ? 0 : 1;
    assert_int_equal(scene->plan.steps[1 - *which].resort, MC_RESORT_LEAVE);
    return scene->plan.steps[*which].resort;
}

static void the_lowest_shares_and_then_what_frees_most(void **state)
{
    struct technique_scene scene;
    size_t which;

    (void)state;
    technique_scene_open(&scene, 0);
    scene.guests[0].terms.last_resort = scene.guests[1].terms.last_resort = MC_LAST_RESORT_SAVE;
    assert_int_equal(stopped_of_two(&scene, &which), MC_RESORT_SAVE);
    assert_int_equal(which, 0);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0);
    scene.guests[0].terms.last_resort = scene.guests[1].terms.last_resort = MC_LAST_RESORT_SAVE;
    scene.guests[1].terms.shares = 1000;
    scene.guests[1].rss += MC_MIB;
    assert_int_equal(stopped_of_two(&scene, &which), MC_RESORT_SAVE);
    assert_int_equal(which, 1);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0); /* suspending frees nothing where nothing can be swapped out */
    technique_scene_no_swap(&scene);
    scene.guests[0].terms.last_resort = MC_LAST_RESORT_SUSPEND;
    scene.guests[1].terms.last_resort = MC_LAST_RESORT_SAVE;
    assert_int_equal(stopped_of_two(&scene, &which), MC_RESORT_SAVE);
    assert_int_equal(which, 1);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0); /* but it is done if nothing else is left */
    technique_scene_no_swap(&scene);
    scene.guests[0].terms.last_resort = MC_LAST_RESORT_SUSPEND;
    assert_int_equal(stopped_of_two(&scene, &which), MC_RESORT_SUSPEND);
    assert_int_equal(which, 0);
    technique_scene_close(&scene);
}

static void whom_an_operator_holds_is_left_alone(void **state)
{
    struct technique_scene scene;

    (void)state;
    for (int i = 0; i < 4; i++) {
        technique_scene_open(&scene, 0);
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
        technique_scene_decide(&scene);
        assert_int_equal(scene.plan.steps[0].resort, MC_RESORT_LEAVE);
        scene.guests[0].stopped.how = MC_LAST_RESORT_NONE;
        scene.snapshot.now_ms += 60000;
        if (i == 3) {
            technique_scene_decide(&scene); /* and for a while after that */
            assert_int_equal(scene.plan.steps[0].resort, MC_RESORT_LEAVE);
        }
        technique_scene_close(&scene);
    }
}

static void nothing_of_what_somebody_else_suspended_goes_on(void **state)
{
    struct technique_scene scene;

    (void)state;
    technique_scene_open(&scene, 0);
    technique_scene_suspended(&scene);
    scene.guests[0].exempt = MC_EXEMPT_NOT_RUNNING;
    scene.guests[0].stopped.how = MC_LAST_RESORT_NONE;
    technique_scene_decide(&scene);
    assert_int_equal(scene.plan.steps[0].resort, MC_RESORT_LEAVE);
    assert_int_equal(scene.plan.stopped, 0);
    technique_scene_close(&scene);
}

static void the_last_one_goes_on_first(void **state)
{
    struct technique_scene scene;

    (void)state;
    technique_scene_open(&scene, 0);
    technique_scene_suspended(&scene);
    strcpy(scene.snapshot.resort.last.uuid, "c");
    scene.snapshot.resort.last.stopped =
        (struct mc_stopped){.how = MC_LAST_RESORT_SAVE, .at_s = 2000, .size = MC_GIB};
    scene.snapshot.resort.saved_count = 1;
    technique_scene_decide(&scene);
    assert_true(scene.plan.start_saved);
    assert_int_equal(scene.plan.steps[0].resort, MC_RESORT_LEAVE);
    assert_int_equal(scene.plan.stopped, 2);
    technique_scene_close(&scene);

    technique_scene_open(&scene, 0);
    technique_scene_suspended(&scene);
    strcpy(scene.snapshot.resort.last.uuid, "c");
    scene.snapshot.resort.last.stopped =
        (struct mc_stopped){.how = MC_LAST_RESORT_SAVE, .at_s = 500, .size = MC_GIB};
    technique_scene_decide(&scene);
    assert_false(scene.plan.start_saved);
    assert_int_equal(scene.plan.steps[0].resort, MC_RESORT_CONTINUE);
    technique_scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_idlest_per_share_gives_first),
        cmocka_unit_test(what_balloons_will_give_is_not_taken_as_well),
        cmocka_unit_test(balloon_and_host_together_leave_what_is_needed),
        cmocka_unit_test(guests_out_of_the_balloons_reach_give_as_well),
        cmocka_unit_test(it_is_done_where_it_can_be_and_a_little_at_a_time),
        cmocka_unit_test(the_lowest_shares_and_then_what_frees_most),
        cmocka_unit_test(whom_an_operator_holds_is_left_alone),
        cmocka_unit_test(nothing_of_what_somebody_else_suspended_goes_on),
        cmocka_unit_test(the_last_one_goes_on_first),
    };

    return cmocka_run_group_tests_name("techniques", tests, NULL, NULL);
}
