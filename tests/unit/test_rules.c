/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each of the governor's rules on a host of two guests, and that it is the rule that does it: with
 * the rule switched off, the same case comes out as the rule exists to prevent.
 */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "estimate/distress.h"
#include "govern/govern.h"

#define NOW_MS 1000000

struct scene {
    struct mc_engine_config config;
    struct mc_guest guests[2];
    struct mc_snapshot snapshot;
    struct mc_tracks tracks;
    struct mc_plan plan;
};

static struct mc_guest guest_named(const char *name)
{
    struct mc_guest guest = {.state = MC_GUEST_RUNNING,
                             .memory = 4 * MC_GIB,
                             .actual = 2 * MC_GIB,
                             .held = 2 * MC_GIB,
                             .used = MC_GIB,
                             .age_ms = NOW_MS,
                             .answers = true,
                             .known = true,
                             .fresh = true,
                             .stats = {.available = 2 * MC_GIB, .usable = MC_GIB},
                             .terms = {1000, 256 * MC_MIB, 4 * MC_GIB, true}};

    strcpy(guest.name, name);
    strcpy(guest.uuid, name);
    return guest;
}

/* Both guests have half of what there is; the first one's wish is up to the case. */
static void open_scene(struct scene *scene, unsigned rules_off)
{
    *scene = (struct scene){.config = mc_engine_config_default()};
    scene->config.rules_off = rules_off;
    scene->guests[0] = guest_named("a");
    scene->guests[1] = guest_named("b");
    scene->snapshot =
        (struct mc_snapshot){.now_ms = NOW_MS - 1000, .guests = scene->guests, .count = 2};
    assert_int_equal(mc_tracks_follow(&scene->tracks, &scene->snapshot, 600000), 0);
    scene->snapshot.now_ms = NOW_MS;
    assert_int_equal(mc_tracks_follow(&scene->tracks, &scene->snapshot, 600000), 0);
    for (size_t i = 0; i < 2; i++)
        scene->tracks.list[i].tell = false;
    assert_int_equal(mc_plan_reset(&scene->plan, 2), 0);
    scene->plan.divided = scene->plan.promised = 4 * MC_GIB;
    scene->plan.steps[0].wish = scene->plan.steps[1].wish = 2 * MC_GIB;
}

static uint64_t target_of(struct scene *scene, enum mc_rule *reason)
{
    uint64_t target;

    mc_govern(&scene->config, &scene->snapshot, &scene->tracks, &scene->plan);
    target = scene->plan.steps[0].target;
    *reason = mc_step_reason(&scene->plan.steps[0]);
    mc_tracks_free(&scene->tracks);
    mc_plan_free(&scene->plan);
    return target;
}

static void unmanaged(struct scene *scene)
{
    scene->guests[0].exempt = MC_EXEMPT_UNMANAGED;
    scene->plan.steps[0].wish = 1800 * MC_MIB;
}

static void moved_by_another_hand(struct scene *scene)
{
    scene->tracks.list[0].foreign_until_ms = NOW_MS + 1;
    scene->plan.steps[0].wish = 1800 * MC_MIB;
}

static void not_following(struct scene *scene)
{
    scene->tracks.list[0].retry_ms = NOW_MS + 1;
    scene->plan.steps[0].wish = 1800 * MC_MIB;
}

static void wished_below_min(struct scene *scene)
{
    scene->guests[0].terms.min = 2 * MC_GIB;
    scene->plan.steps[0].wish = 1800 * MC_MIB;
}

static void just_begun(struct scene *scene)
{
    scene->tracks.list[0].boot_ms = NOW_MS - 5000;
    scene->plan.steps[0].wish = 1800 * MC_MIB;
}

static void using_nearly_all(struct scene *scene)
{
    scene->guests[0].used = 2 * MC_GIB - 64 * MC_MIB;
    scene->guests[0].stats.usable = 128 * MC_MIB;
    scene->plan.steps[0].wish = 1800 * MC_MIB;
}

static void without_news(struct scene *scene)
{
    scene->guests[0].fresh = false;
    scene->plan.steps[0].wish = 1800 * MC_MIB;
}

static void in_trouble(struct scene *scene)
{
    scene->tracks.list[0].distress_until_ms = NOW_MS + 1;
    scene->tracks.list[0].need = 2 * MC_GIB;
    scene->plan.steps[0].wish = 1800 * MC_MIB;
}

