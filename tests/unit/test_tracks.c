/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is remembered of a guest when its balloon is found empty, or elsewhere than it was told. */
#include "testing.h"

#include "engine/track.h"

#define HOLD_MS 600000

struct scene {
    struct mc_guest guest;
    struct mc_snapshot snapshot;
    struct mc_tracks tracks;
};

static void see(struct scene *scene, uint64_t ms)
{
    scene->snapshot = (struct mc_snapshot){
        .now_ms = scene->snapshot.now_ms + ms, .guests = &scene->guest, .count = 1};
    scene->guest.age_ms += ms;
    scene->guest.stats.last_update++;
    scene->guest.stats.minor_faults++;
    assert_int_equal(mc_tracks_follow(&scene->tracks, &scene->snapshot, HOLD_MS), 0);
    scene->tracks.list->minor_faults = scene->guest.stats.minor_faults;
}

/* A guest that has run for a while, at half of its memory. */
static void open_scene(struct scene *scene)
{
    *scene = (struct scene){.guest = {.uuid = "a",
                                      .memory = MC_GIB,
                                      .actual = MC_GIB / 2,
                                      .answers = true,
                                      .age_ms = 40000,
                                      .stats = {.minor_faults = 600}}};
    scene->snapshot.now_ms = 1000000;
    see(scene, 1000);
    mc_track_sent(scene->tracks.list, &scene->guest, MC_GIB / 2, scene->snapshot.now_ms);
    mc_track_delivered(scene->tracks.list, scene->snapshot.now_ms);
    for (int second = 0; second < 5; second++)
        see(scene, 1000);
}

static void empty_balloon(struct scene *scene)
{
    scene->guest.actual = scene->guest.memory;
    for (int second = 0; second < 3; second++)
        see(scene, 1000);
}

/* An idle guest has hardly any more faults than at its last boot. */
static void a_reboot_is_no_foreign_hand(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    scene.guest.age_ms = 0;
    empty_balloon(&scene);
    assert_false(mc_track_is_foreign(scene.tracks.list, scene.snapshot.now_ms));
    mc_tracks_free(&scene.tracks);
}

static void without_one_it_is(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    empty_balloon(&scene);
    assert_true(mc_track_is_foreign(scene.tracks.list, scene.snapshot.now_ms));
    mc_tracks_free(&scene.tracks);
}

/* What a lower target frees is free when the size was asked for after it was taken, and not before.
 */
static void a_size_that_was_asked_for_frees_the_rest(void **state)
{
    struct scene scene;
    struct mc_track *track;

    (void)state;
    open_scene(&scene);
    track = scene.tracks.list;
    mc_track_sent(track, &scene.guest, MC_GIB / 4, scene.snapshot.now_ms);
    scene.guest.actual = MC_GIB / 4;
    scene.guest.sized = true;
    see(&scene, 100);
    track = scene.tracks.list;
    assert_int_equal(mc_track_promised(track, &scene.guest, scene.snapshot.now_ms), MC_GIB / 2);
    mc_track_delivered(track, scene.snapshot.now_ms + 50);
    scene.guest.sized = false;
    see(&scene, 100);
    track = scene.tracks.list;
    assert_int_equal(mc_track_promised(track, &scene.guest, scene.snapshot.now_ms), MC_GIB / 2);
    scene.guest.sized = true;
    see(&scene, 100);
    track = scene.tracks.list;
    assert_int_equal(mc_track_promised(track, &scene.guest, scene.snapshot.now_ms), MC_GIB / 4);
    mc_tracks_free(&scene.tracks);
}

/* Of a guest that does not answer, the size is an old one. */
static void a_size_of_a_silent_guest_frees_nothing(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    mc_track_sent(scene.tracks.list, &scene.guest, MC_GIB / 4, scene.snapshot.now_ms);
    mc_track_delivered(scene.tracks.list, scene.snapshot.now_ms);
    scene.guest.actual = MC_GIB / 4;
    scene.guest.sized = true;
    scene.guest.answers = false;
    see(&scene, 100);
    assert_int_equal(mc_track_promised(scene.tracks.list, &scene.guest, scene.snapshot.now_ms),
                     MC_GIB / 2);
    mc_tracks_free(&scene.tracks);
}

static void plugging_memory_is_no_foreign_hand(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    scene.guest.memory += 128 * MC_MIB;
    scene.guest.actual += 128 * MC_MIB;
    for (int second = 0; second < 10; second++)
        see(&scene, 1000);
    assert_false(mc_track_is_foreign(scene.tracks.list, scene.snapshot.now_ms));
    assert_false(mc_track_is_stuck(scene.tracks.list, scene.snapshot.now_ms));
    assert_int_equal(scene.tracks.list->target, MC_GIB / 2 + 128 * MC_MIB);
    mc_tracks_free(&scene.tracks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reboot_is_no_foreign_hand),
        cmocka_unit_test(without_one_it_is),
        cmocka_unit_test(a_size_that_was_asked_for_frees_the_rest),
        cmocka_unit_test(a_size_of_a_silent_guest_frees_nothing),
        cmocka_unit_test(plugging_memory_is_no_foreign_hand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
