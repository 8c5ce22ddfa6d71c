/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "trend.h"

#define MINUTE 60000
#define HALF_HOUR ((uint64_t)30 * MINUTE)
#define SIX_HOURS ((uint64_t)360 * MINUTE)

/* A host whose guests have a size that grows by a MiB with every tick of two seconds. */
struct scene {
    struct trend *trend;
    struct mc_snapshot snapshot;
    struct mc_plan plan;
    uint64_t ticks;
};

static int begin(void **state)
{
    static struct scene scene;

    scene = (struct scene){.trend = trend_new()};
    scene.snapshot.now_ms = 5000000;
    scene.snapshot.wall_s = 1700000000;
    scene.snapshot.host = (struct mc_host){.total = 64 * MC_GIB, .available = 32 * MC_GIB};
    *state = &scene;
    return scene.trend ? 0 : -1;
}

static int end(void **state)
{
    struct scene *scene = *state;

    trend_free(scene->trend);
    mc_snapshot_free(&scene->snapshot);
    mc_plan_free(&scene->plan);
    return 0;
}

static void set_guests(struct scene *scene, unsigned first, unsigned count)
{
    const struct mc_snapshot old = scene->snapshot;

    mc_snapshot_reset(&scene->snapshot); /* it forgets all but its room */
    scene->snapshot.now_ms = old.now_ms;
    scene->snapshot.wall_s = old.wall_s;
    scene->snapshot.host = old.host;
    for (unsigned i = first; i < first + count; i++) {
        struct mc_guest *guest = mc_snapshot_add(&scene->snapshot);

        snprintf(guest->uuid, sizeof(guest->uuid), "%08u", i);
        guest->used = MC_UNKNOWN;
        guest->actual = guest->held = MC_GIB;
    }
    mc_snapshot_sort(&scene->snapshot);
    assert_int_equal(mc_plan_reset(&scene->plan, scene->snapshot.count), 0);
}

static void run(struct scene *scene, uint64_t ms)
{
    for (uint64_t until = scene->snapshot.now_ms + ms; scene->snapshot.now_ms < until;) {
        scene->snapshot.now_ms += 2000;
        scene->snapshot.wall_s += 2;
        scene->ticks++;
        for (size_t i = 0; i < scene->snapshot.count; i++)
            scene->snapshot.guests[i].actual = scene->ticks * MC_MIB;
        trend_add(scene->trend, &scene->snapshot, &scene->plan);
    }
}

/* What came of a question. */
struct seen {
    bool asked, known;
    size_t count;
    uint64_t step_ms;
    int64_t first_ms, last_ms, steady; /* steady: how often the time went on by just one step */
    uint64_t first, last, used, stall;
    size_t holes;
};

static void look(void *opaque, const struct trend_answer *answer)
{
    struct seen *seen = opaque;

    seen->asked = true;
    seen->known = answer;
    if (!answer || !answer->count)
        return;
    seen->count = answer->count;
    seen->step_ms = answer->step_ms;
    seen->first_ms = answer->wall_ms[0];
    seen->last_ms = answer->wall_ms[answer->count - 1];
    for (size_t i = 1; i < answer->count; i++)
        seen->steady += answer->wall_ms[i] - answer->wall_ms[i - 1] == (int64_t)answer->step_ms;
    for (size_t i = 0; i < answer->count; i++)
        seen->holes += answer->values[0][i] == MC_UNKNOWN;
    seen->first = answer->values[0][0];
    seen->last = answer->values[0][answer->count - 1];
    seen->used = answer->values[TREND_G_USED][answer->count - 1];
    if (answer->columns == TREND_HOST_COLUMNS)
        seen->stall = answer->values[TREND_STALL][answer->count - 1];
}

static struct seen ask(const struct scene *scene, const char *uuid, uint64_t span_ms)
{
    struct trend_question question = {.span_ms = span_ms};
    struct seen seen = {0};

    snprintf(question.uuid, sizeof(question.uuid), "%s", uuid);
    trend_read(scene->trend, &question, look, &seen);
    assert_true(seen.asked);
    return seen;
}

static void keeps_the_last_half_hour_and_the_last_six_hours(void **state)
{
    struct scene *scene = *state;
    struct seen seen;

    set_guests(scene, 1, 1);
    run(scene, SIX_HOURS + HALF_HOUR);
    seen = ask(scene, "00000001", HALF_HOUR);
    assert_int_equal(seen.count, 180);
    assert_int_equal(seen.steady, 179);
    assert_int_equal(seen.last_ms - seen.first_ms, 179 * 10000);
    assert_int_equal(seen.last - seen.first, 179 * 5 * MC_MIB);
    assert_int_equal(seen.used, MC_UNKNOWN);
    seen = ask(scene, "00000001", SIX_HOURS);
    assert_int_equal(seen.count, 360);
    assert_int_equal(seen.steady, 359);
    assert_int_equal(seen.last - seen.first, 359 * 30 * MC_MIB);
    assert_int_equal(seen.holes, 0);
}

