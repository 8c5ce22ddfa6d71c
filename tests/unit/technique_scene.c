/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "technique_scene.h"

#include <string.h>

#include "testing.h"

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
        .age_ms = SCENE_NOW_MS,
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

void technique_scene_open(struct technique_scene *scene, unsigned guards_off)
{
    *scene = (struct technique_scene){.config = mc_engine_config_default()};
    scene->config.guards_off = guards_off;
    scene->guests[0] = guest_named("a", 1000);
    scene->guests[1] = guest_named("b", 2000);
    scene->snapshot = (struct mc_snapshot){.guests = scene->guests, .count = 2};
    scene->snapshot.host = (struct mc_host){.total = 64 * MC_GIB,
                                            .available = 100 * MC_MIB,
                                            .swap_total = 8 * MC_GIB,
                                            .swap_free = 8 * MC_GIB};
    for (uint64_t ms = SCENE_NOW_MS - 500; ms <= SCENE_NOW_MS; ms += 500) {
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
                                         .low_since_ms = SCENE_NOW_MS - 60000,
                                         .clear_since_ms = SCENE_NOW_MS - 3600000};
}

void technique_scene_close(struct technique_scene *scene)
{
    mc_tracks_free(&scene->tracks);
    mc_plan_free(&scene->plan);
}

void technique_scene_decide(struct technique_scene *scene)
{
    mc_reclaim_plan(&scene->config, &scene->snapshot, &scene->tracks, &scene->plan);
    mc_last_resort_plan(&scene->config, &scene->snapshot, &scene->tracks, &scene->host,
                        &scene->plan);
}

void technique_scene_no_swap(struct technique_scene *scene)
{
    scene->snapshot.host.swap_total = scene->snapshot.host.swap_free = 0;
}

void technique_scene_suspended(struct technique_scene *scene)
{
    scene->guests[0].state = MC_GUEST_PAUSED;
    scene->guests[0].exempt = MC_EXEMPT_LAST_RESORT;
    scene->guests[0].stopped =
        (struct mc_stopped){.how = MC_LAST_RESORT_SUSPEND, .at_s = 1000, .size = 2 * MC_GIB};
    scene->plan.state = MC_HOST_CLEAR;
    scene->snapshot.host.available = 16 * MC_GIB;
}
