/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the balloon's statistics mean, and what a later word of the agent adds. */
#include "testing.h"

#include <string.h>

#include "estimate/estimate.h"

struct scene {
    struct mc_engine_config config;
    struct mc_snapshot snapshot;
    struct mc_tracks tracks;
};

static struct mc_guest *guest_of(struct scene *scene)
{
    return &scene->snapshot.guests[0];
}

/* 1 GiB, of which 300 MiB are used. */
static struct scene begin(void)
{
    struct scene scene = {.config = mc_engine_config_default()};
    struct mc_guest *guest = mc_snapshot_add(&scene.snapshot);

    strcpy(guest->uuid, "a");
    guest->memory = guest->actual = guest->terms.max = MC_GIB;
    guest->rss = MC_GIB;
    guest->answers = true;
    guest->age_ms = MC_UNKNOWN;
    guest->stats = (struct mc_balloon_stats){.available = 1000 * MC_MIB,
                                             .usable = 724 * MC_MIB,
                                             .unused = 700 * MC_MIB,
                                             .swap_in = MC_UNKNOWN,
                                             .major_faults = MC_UNKNOWN,
                                             .last_update = 1};
    guest->agent.refaults = MC_UNKNOWN;
    return scene;
}

static uint64_t used_after(struct scene *scene, uint64_t ms)
{
    scene->snapshot.now_ms += ms;
    assert_int_equal(mc_tracks_follow(&scene->tracks, &scene->snapshot, 0), 0);
    mc_estimate(&scene->config, &scene->snapshot, &scene->tracks);
    return guest_of(scene)->used / MC_MIB;
}

static void end(struct scene *scene)
{
    mc_tracks_free(&scene->tracks);
    mc_snapshot_free(&scene->snapshot);
}

static void agent_says(struct scene *scene, uint64_t available)
{
    guest_of(scene)->agent.present = true;
    guest_of(scene)->agent.received_ms = scene->snapshot.now_ms + 900;
    guest_of(scene)->agent.available = available;
}

static void statistics_come(struct scene *scene, uint64_t usable)
{
    guest_of(scene)->stats.last_update++;
    guest_of(scene)->stats.usable = usable;
}

static void an_agent_tells_of_growth_before_the_statistics_do(void **state)
{
    struct scene scene = begin();

    (void)state;
    assert_int_equal(used_after(&scene, 1000), 300);
    agent_says(&scene, 624 * MC_MIB);
    assert_int_equal(used_after(&scene, 1000), 400);
    statistics_come(&scene, 644 * MC_MIB);
    assert_int_equal(used_after(&scene, 1000), 380);
    end(&scene);
}

/* It may have said so of another size of the balloon. */
static void an_agent_alone_does_not_say_that_less_is_used(void **state)
{
    struct scene scene = begin();

    (void)state;
    assert_int_equal(used_after(&scene, 1000), 300);
    agent_says(&scene, 924 * MC_MIB);
    assert_int_equal(used_after(&scene, 1000), 300);
    end(&scene);
}

static void what_an_agent_said_before_the_statistics_is_old(void **state)
{
    struct scene scene = begin();

    (void)state;
    agent_says(&scene, 524 * MC_MIB);
    scene.snapshot.now_ms += 5000;
    statistics_come(&scene, 724 * MC_MIB);
    assert_int_equal(used_after(&scene, 1000), 300);
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_tells_of_growth_before_the_statistics_do),
        cmocka_unit_test(an_agent_alone_does_not_say_that_less_is_used),
        cmocka_unit_test(what_an_agent_said_before_the_statistics_is_old),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
