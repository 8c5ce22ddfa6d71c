/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each guard of host reclaim and the last resort is what decides its case: switched off, the same
 * case comes out as the guard exists to prevent.
 */
#include "testing.h"

#include "technique_scene.h"

static void host_is_not_in_need(struct technique_scene *scene)
{
    scene->plan.state = MC_HOST_SOFT;
}

static void much_is_missing(struct technique_scene *scene)
{
    scene->guests[1].terms.managed = false;
}

static void is_at_its_reservation(struct technique_scene *scene)
{
    scene->guests[0].terms.min = 2 * MC_GIB;
    scene->guests[1].terms.managed = false;
}

static void works_with_all(struct technique_scene *scene)
{
    scene->guests[0].used = scene->guests[0].active = 2 * MC_GIB;
    scene->guests[0].stats.usable = 0;
    scene->guests[1].terms.managed = false;
}

static void was_in_trouble(struct technique_scene *scene)
{
    scene->tracks.list[0].distress_until_ms = SCENE_NOW_MS + 1;
    scene->guests[1].terms.managed = false;
}

static void has_locked_memory(struct technique_scene *scene)
{
    scene->guests[0].exempt = MC_EXEMPT_LOCKED;
    scene->guests[1].exempt = MC_EXEMPT_PASSTHROUGH;
}

static void is_low_and_nobody_consents(struct technique_scene *scene)
{
    scene->plan.state = MC_HOST_LOW;
}

static void is_low_since_a_moment(struct technique_scene *scene)
{
    scene->plan.state = MC_HOST_LOW;
    scene->guests[0].terms.last_resort = MC_LAST_RESORT_SAVE;
    scene->host.low_since_ms = SCENE_NOW_MS - 5000;
}

static void another_was_stopped_just_now(struct technique_scene *scene)
{
    scene->plan.state = MC_HOST_LOW;
    scene->guests[0].terms.last_resort = MC_LAST_RESORT_SAVE;
    scene->host.resort_ms = SCENE_NOW_MS - 5000;
}

static void is_clear_since_a_moment(struct technique_scene *scene)
{
    technique_scene_suspended(scene);
    scene->host.clear_since_ms = SCENE_NOW_MS - 5000;
}

static void has_been_swapped_out_and_does_not_fit(struct technique_scene *scene)
{
    technique_scene_suspended(scene);
    scene->guests[0].held = 0;
    scene->snapshot.host.available = 2 * scene->plan.min_free + 1900 * MC_MIB;
}

/* What the guard prevents. */
static bool reclaims(const struct technique_scene *scene)
{
    return scene->plan.reclaim > 0;
}

static bool reclaims_much(const struct technique_scene *scene)
{
    return scene->plan.reclaim > 128 * MC_MIB;
}

static bool stops(const struct technique_scene *scene)
{
    return scene->plan.steps[0].resort == MC_RESORT_SUSPEND ||
           scene->plan.steps[0].resort == MC_RESORT_SAVE;
}

static bool continues(const struct technique_scene *scene)
{
    return scene->plan.steps[0].resort == MC_RESORT_CONTINUE;
}

static const struct {
    const char *name;
    enum mc_guard guard;
    void (*arrange)(struct technique_scene *scene);
    bool (*happens)(const struct technique_scene *scene);
} cases[] = {
    {"state", MC_GUARD_STATE, host_is_not_in_need, reclaims},
    {"swap", MC_GUARD_SWAP, technique_scene_no_swap, reclaims},
    {"pace", MC_GUARD_PACE, much_is_missing, reclaims_much},
    {"min", MC_GUARD_MIN, is_at_its_reservation, reclaims},
    {"active", MC_GUARD_ACTIVE, works_with_all, reclaims},
    {"trouble", MC_GUARD_TROUBLE, was_in_trouble, reclaims},
    {"exempt", MC_GUARD_EXEMPT, has_locked_memory, reclaims},
    {"consent", MC_GUARD_CONSENT, is_low_and_nobody_consents, stops},
    {"low", MC_GUARD_LOW, is_low_since_a_moment, stops},
    {"one", MC_GUARD_ONE, another_was_stopped_just_now, stops},
    {"clear", MC_GUARD_CLEAR, is_clear_since_a_moment, continues},
    {"fits", MC_GUARD_FITS, has_been_swapped_out_and_does_not_fit, continues},
};

static void every_guard_prevents_what_happens_without_it(void **state)
{
    unsigned seen = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (unsigned off = 0; off < 2; off++) {
            struct technique_scene scene;

            technique_scene_open(&scene, off ? 1U << cases[i].guard : 0);
            cases[i].arrange(&scene);
            technique_scene_decide(&scene);
            if (cases[i].happens(&scene) != off)
                fail_msg("%s is %s", cases[i].name, off ? "off, and nothing happens" : "on");
            technique_scene_close(&scene);
        }
        seen |= 1U << cases[i].guard;
    }
    assert_int_equal(seen, (1U << MC_GUARD_COUNT) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_guard_prevents_what_happens_without_it),
    };

    return cmocka_run_group_tests_name("guards", tests, NULL, NULL);
}
