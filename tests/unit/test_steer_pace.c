/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How fast ksmd looks and for how long, and what came of what was promised. */
#include "steer_scene.h"

#include "testing.h"

static void slows_down_when_it_has_found_what_was_promised(void **state)
{
    struct scene s = merged_scene();

    (void)state;
    assert_int_equal(s.plan.pace, MC_STEER_SEARCH);
    assert_int_equal(s.plan.knobs.value[MC_KSM_SMART_SCAN], 0);
    s.guests[0].saved = 252 * MC_MIB;
    s.host.ksm.knobs.value[MC_KSM_ADVISOR_MODE] = MC_UNKNOWN;
    decide(&s);
    assert_int_equal(s.plan.pace, MC_STEER_FOUND);
    assert_int_equal(s.plan.knobs.value[MC_KSM_SMART_SCAN], 1);
    assert_true(s.plan.knobs.value[MC_KSM_PAGES_TO_SCAN] < 100);
    s.host.ksm.knobs.value[MC_KSM_ADVISOR_MODE] = 0;
    decide(&s);
    assert_int_equal(s.plan.knobs.value[MC_KSM_ADVISOR_MODE], 1);
    assert_int_equal(s.plan.knobs.value[MC_KSM_PAGES_TO_SCAN], MC_UNKNOWN);
    s.guests[0].saving = 256 * MC_MIB; /* as much again has come */
    s.guests[0].mind.promised = 506 * MC_MIB;
    decide(&s);
    assert_int_equal(s.plan.pace, MC_STEER_SEARCH);
}

static void looks_again_when_what_was_merged_has_to_be_merged_anew(void **state)
{
    struct scene s = merged_scene();

    (void)state;
    s.guests[0].saved = 256 * MC_MIB;
    decide(&s);
    assert_int_equal(s.plan.pace, MC_STEER_FOUND);
    s.guests[0].saved = 236 * MC_MIB;
    decide(&s);
    assert_int_equal(s.plan.pace, MC_STEER_FOUND);
    s.guests[0].saved = 0; /* it was restored from a file: another QEMU */
    decide(&s);
    assert_int_equal(s.plan.pace, MC_STEER_SEARCH);
}

static void ends_the_pass_in_which_it_found_nine_tenths(void **state)
{
    struct scene s = merged_scene();

    (void)state;
    s.guests[0].saved = 235 * MC_MIB;
    decide(&s);
    s.host.ksm.full_scans++;
    s.guests[0].saved = 240 * MC_MIB;
    assert_int_equal(s.plan.pace, MC_STEER_SEARCH);
    decide(&s);
    assert_int_equal(s.plan.pace, MC_STEER_FOUND);
}

static void compares_what_came_of_it_with_what_was_promised_before(void **state)
{
    struct scene s = merged_scene();

    (void)state;
    assert_int_equal(s.plan.foretold, 256 * MC_MIB);
    assert_int_equal(s.guests[0].mind.foretold, 256 * MC_MIB);
    s.guests[0].saved = 200 * MC_MIB;
    s.guests[0].saving = 40 * MC_MIB; /* the rest was written meanwhile */
    pass(&s);
    assert_int_equal(s.plan.promised, 240 * MC_MIB);
    assert_int_equal(s.plan.foretold, 256 * MC_MIB);
    s.guests[0].mergeable = s.guests[0].saved = 0;
    pass(&s);
    assert_int_equal(s.guests[0].mind.foretold, 0);
}

/* Which the kernel does when ksmd breaks a huge page, and counts nowhere. */
static void zeros_that_the_kernel_dropped_are_saved(void **state)
{
    struct scene s = merged_scene();
    struct mc_steer_guest *guest = &s.guests[0];

    (void)state;
    guest->mind.zero = guest->zero = 100 * MC_MIB;
    guest->saved = 160 * MC_MIB;
    guest->zeroed = 4 * MC_MIB;
    guest->zero = 0;
    guest->saving = 0;
    guest->present = guest->mind.present - 90 * MC_MIB; /* 10 were written, and are still there */
    pass(&s);
    assert_int_equal(guest->dropped, 86 * MC_MIB);
    assert_int_equal(mc_steer_saved(guest), 246 * MC_MIB);
    assert_int_equal(s.plan.saved, 246 * MC_MIB);
    assert_int_equal(s.plan.pace, MC_STEER_FOUND);
}

static uint64_t pause_of(struct scene *scene)
{
    decide(scene);
    return scene->plan.knobs.value[MC_KSM_SLEEP_MS];
}

static void learns_how_fast_ksmd_is(void **state)
{
    struct scene s = merged_scene();
    uint64_t pause, cpu_ms = s.guests[0].cpu_ms;

    (void)state;
    s.host.state = MC_HOST_LOW; /* all that it may take, whatever that is worth */
    pause = pause_of(&s);
    assert_false(s.plan.speed_is_learned);
    s.host.ksm.pages_scanned = 1000000;
    s.host.ksmd_us = 5000000;
    decide(&s);
    assert_false(s.plan.speed_is_learned); /* what it did before was somebody else's work */
    s.host.ksm.pages_scanned += 1000;
    s.host.ksmd_us += 1000;
    decide(&s);
    assert_false(s.plan.speed_is_learned);
    s.host.ksm.pages_scanned += 74000;
    s.host.ksmd_us += 999000;
    decide(&s);
    assert_int_equal(s.plan.pages_per_second, 75000);
    assert_true(s.plan.speed_is_learned);
    assert_in_range(pause_of(&s), 4 * pause, 6 * pause);
    pass(&s);
    assert_in_range(s.guests[0].cpu_ms, 4 * cpu_ms, 6 * cpu_ms);
    s.host.ksm.pages_scanned += 475000;
    s.host.ksmd_us += 1000000;
    decide(&s);
    assert_int_equal(s.plan.pages_per_second, 175000);
    s.host.ksmd_us = 0; /* another boot, or another ksmd */
    decide(&s);
    assert_int_equal(s.plan.pages_per_second, 175000);
    s.host.ksmd_us = MC_UNKNOWN;
    decide(&s);
    assert_int_equal(s.plan.pages_per_second, 175000);
}

static void gives_up_the_rest_after_some_passes(void **state)
{
    struct scene s = merged_scene();

    (void)state;
    s.guests[0].saved = 100 * MC_MIB;
    s.host.ksm.full_scans += 3;
    decide(&s);
    assert_int_equal(s.plan.pace, MC_STEER_SEARCH);
    s.host.ksm.full_scans += 1;
    decide(&s);
    assert_int_equal(s.plan.pace, MC_STEER_GAVE_UP);
    assert_true(runs(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slows_down_when_it_has_found_what_was_promised),
        cmocka_unit_test(looks_again_when_what_was_merged_has_to_be_merged_anew),
        cmocka_unit_test(ends_the_pass_in_which_it_found_nine_tenths),
        cmocka_unit_test(compares_what_came_of_it_with_what_was_promised_before),
        cmocka_unit_test(zeros_that_the_kernel_dropped_are_saved),
        cmocka_unit_test(learns_how_fast_ksmd_is),
        cmocka_unit_test(gives_up_the_rest_after_some_passes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
