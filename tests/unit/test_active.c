/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From what a balloon and an agent say to the memory that a guest works with. */
#include "testing.h"

#include "estimate/active.h"

#define SECOND 1000

struct scene {
    struct mc_engine_config config;
    struct mc_guest guest;
    struct mc_track track;
    uint64_t now_ms;
};

/* A guest of 1 GiB, 800 MiB of them resident, that cannot give up 300. */
static struct scene begin(void)
{
    struct scene scene = {.config = mc_engine_config_default(), .now_ms = 100 * SECOND};

    scene.guest = (struct mc_guest){
        .memory = MC_GIB,
        .actual = MC_GIB,
        .held = 800 * MC_MIB,
        .used = 300 * MC_MIB,
        .stats.major_faults = 1000,
    };
    scene.track = (struct mc_track){.faults = MC_UNKNOWN, .refaults = MC_UNKNOWN};
    return scene;
}

static void agent_says(struct scene *scene, uint64_t active, unsigned confidence)
{
    scene->guest.agent.present = true;
    scene->guest.agent.received_ms = scene->now_ms;
    scene->guest.agent.total = scene->guest.memory;
    scene->guest.agent.refaults = MC_UNKNOWN;
    scene->guest.agent.working_set = (struct mc_working_set){
        .found_ms = scene->now_ms,
        .method = "referenced",
        .active = active,
        .window_ms = 10 * SECOND,
        .confidence = confidence,
    };
}

static uint64_t look_after(struct scene *scene, uint64_t ms)
{
    scene->now_ms += ms;
    mc_active_estimate(&scene->config, &scene->guest, &scene->track, scene->now_ms);
    return scene->guest.active / MC_MIB;
}

static void without_an_agent_it_is_what_is_used(void **state)
{
    struct scene scene = begin();

    (void)state;
    assert_int_equal(look_after(&scene, SECOND), 300);
    assert_int_equal(scene.guest.active_source, MC_SOURCE_BALLOON);
    scene.guest.used = MC_UNKNOWN;
    assert_int_equal(look_after(&scene, SECOND), 1024);
    assert_int_equal(scene.guest.active_source, MC_SOURCE_NONE);
}

static void an_agent_knows_better(void **state)
{
    struct scene scene = begin();

    (void)state;
    agent_says(&scene, 100 * MC_MIB, 100);
    scene.guest.agent.working_set.read_cache = 30 * MC_MIB;
    scene.guest.agent.working_set.kernel = 20 * MC_MIB;
    scene.guest.agent.total = MC_GIB - 40 * MC_MIB; /* the rest was taken at boot */
    assert_int_equal(look_after(&scene, SECOND), 190);
    assert_int_equal(scene.guest.active_source, MC_SOURCE_AGENT);
}

/* The finding is of a window that is over; a new one has it. */
static void what_was_taken_since_then_counts_as_well(void **state)
{
    struct scene scene = begin();

    (void)state;
    agent_says(&scene, 100 * MC_MIB, 100);
    assert_int_equal(look_after(&scene, SECOND), 100);
    scene.guest.used = 450 * MC_MIB;
    assert_int_equal(look_after(&scene, SECOND), 250);
    scene.config.active_fade_ms = 0;
    agent_says(&scene, 120 * MC_MIB, 100);
    assert_int_equal(look_after(&scene, SECOND), 120);
    scene.guest.used = 200 * MC_MIB;
    assert_int_equal(look_after(&scene, SECOND), 120);
}

/* A finding is told some seconds late; what was taken meanwhile is in no window yet. */
static void what_was_taken_before_it_was_told_counts_as_well(void **state)
{
    struct scene scene = begin();
    uint64_t found_ms;

    (void)state;
    look_after(&scene, SECOND);
    found_ms = scene.now_ms + SECOND;
    for (unsigned i = 0; i < 4; i++) {
        look_after(&scene, SECOND);
        scene.guest.used += 50 * MC_MIB;
    }
    scene.config.active_fade_ms = 0;
    agent_says(&scene, 100 * MC_MIB, 100);
    scene.guest.agent.working_set.found_ms = found_ms;
    assert_in_range(look_after(&scene, SECOND), 250, 300);
}