static void knows_the_mean_of_a_minute(void **state)
{
    struct scene *scene = *state;
    uint64_t fine;

    set_guests(scene, 1, 1);
    run(scene, 10 * MINUTE);
    fine = ask(scene, "00000001", HALF_HOUR).last;
    /* Six samples, 5 MiB apart: their mean is 12.5 MiB before the last one. */
    run(scene, 0);
    assert_in_range(fine - ask(scene, "00000001", SIX_HOURS).last, 0, 60 * MC_MIB);
    assert_int_equal(ask(scene, "00000001", SIX_HOURS).last % (MC_MIB / 2), 0);
}

static void tells_of_the_host_without_guests(void **state)
{
    struct scene *scene = *state;
    struct seen seen;

    scene->snapshot.host.pressure = (struct mc_pressure){.present = true, .some_avg10 = 321};
    set_guests(scene, 1, 0);
    run(scene, MINUTE);
    seen = ask(scene, "", HALF_HOUR);
    assert_true(seen.known);
    assert_int_equal(seen.last, 64 * MC_GIB);
    assert_int_equal(seen.stall, 32100);
    scene->snapshot.host.pressure.present = false;
    run(scene, MINUTE);
    assert_int_equal(ask(scene, "", HALF_HOUR).stall, MC_UNKNOWN);
}

static void leaves_a_hole_while_a_guest_is_gone(void **state)
{
    struct scene *scene = *state;

    set_guests(scene, 1, 2);
    run(scene, 6 * MINUTE);
    set_guests(scene, 1, 1);
    run(scene, 5 * MINUTE);
    set_guests(scene, 1, 2);
    run(scene, 5 * MINUTE);
    assert_int_equal(ask(scene, "00000001", HALF_HOUR).holes, 0);
    assert_in_range(ask(scene, "00000002", HALF_HOUR).holes, 29, 31);
    assert_int_equal(ask(scene, "00000002", HALF_HOUR).last,
                     ask(scene, "00000001", HALF_HOUR).last);
    assert_false(ask(scene, "00000003", HALF_HOUR).known);
}

static void remembers_a_guest_as_long_as_it_was_there(void **state)
{
    struct scene *scene = *state;

    set_guests(scene, 1, 2);
    run(scene, 10 * MINUTE);
    set_guests(scene, 1, 1);
    run(scene, 9 * MINUTE);
    assert_true(ask(scene, "00000002", SIX_HOURS).known);
    run(scene, 2 * MINUTE);
    assert_false(ask(scene, "00000002", SIX_HOURS).known);
    assert_true(ask(scene, "00000001", SIX_HOURS).known);
}

static void forgets_every_guest_after_six_hours(void **state)
{
    struct scene *scene = *state;

    set_guests(scene, 1, 2);
    run(scene, 2 * SIX_HOURS);
    set_guests(scene, 1, 1);
    run(scene, SIX_HOURS - MINUTE);
    assert_true(ask(scene, "00000002", SIX_HOURS).known);
    run(scene, 2 * MINUTE);
    assert_false(ask(scene, "00000002", SIX_HOURS).known);
}

static void keeps_no_more_than_its_guests(void **state)
{
    struct scene *scene = *state;

    set_guests(scene, 0, TREND_GUESTS_MAX + 10);
    run(scene, MINUTE);
    assert_true(ask(scene, "00000000", HALF_HOUR).known);
    assert_false(ask(scene, "00001030", HALF_HOUR).known);
    /* Those that have gone make room for those that come. */
    set_guests(scene, 1000, 500);
    run(scene, MINUTE);
    assert_true(ask(scene, "00001030", HALF_HOUR).known);
    assert_true(ask(scene, "00001499", HALF_HOUR).known);
    assert_int_equal(ask(scene, "00001023", HALF_HOUR).holes, 0);
}

static void goes_on_after_a_pause(void **state)
{
    struct scene *scene = *state;
    struct seen seen;

    set_guests(scene, 1, 1);
    run(scene, 5 * MINUTE);
    scene->snapshot.now_ms += HALF_HOUR;
    scene->snapshot.wall_s += 1800;
    run(scene, 5 * MINUTE);
    seen = ask(scene, "00000001", HALF_HOUR);
    assert_in_range(seen.count, 59, 62);
    assert_int_equal(seen.steady, seen.count - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_the_last_half_hour_and_the_last_six_hours, begin,
                                        end),
        cmocka_unit_test_setup_teardown(knows_the_mean_of_a_minute, begin, end),
        cmocka_unit_test_setup_teardown(tells_of_the_host_without_guests, begin, end),
        cmocka_unit_test_setup_teardown(leaves_a_hole_while_a_guest_is_gone, begin, end),
        cmocka_unit_test_setup_teardown(remembers_a_guest_as_long_as_it_was_there, begin, end),
        cmocka_unit_test_setup_teardown(forgets_every_guest_after_six_hours, begin, end),
        cmocka_unit_test_setup_teardown(keeps_no_more_than_its_guests, begin, end),
        cmocka_unit_test_setup_teardown(goes_on_after_a_pause, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
