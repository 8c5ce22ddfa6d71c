/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What follows from the history: capacity, and what if. */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/past.h>

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define BEGIN (INT64_C(1700000000000) / HOUR * HOUR)

/* Two guests and the host, in minutes. */
enum { MINUTES = 240, GUESTS = 2 };

struct scene {
    struct mc_point host[MINUTES], points[GUESTS][MINUTES];
    struct mc_past_guest guests[GUESTS];
    struct mc_past past;
};

static struct mc_point make_point(const char *uuid, int minute)
{
    struct mc_point point = {
        .tier = MC_TIER_MINUTE, .at_ms = BEGIN + minute * MINUTE, .span_ms = 60000};

    strcpy(point.uuid, uuid);
    for (size_t i = 0; i < MC_HOST_VALUES; i++)
        point.values[i] = (struct mc_range){MC_UNKNOWN, MC_UNKNOWN, MC_UNKNOWN};
    return point;
}

static void set(struct mc_point *point, enum mc_value value, uint64_t bytes)
{
    point->values[value] = (struct mc_range){bytes, bytes, bytes};
}

/* Guest a uses 1 GiB, and 3 GiB in the third hour; b always uses 400 MiB. Both have 4 GiB. */
static uint64_t use_of(int guest, int minute)
{
    return guest == 1 ? 400 * MC_MIB : minute / 60 == 2 ? 3 * MC_GIB : MC_GIB;
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    for (int i = 0; i < MINUTES; i++) {
        scene->host[i] = make_point("", i);
        set(&scene->host[i], MC_VALUE_TOTAL, 8 * MC_GIB);
        set(&scene->host[i], MC_VALUE_OTHERS, MC_GIB);
        set(&scene->host[i], MC_VALUE_STRICT, 6 * MC_GIB);
        set(&scene->host[i], MC_VALUE_PROMISED, 8 * MC_GIB);
        set(&scene->host[i], MC_VALUE_DIVIDED, 8 * MC_GIB);
        set(&scene->host[i], MC_VALUE_USED, use_of(0, i) + use_of(1, i));
        set(&scene->host[i], MC_VALUE_ACTIVE, use_of(0, i) + use_of(1, i));
        set(&scene->host[i], MC_VALUE_HELD, use_of(0, i) + use_of(1, i));
    }
    for (int guest = 0; guest < GUESTS; guest++) {
        struct mc_shape *shape = &scene->guests[guest].shape;

        snprintf(shape->name, sizeof(shape->name), "%c", (char)('a' + guest));
        snprintf(shape->uuid, sizeof(shape->uuid), "00000000-0000-0000-0000-00000000000%d", guest);
        shape->memory = 4 * MC_GIB;
        shape->terms = (struct mc_terms){1000, 256 * MC_MIB, 4 * MC_GIB, true};
        for (int i = 0; i < MINUTES; i++) {
            scene->points[guest][i] = make_point(shape->uuid, i);
            set(&scene->points[guest][i], MC_VALUE_USED, use_of(guest, i));
            set(&scene->points[guest][i], MC_VALUE_HELD, use_of(guest, i));
            set(&scene->points[guest][i], MC_VALUE_OVERHEAD, 32 * MC_MIB);
        }
        scene->guests[guest].points = scene->points[guest];
        scene->guests[guest].count = MINUTES;
    }
    scene->past = (struct mc_past){.tier = MC_TIER_MINUTE,
                                   .since_ms = BEGIN,
                                   .until_ms = BEGIN + 4 * HOUR,
                                   .host = scene->host,
                                   .host_count = MINUTES,
                                   .guests = scene->guests,
                                   .count = GUESTS};
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

/* ---- capacity ---- */

static struct mc_capacity capacity_of(const struct scene *scene)
{
    struct mc_capacity capacity;
    struct mc_error err;

    if (mc_capacity(&scene->past, &capacity, &err) < 0)
        fail_msg("%s", err.text);
    return capacity;
}

static void room_is_what_was_never_used_together(void **state)
{
    struct mc_capacity capacity = capacity_of(*state);

    assert_int_equal(capacity.memory, 8 * MC_GIB);
    assert_int_equal(capacity.reserved, 512 * MC_MIB);
    assert_int_equal(capacity.used_most, 3 * MC_GIB + 400 * MC_MIB);
    assert_int_equal(capacity.used_median, MC_GIB + 400 * MC_MIB);
    assert_int_equal(capacity.rooms[0].risk, 0);
    assert_int_equal(capacity.rooms[0].used, 6 * MC_GIB - capacity.used_most);
    /* The third hour is a quarter of the time, and 10 % is the greatest risk that is shown. */
    assert_int_equal(capacity.rooms[MC_ROOM_RISKS - 1].used, capacity.rooms[0].used);
    mc_capacity_free(&capacity);
}

static void a_rare_peak_is_a_small_risk(void **state)
{
    struct scene *scene = *state;
    struct mc_capacity capacity;

    set(&scene->host[7], MC_VALUE_USED, 6 * MC_GIB);
    capacity = capacity_of(scene);
    assert_int_equal(capacity.rooms[0].used, 0);
    assert_int_equal(capacity.rooms[1].used, 0);                         /* 0.1 % */
    assert_int_equal(capacity.rooms[2].used, 2 * MC_GIB + 624 * MC_MIB); /* 1 %: 2.4 minutes */
    mc_capacity_free(&capacity);
}

static void guests_that_are_too_big_or_too_small_are_told(void **state)
{
    struct scene *scene = *state;
    struct mc_capacity capacity = capacity_of(scene);

    assert_int_equal(capacity.guests[0].fit, MC_FIT_GOOD);
    assert_int_equal(capacity.guests[1].fit, MC_FIT_TOO_BIG);
    assert_int_equal(capacity.guests[1].suggested, 512 * MC_MIB);
    mc_capacity_free(&capacity);
    for (int i = 10; i < 30; i++)
        set(&scene->points[0][i], MC_VALUE_USED, 4 * MC_GIB - 100 * MC_MIB);
    capacity = capacity_of(scene);
    assert_int_equal(capacity.guests[0].fit, MC_FIT_TOO_SMALL);
    assert_int_equal(capacity.guests[0].suggested, 5 * MC_GIB);
    mc_capacity_free(&capacity);
}

static void who_is_hardly_known_is_not_judged(void **state)
{
    struct scene *scene = *state;
    struct mc_capacity capacity;

    scene->guests[1].count = 60;
    for (int i = 0; i < MINUTES; i++)
        set(&scene->points[0][i], MC_VALUE_USED, MC_UNKNOWN);
    capacity = capacity_of(scene);
    assert_int_equal(capacity.guests[0].fit, MC_FIT_UNKNOWN);
    assert_int_equal(capacity.guests[0].median, MC_UNKNOWN);
    assert_int_equal(capacity.guests[1].fit, MC_FIT_UNKNOWN);
    /* b is not there any more: its memory counts no longer. */
    assert_int_equal(capacity.memory, 4 * MC_GIB);
    mc_capacity_free(&capacity);
    scene->past.host_count = 0;
    assert_int_equal(mc_capacity(&scene->past, &capacity, NULL), -ENODATA);
}

/* ---- what if ---- */

static struct mc_simulation *replay(const struct scene *scene, const struct mc_what_if *what_if)
{
    struct mc_simulation *run;
    struct mc_error err;

    setenv("MEMCTL_POLICY_PATH", BUILT_POLICIES, 0);
    if (mc_replay_past(&scene->past, what_if, &run, &err) < 0)
        fail_msg("%s", err.text);
    return run;
}

static void nobody_is_short_as_it_was(void **state)
{
    struct mc_what_if nothing = {0};
    struct mc_simulation *run = replay(*state, &nothing);

    assert_int_equal(run->count, 2);
    assert_int_equal(run->duration_ms, 4 * HOUR);
    assert_int_equal(run->host_memory, 8 * MC_GIB);
    for (size_t i = 0; i < run->count; i++)
        assert_int_equal(run->guests[i].shortage.count, 0);
    assert_int_equal(run->broken_promises, 0);
    mc_simulation_free(run);
}

static void a_host_that_is_too_small_is_told_with_when_and_how_much(void **state)
{
    struct mc_what_if what_if = {.host_memory = 4 * MC_GIB, .budget = 2560 * MC_MIB};
    struct mc_simulation *run = replay(*state, &what_if);
    const struct mc_shortage *shortage = &run->guests[0].shortage;

    assert_true(shortage->count > 0);
    assert_in_range(shortage->first_ms, 2 * HOUR - MINUTE, 2 * HOUR + MINUTE);
    assert_in_range(shortage->most_ms, 2 * HOUR - MINUTE, 3 * HOUR);
    /* 3 GiB and 400 MiB, in what is left of 2.5 GiB. */
    assert_true(shortage->most > 700 * MC_MIB);
    assert_true(run->guests[0].fare.distress_ms > HOUR * 3 / 4);
    mc_simulation_free(run);
}

static void guests_that_fit_can_be_added_and_those_that_do_not_are_short(void **state)
{
    struct mc_added_guest guests[4] = {{.name = "n1", .memory = 2 * MC_GIB}};
    struct mc_what_if what_if = {.added = guests, .added_count = 1};
    struct mc_simulation *run = replay(*state, &what_if);

    /* Like the others: it uses as large a part of its memory as they do together. */
    assert_int_equal(run->count, 3);
    assert_string_equal(run->guests[2].name, "n1");
    assert_int_equal(run->all.distress_ms, 0);
    mc_simulation_free(run);
    for (int i = 0; i < 4; i++)
        guests[i] = (struct mc_added_guest){.name = "n", .memory = 2 * MC_GIB, .use = 9000};
    what_if.added_count = 4;
    run = replay(*state, &what_if);
    assert_true(run->all.distress_ms > 0);
    mc_simulation_free(run);
}

static void a_new_guest_can_be_like_one_that_was_there(void **state)
{
    struct scene *scene = *state;
    struct mc_added_guest guest = {
        .name = "n1", .memory = 8 * MC_GIB, .like = scene->guests[0].shape.uuid};
    struct mc_what_if what_if = {.added = &guest, .added_count = 1, .samples = 240};
    struct mc_simulation *run = replay(scene, &what_if);
    uint64_t most = 0;

    for (size_t i = 0; i < run->moment_count; i++) {
        uint64_t at_ms = run->moments[i].at_ms;

        most = mc_max_u64(most, run->guests[2].moments[i].need);
        if (at_ms > MINUTE && at_ms < 2 * HOUR - MINUTE)
            assert_int_equal(run->guests[2].moments[i].need, 2 * MC_GIB);
    }
    assert_int_equal(most, 6 * MC_GIB);
    mc_simulation_free(run);
}

static void who_is_removed_is_not_there(void **state)
{
    struct scene *scene = *state;
    const char *removed[] = {scene->guests[0].shape.uuid};
    struct mc_what_if what_if = {.removed = removed, .removed_count = 1};
    struct mc_simulation *run = replay(scene, &what_if);

    assert_int_equal(run->count, 1);
    assert_string_equal(run->guests[0].name, "b");
    mc_simulation_free(run);
}

/* A guest comes when it came, and is away when it was. */
static void guests_run_when_they_ran(void **state)
{
    struct scene *scene = *state;
    struct mc_what_if what_if = {.samples = 240};
    struct mc_point *points = scene->points[0];
    struct mc_simulation *run;

    /* Away for the first hour, from 1:30 to 1:45 and after 3:30. */
    memmove(points, points + 60, 30 * sizeof(*points));
    memmove(points + 30, points + 105, 105 * sizeof(*points));
    scene->guests[0].count = 135;
    run = replay(scene, &what_if);
    for (size_t i = 0; i < run->moment_count; i++) {
        int64_t minute = (int64_t)run->moments[i].at_ms / MINUTE;
        bool is_there = run->guests[0].moments[i].actual;

        if (minute % 15 >= 2 && minute % 15 < 13)
            assert_int_equal(is_there,
                             (minute >= 60 && minute < 90) || (minute >= 105 && minute < 210));
    }
    mc_simulation_free(run);
}

static void what_cannot_be_replayed_is_refused(void **state)
{
    struct scene *scene = *state;
    struct mc_what_if nothing = {0};
    struct mc_simulation *run;
    struct mc_error err;

    scene->past.since_ms -= 40 * 24 * HOUR;
    assert_int_equal(mc_replay_past(&scene->past, &nothing, &run, &err), -ERANGE);
    scene->past.since_ms += 40 * 24 * HOUR;
    scene->past.engine = json_pack("{s:i}", "version", 99);
    assert_int_equal(mc_replay_past(&scene->past, &nothing, &run, &err), -EINVAL);
    json_decref((json_t *)scene->past.engine);
    scene->past.host_count = 0;
    assert_int_equal(mc_replay_past(&scene->past, &nothing, &run, &err), -ENODATA);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(room_is_what_was_never_used_together),
        TEST(a_rare_peak_is_a_small_risk),
        TEST(guests_that_are_too_big_or_too_small_are_told),
        TEST(who_is_hardly_known_is_not_judged),
        TEST(nobody_is_short_as_it_was),
        TEST(a_host_that_is_too_small_is_told_with_when_and_how_much),
        TEST(guests_that_fit_can_be_added_and_those_that_do_not_are_short),
        TEST(a_new_guest_can_be_like_one_that_was_there),
        TEST(who_is_removed_is_not_there),
        TEST(guests_run_when_they_ran),
        TEST(what_cannot_be_replayed_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
