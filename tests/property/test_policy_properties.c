/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policies as the daemon has them, loaded modules and all, against what each of them says of
 * itself, worked out by a slow solver; and against what all of them promise.
 */
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/policy.h>
#include <memctl/units.h>

#include "problem.h"
#include "property.h"

#define CASES 2000
#define SHARES_MAX 1000000

struct policy {
    const char *name, *param;
    uint32_t param_max; /* in millionths */
    struct mc_policy_run *run;
};

enum { SHARES, IDLE_TAX, WORKING_SET, POLICY_COUNT };

struct scene {
    struct mc_policy_guest guests[GUESTS_MAX];
    size_t count;
    uint64_t budget;
    uint32_t param; /* the tax or the headroom, in millionths */
};

static uint64_t random_shares(struct random *random)
{
    switch (random_below(random, 8)) {
    case 6:
        return 1;
    case 7:
        return SHARES_MAX;
    default:
        return random_scaled(random, 1, SHARES_MAX);
    }
}

/* Budgets around the sum of min, of what is active and of max: there the policies turn. */
static uint64_t random_budget(struct random *random, const struct scene *scene)
{
    uint64_t min = 0, active = 0, max = 0;

    for (size_t i = 0; i < scene->count; i++) {
        min += scene->guests[i].min;
        active += scene->guests[i].active;
        max += scene->guests[i].max;
    }
    switch (random_below(random, 8)) {
    case 3:
        return min;
    case 4:
        return mc_clamp_u64(active, min, max);
    case 5:
        return max;
    case 6:
        return random_between(random, 0, min);
    case 7:
        return 0;
    default:
        return min + random_between(random, 0, max - min + 2 * MC_PAGE);
    }
}

static struct scene random_scene(struct random *random, const struct policy *policy)
{
    static const uint64_t scales[] = {4, 200, 1 << 20, MC_ALLOCATE_PAGES_MAX};
    uint64_t largest = scales[random_below(random, 4)];
    struct scene scene = {0};

    if (policy->param_max)
        scene.param = (uint32_t)random_scaled(random, 0, policy->param_max);
    while (random_more(random, scene.count, GUESTS_MAX)) {
        struct mc_policy_guest *guest = &scene.guests[scene.count];

        guest->max = random_scaled(random, 0, largest) * MC_PAGE;
        guest->min = random_below(random, 8) == 7
                         ? guest->max
                         : random_scaled(random, 0, guest->max / MC_PAGE) * MC_PAGE;
        guest->reserved = random_below(random, 2)
                              ? guest->min
                              : random_scaled(random, 0, guest->min / MC_PAGE) * MC_PAGE;
        guest->active = random_between(random, 0, guest->max / MC_PAGE) * MC_PAGE;
        guest->current = random_between(random, 0, guest->max / MC_PAGE) * MC_PAGE;
        guest->shares = random_shares(random);
        guest->key = random_below(random, 1 << 16) * GUESTS_MAX + scene.count++;
    }
    scene.budget = random_budget(random, &scene);
    return scene;
}

static void print_scene(const struct policy *policy, const struct scene *scene,
                        const uint64_t *targets)
{
    fprintf(stderr, "policy %s, %s %g\nstruct scene scene = {\n", policy->name,
            policy->param ? policy->param : "no parameter", scene->param / 1e6);
    fprintf(stderr,
            "    .budget = %" PRIu64 ",\n    .param = %" PRIu32 ",\n    .count = %zu,\n"
            "    .guests = {\n",
            scene->budget, scene->param, scene->count);
    for (size_t i = 0; i < scene->count; i++) {
        const struct mc_policy_guest *guest = &scene->guests[i];

        fprintf(stderr,
                "        {.shares = %" PRIu64 ", .reserved = %" PRIu64 ", .min = %" PRIu64
                ", .max = %" PRIu64 ", .active = %" PRIu64 ", .key = %" PRIu64 "}, /* got %" PRIu64
                " pages */\n",
                guest->shares, guest->reserved, guest->min, guest->max, guest->active, guest->key,
                targets[i] / MC_PAGE);
    }
    fprintf(stderr, "    },\n};\n");
}

#define CHECK(condition, property, scene, targets)                                                 \
    PROPERTY_CHECK(property, condition, #condition,                                                \
                   print_scene((property)->subject, scene, targets))