static void one_that_is_not_sure_says_no_less_than_is_used(void **state)
{
    struct scene scene = begin();

    (void)state;
    agent_says(&scene, 100 * MC_MIB, 50);
    assert_int_equal(look_after(&scene, SECOND), 300);
    agent_says(&scene, 500 * MC_MIB, 50);
    assert_int_equal(look_after(&scene, SECOND), 500);
}

static void host_saw(struct scene *scene, uint64_t most, unsigned confidence)
{
    scene->guest.sample = (struct mc_host_sample){
        .found_ms = scene->now_ms,
        .method = "idle-page",
        .active = most * 3 / 4,
        .least = most / 2,
        .most = most,
        .window_ms = 30 * SECOND,
        .confidence = confidence,
    };
}

static void what_the_host_saw_counts_where_no_agent_knows(void **state)
{
    struct scene scene = begin();

    (void)state;
    host_saw(&scene, 120 * MC_MIB, 97);
    assert_int_equal(look_after(&scene, SECOND), 120);
    assert_int_equal(scene.guest.active_source, MC_SOURCE_HOST);
    assert_string_equal(scene.guest.active_method, "idle-page");
    assert_int_equal(scene.guest.active_window_ms, 30 * SECOND);
    assert_int_equal(scene.guest.active_confidence, 97);
    agent_says(&scene, 140 * MC_MIB, 100);
    assert_int_equal(look_after(&scene, SECOND), 140);
    assert_int_equal(scene.guest.active_source, MC_SOURCE_AGENT);
    assert_string_equal(scene.guest.active_method, "referenced");
}

/* DAMON while it learns; a window that is long over; and nothing that is not resident. */
static void a_view_from_the_host_has_its_limits(void **state)
{
    struct scene scene = begin();

    (void)state;
    host_saw(&scene, 120 * MC_MIB, 37);
    assert_int_equal(look_after(&scene, SECOND), 300);
    host_saw(&scene, 2 * MC_GIB, 97);
    assert_int_equal(look_after(&scene, SECOND), 800);
    look_after(&scene, 91 * SECOND);
    assert_int_equal(scene.guest.active_source, MC_SOURCE_BALLOON);
}

/* The less cache there is that could be given up and be in use all the same, the surer. */
static void statistics_say_how_sure_they_are(void **state)
{
    struct scene scene = begin();

    (void)state;
    scene.guest.stats_period_s = 2;
    scene.guest.stats.usable = 500 * MC_MIB;
    scene.guest.stats.unused = 400 * MC_MIB;
    look_after(&scene, SECOND);
    assert_string_equal(scene.guest.active_method, "statistics");
    assert_int_equal(scene.guest.active_window_ms, 2 * SECOND);
    assert_int_equal(scene.guest.active_confidence, 75); /* 300M used, 100M cache */
    scene.guest.stats.unused = 500 * MC_MIB;
    look_after(&scene, SECOND);
    assert_int_equal(scene.guest.active_confidence, 100);
    scene.guest.stats.unused = MC_UNKNOWN;
    look_after(&scene, SECOND);
    assert_int_equal(scene.guest.active_confidence, 37); /* of 800M resident */
}

static void what_an_agent_found_long_ago_does_not_count(void **state)
{
    struct scene scene = begin();

    (void)state;
    agent_says(&scene, 100 * MC_MIB, 100);
    assert_int_equal(look_after(&scene, SECOND), 100);
    look_after(&scene, 60 * SECOND);
    assert_int_equal(scene.guest.active_source, MC_SOURCE_BALLOON);
    agent_says(&scene, 100 * MC_MIB, 100);
    scene.guest.agent.present = false;
    look_after(&scene, SECOND);
    assert_int_equal(scene.guest.active_source, MC_SOURCE_BALLOON);
}

static void no_claim_counts_beyond_what_is_resident(void **state)
{
    struct scene scene = begin();

    (void)state;
    agent_says(&scene, MC_GIB, 100);
    assert_int_equal(look_after(&scene, SECOND), 800);
    scene.guest.held = 500 * MC_MIB;
    assert_int_equal(look_after(&scene, SECOND), 500);
}

