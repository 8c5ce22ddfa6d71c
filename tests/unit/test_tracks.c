/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is remembered of a guest when its balloon is found empty. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reboot_is_no_foreign_hand),
        cmocka_unit_test(without_one_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