static void decide(struct property *property, const struct scene *scene, uint64_t *targets)
{
    const struct policy *policy = property->subject;
    const struct mc_policy_input input = {
        .budget = scene->budget,
        .guests = scene->guests,
        .count = scene->count,
    };
    struct mc_error err;
    char text[32];

    memset(targets, 0, GUESTS_MAX * sizeof(*targets));
    snprintf(text, sizeof(text), "%.6f", scene->param / 1e6);
    if (policy->param && mc_policy_set_param(policy->run, policy->param, text, &err) < 0)
        fail_msg("%s", err.text);
    CHECK(mc_policy_decide(policy->run, &input, targets, &err) == 0, property, scene, targets);
}

static struct problem proportional(const struct scene *scene)
{
    struct problem problem = {.count = scene->count, .budget = scene->budget / MC_PAGE};

    for (size_t i = 0; i < scene->count; i++)
        problem.demands[i] = (struct mc_demand){
            .min = scene->guests[i].min / MC_PAGE,
            .max = scene->guests[i].max / MC_PAGE,
            .weight = scene->guests[i].shares,
            .rate_above = MC_RATE_ONE,
            .key = scene->guests[i].key,
        };
    return problem;
}

static void expect_shares(const struct scene *scene, uint64_t *pages)
{
    struct problem problem = proportional(scene);

    solve_by_bisection(&problem, pages);
}

static void expect_idle_tax(const struct scene *scene, uint64_t *pages)
{
    struct problem problem = proportional(scene);

    for (size_t i = 0; i < scene->count; i++) {
        problem.demands[i].knee = scene->guests[i].active / MC_PAGE;
        problem.demands[i].rate_above = MC_RATE_ONE - scene->param;
    }
    solve_by_bisection(&problem, pages);
}

static uint64_t need_of(const struct mc_policy_guest *guest, uint32_t headroom)
{
    __extension__ unsigned __int128 need = guest->active;

    need = need * (1000000 + headroom) / 1000000;
    if (need < guest->reserved)
        need = guest->reserved;
    if (need > guest->max)
        need = guest->max;
    return (uint64_t)(need / MC_PAGE);
}

static void expect_working_set(const struct scene *scene, uint64_t *pages)
{
    struct problem needy = proportional(scene), rest = needy;
    uint64_t needs = 0;

    for (size_t i = 0; i < scene->count; i++) {
        uint64_t need = need_of(&scene->guests[i], scene->param);

        needy.demands[i].max = mc_max_u64(need, needy.demands[i].min);
        needs += needy.demands[i].max;
        rest.demands[i].min = mc_less_u64(rest.demands[i].min, need);
        rest.demands[i].max -= need;
        rest.budget -= mc_min_u64(rest.budget, need);
    }
    if (needs > needy.budget) {
        solve_by_bisection(&needy, pages);
        return;
    }
    solve_by_bisection(&rest, pages);
    for (size_t i = 0; i < scene->count; i++)
        pages[i] += need_of(&scene->guests[i], scene->param);
}

static void (*const expectations[POLICY_COUNT])(const struct scene *scene, uint64_t *pages) = {
    [SHARES] = expect_shares,
    [IDLE_TAX] = expect_idle_tax,
    [WORKING_SET] = expect_working_set,
};

static void does_what_it_says(struct property *property, int which)
{
    struct scene scene = random_scene(&property->random, property->subject);
    uint64_t targets[GUESTS_MAX], pages[GUESTS_MAX];

    decide(property, &scene, targets);
    expectations[which](&scene, pages);
    for (size_t i = 0; i < scene.count; i++)
        CHECK(targets[i] == pages[i] * MC_PAGE, property, &scene, targets);
}

static void does_what_shares_say(struct property *property)
{
    does_what_it_says(property, SHARES);
}

static void does_what_idle_tax_says(struct property *property)
{
    does_what_it_says(property, IDLE_TAX);
}

static void does_what_working_set_says(struct property *property)
{
    does_what_it_says(property, WORKING_SET);
}