static void growth_is_followed_at_once_and_decline_slowly(void **state)
{
    struct scene scene = begin();
    uint64_t before, now;

    (void)state;
    look_after(&scene, SECOND);
    scene.guest.used = 600 * MC_MIB;
    assert_int_equal(look_after(&scene, SECOND), 600);
    for (unsigned i = 0; i < 300; i++)
        look_after(&scene, SECOND);
    scene.guest.used = 200 * MC_MIB;
    before = look_after(&scene, SECOND);
    assert_in_range(before, 580, 600);
    for (unsigned i = 0; i < 60; i++) {
        now = look_after(&scene, SECOND);
        assert_true(now <= before);
        before = now;
    }
    assert_in_range(now, 300, 400); /* most of the way in the configured minute */
    for (unsigned i = 0; i < 600; i++)
        now = look_after(&scene, SECOND);
    assert_in_range(now, 200, 201);
}

static void a_short_burst_is_soon_forgotten(void **state)
{
    struct scene scene = begin();
    uint64_t now = 0;

    (void)state;
    for (unsigned i = 0; i < 300; i++)
        look_after(&scene, SECOND);
    scene.guest.used = 700 * MC_MIB;
    assert_int_equal(look_after(&scene, 2 * SECOND), 700);
    scene.guest.used = 300 * MC_MIB;
    for (unsigned i = 0; i < 60; i++)
        now = look_after(&scene, SECOND);
    assert_in_range(now, 300, 320);
}

static void no_fade_means_none(void **state)
{
    struct scene scene = begin();

    (void)state;
    scene.config.active_fade_ms = 0;
    look_after(&scene, SECOND);
    scene.guest.used = 600 * MC_MIB;
    look_after(&scene, SECOND);
    scene.guest.used = 200 * MC_MIB;
    assert_int_equal(look_after(&scene, SECOND), 200);
}

static void cache_that_is_missed_makes_all_cache_count(void **state)
{
    struct scene scene = begin();

    (void)state;
    scene.track.news = true;
    assert_int_equal(look_after(&scene, SECOND), 300);
    scene.guest.stats.major_faults += 100; /* a program that starts */
    assert_int_equal(look_after(&scene, SECOND), 300);
    scene.guest.stats.major_faults += 2000;
    assert_int_equal(look_after(&scene, SECOND), 800);
    for (unsigned i = 0; i < 3600 * 4; i++)
        look_after(&scene, SECOND);
    assert_in_range(scene.guest.active / MC_MIB, 300, 301);
}

static void an_agent_counts_cache_that_comes_back(void **state)
{
    struct scene scene = begin();

    (void)state;
    scene.config.active_fade_ms = 0;
    agent_says(&scene, 100 * MC_MIB, 100);
    scene.guest.agent.refaults = 5000;
    assert_int_equal(look_after(&scene, SECOND), 100);
    agent_says(&scene, 100 * MC_MIB, 100);
    scene.guest.agent.refaults = 5000 + 2560; /* 10 MiB in a second */
    scene.guest.stats.major_faults += 5000;   /* the same, seen by the balloon */
    assert_int_equal(look_after(&scene, 0), 100 + 500 + 10);
    assert_in_range(look_after(&scene, SECOND), 590, 609); /* the same report is no news */
    agent_says(&scene, 100 * MC_MIB, 100);
    scene.guest.agent.refaults = 0; /* it was started anew */
    assert_in_range(look_after(&scene, 0), 590, 609);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_agent_it_is_what_is_used),
        cmocka_unit_test(an_agent_knows_better),
        cmocka_unit_test(what_was_taken_since_then_counts_as_well),
        cmocka_unit_test(what_was_taken_before_it_was_told_counts_as_well),
        cmocka_unit_test(one_that_is_not_sure_says_no_less_than_is_used),
        cmocka_unit_test(what_the_host_saw_counts_where_no_agent_knows),
        cmocka_unit_test(a_view_from_the_host_has_its_limits),
        cmocka_unit_test(statistics_say_how_sure_they_are),
        cmocka_unit_test(what_an_agent_found_long_ago_does_not_count),
        cmocka_unit_test(no_claim_counts_beyond_what_is_resident),
        cmocka_unit_test(growth_is_followed_at_once_and_decline_slowly),
        cmocka_unit_test(a_short_burst_is_soon_forgotten),
        cmocka_unit_test(no_fade_means_none),
        cmocka_unit_test(cache_that_is_missed_makes_all_cache_count),
        cmocka_unit_test(an_agent_counts_cache_that_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