static void far_above_its_wish(struct scene *scene)
{
    scene->plan.steps[0].wish = 1200 * MC_MIB;
}

static void nearly_right(struct scene *scene)
{
    scene->plan.steps[0].wish = 2 * MC_GIB - 8 * MC_MIB;
}

static void wanting_what_is_not_free(struct scene *scene)
{
    scene->plan.steps[0].wish = 3 * MC_GIB;
}

/* Where the rule holds, the target is this; where it is off, the wish. */
static const struct {
    enum mc_rule rule;
    void (*arrange)(struct scene *scene);
    uint64_t target;
} cases[] = {
    {MC_RULE_EXEMPT, unmanaged, 2 * MC_GIB},
    {MC_RULE_FOREIGN_HAND, moved_by_another_hand, 2 * MC_GIB},
    {MC_RULE_STUCK, not_following, 2 * MC_GIB},
    {MC_RULE_PROMISE, wished_below_min, 2 * MC_GIB},
    {MC_RULE_BOOT, just_begun, 2 * MC_GIB},
    {MC_RULE_FLOOR, using_nearly_all, 2 * MC_GIB},
    {MC_RULE_FRESHNESS, without_news, 2 * MC_GIB},
    {MC_RULE_DISTRESS, in_trouble, 2 * MC_GIB},
    {MC_RULE_RATE, far_above_its_wish, 2 * MC_GIB / 100 * 80 / MC_PAGE *MC_PAGE},
    {MC_RULE_CALM, nearly_right, 2 * MC_GIB},
    {MC_RULE_SHRINK_FIRST, wanting_what_is_not_free, 2 * MC_GIB},
};

static void every_rule_does_what_it_is_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct scene scene;
        enum mc_rule reason;
        uint64_t target;

        open_scene(&scene, 0);
        cases[i].arrange(&scene);
        target = target_of(&scene, &reason);
        if (reason != cases[i].rule || target < cases[i].target - MC_MIB ||
            target > cases[i].target + MC_MIB)
            fail_msg("%s: target %luM for the reason %s", mc_rule_name(cases[i].rule),
                     (unsigned long)(target / MC_MIB), mc_rule_name(reason));
    }
}

static void without_the_rule_it_happens(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct scene scene;
        enum mc_rule reason;
        uint64_t wish, target;

        open_scene(&scene, 1U << cases[i].rule);
        cases[i].arrange(&scene);
        wish = scene.plan.steps[0].wish;
        target = target_of(&scene, &reason);
        if (target != wish)
            fail_msg("%s is off: target %luM for the reason %s", mc_rule_name(cases[i].rule),
                     (unsigned long)(target / MC_MIB), mc_rule_name(reason));
    }
}

static void every_rule_has_a_case(void **state)
{
    unsigned seen = 1U << MC_RULE_POLICY;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        seen |= 1U << cases[i].rule;
    assert_int_equal(seen, (1U << MC_RULE_COUNT) - 1);
}

/* A host in need takes at any speed, and part of the margin; never what is used. */
static void a_host_that_is_short_lifts_rate_and_margin(void **state)
{
    struct scene scene;
    enum mc_rule reason;

    (void)state;
    open_scene(&scene, 0);
    far_above_its_wish(&scene);
    scene.plan.state = MC_HOST_HARD;
    assert_int_equal(target_of(&scene, &reason), 1200 * MC_MIB);

    open_scene(&scene, 0);
    scene.plan.steps[0].wish = 256 * MC_MIB;
    scene.plan.state = MC_HOST_LOW;
    assert_in_range(target_of(&scene, &reason), MC_GIB + MC_MIB, MC_GIB + 32 * MC_MIB);
}

/* What lies free in others goes to trouble at once; what they would have to reclaim does not. */
static void what_lies_free_goes_to_trouble_at_any_speed(void **state)
{
    struct scene scene;
    enum mc_rule reason;

    (void)state;
    open_scene(&scene, 0);
    far_above_its_wish(&scene);
    scene.guests[0].stats.unused = 664 * MC_MIB;
    scene.tracks.list[1].distress_until_ms = NOW_MS + 1;
    scene.tracks.list[1].need = 3 * MC_GIB;
    scene.plan.steps[1].wish = 3 * MC_GIB;
    assert_int_equal(target_of(&scene, &reason), 2 * MC_GIB - 600 * MC_MIB);
    assert_int_equal(reason, MC_RULE_RATE);

    open_scene(&scene, 0);
    far_above_its_wish(&scene);
    scene.guests[0].stats.unused = 664 * MC_MIB; /* and nobody is in trouble */
    assert_in_range(target_of(&scene, &reason), 2 * MC_GIB / 100 * 80 - MC_MIB,
                    2 * MC_GIB / 100 * 80 + MC_MIB);
}