static void each_does_exactly_what_it_says(void **state)
{
    const struct policy *policies = *state;

    property_holds(does_what_shares_say, &policies[SHARES], 2 * CASES);
    property_holds(does_what_idle_tax_says, &policies[IDLE_TAX], 2 * CASES);
    property_holds(does_what_working_set_says, &policies[WORKING_SET], 2 * CASES);
}

static void for_all_policies(void **state, void (*check)(struct property *property))
{
    const struct policy *policies = *state;

    for (int i = 0; i < POLICY_COUNT; i++)
        property_holds(check, &policies[i], CASES);
}

static void keeps_bounds(struct property *property)
{
    struct scene scene = random_scene(&property->random, property->subject);
    uint64_t targets[GUESTS_MAX], sum = 0, min = 0, max = 0;

    decide(property, &scene, targets);
    for (size_t i = 0; i < scene.count; i++) {
        CHECK(targets[i] >= scene.guests[i].min, property, &scene, targets);
        CHECK(targets[i] <= scene.guests[i].max, property, &scene, targets);
        CHECK(targets[i] % MC_PAGE == 0, property, &scene, targets);
        sum += targets[i];
        min += scene.guests[i].min;
        max += scene.guests[i].max;
    }
    CHECK(sum == mc_clamp_u64(scene.budget / MC_PAGE * MC_PAGE, min, max), property, &scene,
          targets);
}

static void all_keep_bounds_and_use_the_whole_budget(void **state)
{
    for_all_policies(state, keeps_bounds);
}

static void ignores_order(struct property *property)
{
    struct scene scene = random_scene(&property->random, property->subject), rotated = scene;
    uint64_t targets[GUESTS_MAX], again[GUESTS_MAX];
    size_t by = random_below(&property->random, scene.count + 1);

    for (size_t i = 0; i < scene.count; i++) /* backwards, from some guest on */
        rotated.guests[i] = scene.guests[(by + scene.count - i) % scene.count];
    decide(property, &scene, targets);
    decide(property, &rotated, again);
    for (size_t i = 0; i < scene.count; i++)
        CHECK(again[i] == targets[(by + scene.count - i) % scene.count], property, &scene, targets);
}

static void none_depends_on_the_order_of_guests(void **state)
{
    for_all_policies(state, ignores_order);
}

static void grows_with_budget(struct property *property)
{
    struct scene scene = random_scene(&property->random, property->subject);
    uint64_t targets[GUESTS_MAX], more[GUESTS_MAX];

    decide(property, &scene, targets);
    scene.budget += random_scaled(&property->random, 1, scene.budget + 1);
    decide(property, &scene, more);
    for (size_t i = 0; i < scene.count; i++)
        CHECK(more[i] >= targets[i], property, &scene, targets);
}

static void nobody_loses_when_the_budget_grows(void **state)
{
    for_all_policies(state, grows_with_budget);
}

/* The change that was made favours one guest: it does not lose by it, and nobody else wins. */
static void check_favour(struct property *property, const struct scene *before,
                         const struct scene *after, size_t lucky)
{
    uint64_t targets[GUESTS_MAX], more[GUESTS_MAX];

    decide(property, before, targets);
    decide(property, after, more);
    for (size_t i = 0; i < before->count; i++)
        CHECK(i == lucky ? more[i] >= targets[i] : more[i] <= targets[i], property, after, more);
}

static void favours_shares(struct property *property)
{
    struct scene scene = random_scene(&property->random, property->subject), after = scene;
    size_t lucky = random_below(&property->random, GUESTS_MAX);

    if (lucky < scene.count)
        after.guests[lucky].shares =
            random_scaled(&property->random, scene.guests[lucky].shares, SHARES_MAX);
    check_favour(property, &scene, &after, lucky);
}

static void more_shares_cost_only_the_others(void **state)
{
    for_all_policies(state, favours_shares);
}

static void favours_activity(struct property *property)
{
    struct scene scene = random_scene(&property->random, property->subject), after = scene;
    size_t lucky = random_below(&property->random, GUESTS_MAX);
    struct mc_policy_guest *guest = &after.guests[lucky];

    if (lucky < scene.count)
        guest->active +=
            random_scaled(&property->random, 0, (guest->max - guest->active) / MC_PAGE) * MC_PAGE;
    check_favour(property, &scene, &after, lucky);
}

static void more_activity_costs_only_the_others(void **state)
{
    for_all_policies(state, favours_activity);
}

static void ignores_unit_of_shares(struct property *property)
{
    struct scene scene = random_scene(&property->random, property->subject), scaled = scene;
    uint64_t targets[GUESTS_MAX], again[GUESTS_MAX], most = 1, times;

    for (size_t i = 0; i < scene.count; i++)
        most = mc_max_u64(most, scene.guests[i].shares);
    times = random_between(&property->random, 1, SHARES_MAX / most);
    for (size_t i = 0; i < scene.count; i++)
        scaled.guests[i].shares *= times;
    decide(property, &scene, targets);
    decide(property, &scaled, again);
    CHECK(memcmp(targets, again, sizeof(targets)) == 0, property, &scaled, again);
}

static void only_the_ratio_of_shares_counts(void **state)
{
    for_all_policies(state, ignores_unit_of_shares);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/*
 * The exact division scales with the sizes; rounding it to pages takes less than a page from a
 * guest, and adds fewer than there are guests. working-set also rounds every need.
 */
static void scales(struct property *property)
{
    const struct policy *policy = property->subject;
    struct scene scene = random_scene(&property->random, policy), scaled;
    uint64_t targets[GUESTS_MAX], again[GUESTS_MAX], largest = 1, times, slack;

    scene.budget = scene.budget / MC_PAGE * MC_PAGE;
    for (size_t i = 0; i < scene.count; i++)
        largest = mc_max_u64(largest, scene.guests[i].max / MC_PAGE);
    times = random_scaled(&property->random, 1, MC_ALLOCATE_PAGES_MAX / largest);
    scaled = scene;
    scaled.budget *= times;
    for (size_t i = 0; i < scene.count; i++) {
        scaled.guests[i].min *= times;
        scaled.guests[i].reserved *= times;
        scaled.guests[i].max *= times;
        scaled.guests[i].active *= times;
    }
    decide(property, &scene, targets);
    decide(property, &scaled, again);
    slack = (times + 1) * scene.count * (strcmp(policy->name, "working-set") == 0 ? 3 : 1);
    for (size_t i = 0; i < scene.count; i++)
        CHECK(distance(again[i], times * targets[i]) <= slack * MC_PAGE, property, &scene, targets);
}

static void larger_sizes_scale_the_answer_within_rounding(void **state)
{
    for_all_policies(state, scales);
}

/*
 * When the answer is what everybody has, it is the answer again, although nobody can be seen to
 * work with more than it has. Otherwise memory would move for ever with nothing changing.
 */
static void comes_to_rest(struct property *property)
{
    struct scene scene = random_scene(&property->random, property->subject), after = scene;
    uint64_t targets[GUESTS_MAX], again[GUESTS_MAX];

    decide(property, &scene, targets);
    for (size_t i = 0; i < scene.count; i++) {
        after.guests[i].current = targets[i];
        after.guests[i].active = mc_min_u64(scene.guests[i].active, targets[i]);
    }
    decide(property, &after, again);
    CHECK(memcmp(targets, again, sizeof(targets)) == 0, property, &scene, targets);
    decide(property, &scene, again);
    CHECK(memcmp(targets, again, sizeof(targets)) == 0, property, &scene, targets);
}

static void the_answer_at_the_answer_is_the_answer(void **state)
{
    for_all_policies(state, comes_to_rest);
}

/* Uniformity, which with monotony in the budget makes a division rule a divisor rule (Balinski and
 * Young, "Fair Representation", 1982): every part of a fair division is fair. */
static void lets_go(struct property *property)
{
    struct scene scene = random_scene(&property->random, property->subject), after = scene;
    uint64_t targets[GUESTS_MAX], again[GUESTS_MAX];
    size_t last = scene.count ? --after.count : 0;

    decide(property, &scene, targets);
    if (scene.count)
        after.budget = mc_less_u64(scene.budget, targets[last]);
    decide(property, &after, again);
    for (size_t i = 0; i < after.count; i++)
        CHECK(again[i] == targets[i], property, &scene, targets);
}

static void a_guest_that_leaves_with_its_memory_changes_nothing(void **state)
{
    for_all_policies(state, lets_go);
}

/*
 * The paper's ratio is S / (P * (f + k * (1 - f))) with f the active part of P and k = 1 / (1 -
 * tax). With a = f * P pages active and rate = (1 - tax) this is rate * S / (rate * a + (P - a));
 * so here is what the first P pages cost, and the smaller the cost per share, the higher the ratio.
 */
static uint64_t cost_of(const struct mc_policy_guest *guest, uint64_t pages, uint32_t rate)
{
    uint64_t active = mc_min_u64(guest->active / MC_PAGE, pages);

    return active * rate + (pages - active) * MC_RATE_ONE;
}

/*
 * No guest holds a page that another one, which may have more, would pay a higher price for. So all
 * that are not held by a bound have the same adjusted ratio, within one page.
 */
static void leaves_no_envy(struct property *property)
{
    const struct policy *policy = property->subject;
    struct scene scene = random_scene(&property->random, policy);
    uint32_t rate = MC_RATE_ONE - scene.param;
    uint64_t targets[GUESTS_MAX];

    decide(property, &scene, targets);
    for (size_t i = 0; i < scene.count; i++)
        for (size_t j = 0; j < scene.count; j++) {
            const struct mc_policy_guest *has = &scene.guests[i], *wants = &scene.guests[j];
            __extension__ unsigned __int128 paid, offered;

            if (i == j || targets[i] == has->min || targets[j] == wants->max)
                continue;
            paid = cost_of(has, targets[i] / MC_PAGE, rate);
            offered = cost_of(wants, targets[j] / MC_PAGE + 1, rate);
            CHECK(paid * wants->shares <= offered * has->shares, property, &scene, targets);
        }
}

static void adjusted_shares_per_page_are_equal_within_one_page(void **state)
{
    const struct policy *policies = *state;

    property_holds(leaves_no_envy, &policies[SHARES], CASES);
    property_holds(leaves_no_envy, &policies[IDLE_TAX], CASES);
}

static void is_shares_without_tax(struct property *property)
{
    const struct policy *policies = property->subject;
    struct scene scene = random_scene(&property->random, &policies[SHARES]);
    uint64_t targets[GUESTS_MAX], again[GUESTS_MAX];

    property->subject = &policies[SHARES];
    decide(property, &scene, targets);
    property->subject = &policies[IDLE_TAX];
    decide(property, &scene, again);
    CHECK(memcmp(targets, again, sizeof(targets)) == 0, property, &scene, again);
}

static void tax_0_is_shares(void **state)
{
    property_holds(is_shares_without_tax, *state, CASES);
}

static int load_policies(void **state)
{
    static struct policy policies[POLICY_COUNT] = {
        [SHARES] = {.name = "shares"},
        [IDLE_TAX] = {.name = "idle-tax", .param = "tax", .param_max = 999999},
        [WORKING_SET] = {.name = "working-set", .param = "headroom", .param_max = 10000000},
    };
    struct mc_error err;

    setenv("MEMCTL_POLICY_PATH", BUILT_POLICIES, 0); /* so that a test runs alone as well */
    for (int i = 0; i < POLICY_COUNT; i++)
        if (mc_policy_load(policies[i].name, &policies[i].run, &err) < 0)
            fail_msg("%s", err.text);
    *state = policies;
    return 0;
}

static int unload_policies(void **state)
{
    struct policy *policies = *state;

    for (int i = 0; i < POLICY_COUNT; i++)
        mc_policy_unload(policies[i].run);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_does_exactly_what_it_says),
        cmocka_unit_test(all_keep_bounds_and_use_the_whole_budget),
        cmocka_unit_test(none_depends_on_the_order_of_guests),
        cmocka_unit_test(nobody_loses_when_the_budget_grows),
        cmocka_unit_test(more_shares_cost_only_the_others),
        cmocka_unit_test(more_activity_costs_only_the_others),
        cmocka_unit_test(only_the_ratio_of_shares_counts),
        cmocka_unit_test(larger_sizes_scale_the_answer_within_rounding),
        cmocka_unit_test(the_answer_at_the_answer_is_the_answer),
        cmocka_unit_test(a_guest_that_leaves_with_its_memory_changes_nothing),
        cmocka_unit_test(adjusted_shares_per_page_are_equal_within_one_page),
        cmocka_unit_test(tax_0_is_shares),
    };

    return cmocka_run_group_tests(tests, load_policies, unload_policies);
}