/* What is left of a move, or drifts, is not told; what is worth it is, and so is what matters. */
static void a_move_is_carried_on_in_steps_that_are_worth_it(void **state)
{
    static const struct {
        uint64_t wish, free, min;
        bool moving;
        uint64_t target;
    } moves[] = {
        {4 * MC_MIB, MC_GIB, 0, true, 0},
        {8 * MC_MIB, MC_GIB, 0, true, 8 * MC_MIB},
        {8 * MC_MIB, MC_GIB, 0, false, 0},
        {MC_GIB, 4 * MC_MIB, 0, true, 0},
        {MC_GIB, 8 * MC_MIB, 0, true, 8 * MC_MIB},
        {MC_GIB, 4 * MC_MIB, 3 * MC_GIB, true, 4 * MC_MIB},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(moves) / sizeof(*moves); i++) {
        struct scene scene;
        enum mc_rule reason;

        open_scene(&scene, 0);
        scene.plan.steps[0].wish += moves[i].wish;
        scene.plan.divided += moves[i].free;
        scene.tracks.list[0].moving = moves[i].moving;
        scene.guests[0].terms.min = moves[i].min;
        assert_int_equal(target_of(&scene, &reason), 2 * MC_GIB + moves[i].target);
    }
}

/* In trouble every byte counts. */
static void crumbs_are_paid_to_trouble(void **state)
{
    struct scene scene;
    enum mc_rule reason;

    (void)state;
    open_scene(&scene, 0);
    in_trouble(&scene);
    scene.tracks.list[0].need = 3 * MC_GIB;
    scene.plan.divided += 64 * MC_KIB;
    assert_int_equal(target_of(&scene, &reason), 2 * MC_GIB + 64 * MC_KIB);
}

/* A balloon that stops a little above its target, and a floor that comes up to that. */
static void a_trembling_floor_moves_no_balloon(void **state)
{
    static const uint64_t away[] = {2 * MC_MIB, 20 * MC_MIB};

    (void)state;
    for (size_t i = 0; i < sizeof(away) / sizeof(*away); i++) {
        struct scene scene;
        enum mc_rule reason;
        uint64_t told = 2 * MC_GIB - away[i];

        open_scene(&scene, 0);
        scene.guests[0].used = 2 * MC_GIB - 99 * MC_MIB;
        scene.guests[0].stats.usable = 99 * MC_MIB;
        scene.tracks.list[0].target = scene.plan.steps[0].wish = told;
        if (away[i] < 4 * MC_MIB)
            assert_int_equal(target_of(&scene, &reason), told);
        else /* it is still on its way there, and is called back */
            assert_in_range(target_of(&scene, &reason), 2 * MC_GIB - 2 * MC_MIB, 2 * MC_GIB);
    }
}

/* One that hungers without end gets what is free before others get what they can do without. */
static void hunger_comes_before_luxury(void **state)
{
    struct scene scene;
    enum mc_rule reason;

    (void)state;
    open_scene(&scene, 0);
    scene.guests[0].used = 2 * MC_GIB;
    scene.guests[0].stats.usable = 8 * MC_MIB;
    scene.guests[0].distress = MC_DISTRESS_USABLE;
    scene.tracks.list[0].distress_until_ms = NOW_MS + 1;
    scene.tracks.list[0].chronic = true;
    scene.plan.steps[1].wish = 3 * MC_GIB;
    scene.plan.divided = 4 * MC_GIB + 300 * MC_MIB;
    scene.plan.reserve = 200 * MC_MIB;
    assert_int_equal(target_of(&scene, &reason), 2 * MC_GIB + 300 * MC_MIB);
    assert_int_equal(reason, MC_RULE_DISTRESS);
}

/* Who is in trouble is paid first, and out of the reserve. */
static void what_trouble_was_given_goes_back_on_a_short_host_when_it_is_over(void **state)
{
    static const struct {
        enum mc_host_state host;
        uint64_t calm_ms; /* since the last sign of trouble */
        bool fresh;
        uint64_t target;
    } hosts[] = {
        {MC_HOST_CLEAR, 6000, true, 2 * MC_GIB},
        {MC_HOST_SOFT, 4000, true, 2 * MC_GIB},
        {MC_HOST_SOFT, 6000, true, 1800 * MC_MIB},
        {MC_HOST_SOFT, 6000, false, 2 * MC_GIB},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        struct scene scene;
        enum mc_rule reason;

        open_scene(&scene, 0);
        in_trouble(&scene);
        scene.plan.state = hosts[i].host;
        scene.guests[0].fresh = hosts[i].fresh;
        scene.tracks.list[0].distress_ms = NOW_MS - hosts[i].calm_ms;
        assert_int_equal(target_of(&scene, &reason), hosts[i].target);
    }
}

/* A slow balloon would never get there. */
static void growth_that_was_not_taken_is_called_back_but_from_a_guest_in_trouble(void **state)
{
    (void)state;
    for (int trouble = 0; trouble < 2; trouble++) {
        struct scene scene;
        enum mc_rule reason;

        open_scene(&scene, 0);
        scene.tracks.list[0].target = scene.plan.steps[0].wish = 3 * MC_GIB;
        scene.tracks.list[0].sent_ms = NOW_MS - 2000;
        scene.tracks.list[0].distress_until_ms = trouble ? NOW_MS + 1 : 0;
        scene.plan.promised = 5 * MC_GIB;
        assert_int_equal(target_of(&scene, &reason), trouble ? 3 * MC_GIB : 2 * MC_GIB);
    }
}

/* In trouble for three minutes, calm for the last six seconds, and now again. */
static void what_was_taken_back_does_not_prove_that_giving_is_in_vain(void **state)
{
    (void)state;
    for (int taken_back = 0; taken_back < 2; taken_back++) {
        struct scene scene;
        struct mc_track *track;

        open_scene(&scene, 0);
        track = &scene.tracks.list[0];
        track->distress_since_ms = NOW_MS - 180000;
        track->distress_ms = NOW_MS - 6000;
        track->distress_until_ms = NOW_MS + 54000;
        track->need = (taken_back ? 3 : 2) * MC_GIB;
        scene.guests[0].rss = 2 * MC_GIB;
        scene.guests[0].agent.present = true;
        scene.guests[0].agent.distress_ms = NOW_MS;
        mc_distress_estimate(&scene.config, &scene.guests[0], track, NOW_MS);
        assert_int_equal(scene.guests[0].distress, MC_DISTRESS_AGENT);
        assert_int_equal(track->chronic, !taken_back);
        mc_tracks_free(&scene.tracks);
        mc_plan_free(&scene.plan);
    }
}

static void trouble_comes_first(void **state)
{
    struct scene scene;
    enum mc_rule reason;
    uint64_t target;

    (void)state;
    open_scene(&scene, 0);
    scene.tracks.list[0].distress_until_ms = NOW_MS + 1;
    scene.tracks.list[0].need = 2560 * MC_MIB;
    scene.plan.steps[0].wish = 2560 * MC_MIB;
    scene.plan.steps[1].wish = 2560 * MC_MIB;
    scene.plan.divided = 4 * MC_GIB + 200 * MC_MIB;
    scene.plan.reserve = 100 * MC_MIB;
    target = target_of(&scene, &reason);
    assert_int_equal(target, 2 * MC_GIB + 300 * MC_MIB);
    assert_int_equal(reason, MC_RULE_SHRINK_FIRST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_does_what_it_is_for),
        cmocka_unit_test(without_the_rule_it_happens),
        cmocka_unit_test(every_rule_has_a_case),
        cmocka_unit_test(a_host_that_is_short_lifts_rate_and_margin),
        cmocka_unit_test(what_trouble_was_given_goes_back_on_a_short_host_when_it_is_over),
        cmocka_unit_test(growth_that_was_not_taken_is_called_back_but_from_a_guest_in_trouble),
        cmocka_unit_test(what_was_taken_back_does_not_prove_that_giving_is_in_vain),
        cmocka_unit_test(trouble_comes_first),
        cmocka_unit_test(what_lies_free_goes_to_trouble_at_any_speed),
        cmocka_unit_test(a_move_is_carried_on_in_steps_that_are_worth_it),
        cmocka_unit_test(crumbs_are_paid_to_trouble),
        cmocka_unit_test(a_trembling_floor_moves_no_balloon),
        cmocka_unit_test(hunger_comes_before_luxury),
    };

    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
