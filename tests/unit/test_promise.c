/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The elastic promise, the host's states, and trouble, on a simulated host. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "host.h"

/* Four guests of 4 GiB that use little, with 10 GiB for all; min is a quarter. */
static void open_four(struct host *host, unsigned overcommit_percent)
{
    struct mc_sim_guest_config guests[4];

    for (int i = 0; i < 4; i++)
        guests[i] = host_guest((const char[]){(char)('a' + i), 0}, 4 * MC_GIB, 300 * MC_MIB);
    host_open(host, "idle-tax", 10 * MC_GIB, guests, 4);
    host->config.overcommit_percent = overcommit_percent;
    host->config.distress_reserve = (struct mc_amount){.value = 200, .percent = true};
    mc_engine_configure(host->engine, &host->config, host->policy);
}

static uint64_t sum_actual(const struct host *host)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < host->sim->count; i++)
        sum += host->sim->guests[i].actual;
    return sum;
}

static void set_working_set(struct host *host, size_t guest, uint64_t bytes)
{
    host->sim->guests[guest].config.working_set.points[0].bytes = bytes;
}

static void nobody_is_squeezed_while_memory_lies_idle(void **state)
{
    struct host host;

    (void)state;
    open_four(&host, 200);
    host_run(&host, 60);
    assert_int_equal(sum_actual(&host), 16 * MC_GIB);
    assert_int_equal(host.plan.state, MC_HOST_HIGH);
    host_close(&host);
}

static void strict_promises_nothing_that_is_not_there(void **state)
{
    struct host host;

    (void)state;
    open_four(&host, 100);
    host_run(&host, 60);
    assert_true(sum_actual(&host) <= host.plan.strict);
    assert_int_equal(host.plan.divided, host.plan.strict);
    host_close(&host);
}

/* The factor is a bound on all promises, however idle the host is. */
static void the_factor_bounds_the_promise(void **state)
{
    struct host host;

    (void)state;
    open_four(&host, 120);
    host_run(&host, 60);
    assert_true(host.plan.promised <= host.plan.strict / 100 * 120 + MC_MIB);
    assert_true(sum_actual(&host) > host.plan.strict);
    host_close(&host);
}

/* One guest touches all that it has, at once; the others give it up before the host is short. */
static void a_burst_fits(void **state)
{
    struct host host;

    (void)state;
    open_four(&host, 200);
    host_run(&host, 60);
    set_working_set(&host, 0, 4 * MC_GIB - 40 * MC_MIB);
    host_run(&host, 60);
    assert_true(host_sum_held(&host) <= host.plan.budget);
    assert_true(host.sim->guests[0].actual > 4 * MC_GIB - 64 * MC_MIB);
    host_close(&host);
}

/*
 * All of them, one after another: what is promised falls, until any one of them may take all of its
 * own at once.
 */
static void the_promise_falls_when_memory_is_touched(void **state)
{
    struct host host;

    (void)state;
    open_four(&host, 200);
    host_run(&host, 30);
    for (size_t i = 0; i < 4; i++) {
        set_working_set(&host, i, 2200 * MC_MIB);
        host_run(&host, 30);
    }
    for (size_t i = 0; i < 4; i++)
        assert_true(host_sum_held(&host) + host.sim->guests[i].actual - host.sim->guests[i].held <=
                    host.plan.budget);
    /* But for what is too little to move each of them. */
    assert_true(sum_actual(&host) >= host.plan.strict - 4 * (16 * MC_MIB));
    host_close(&host);
}

static void a_host_that_others_use_up_takes_from_guests(void **state)
{
    struct host host;
    uint64_t before;

    (void)state;
    open_four(&host, 100);
    host.sim->host_memory = 16 * MC_GIB;
    host_run(&host, 1);
    for (size_t i = 0; i < 4; i++)
        host.sim->guests[i].held = host.sim->guests[i].actual; /* all touched once */
    host_run(&host, 60);
    before = sum_actual(&host);
    host.sim->host_used.points[0].bytes = 8 * MC_GIB;
    host_run(&host, 60);
    assert_true(sum_actual(&host) + 2 * MC_GIB < before);
    assert_true(host.plan.state < MC_HOST_HARD);
    host.sim->host_used.points[0].bytes = MC_GIB;
    host_run(&host, 120);
    /* What comes back is not touched yet, so a little more can be promised than before. */
    assert_in_range(sum_actual(&host), before - 64 * MC_MIB, before + before / 50);
    host_close(&host);
}

/* The reserve is what a budget that nobody has named leaves. */
static void a_budget_that_was_named_may_be_used_up(void **state)
{
    struct mc_sim_guest_config guests[] = {host_guest("a", 4 * MC_GIB, 300 * MC_MIB)};
    struct host host;

    (void)state;
    host_open(&host, "idle-tax", 61 * MC_GIB, guests, 1);
    host_run(&host, 5);
    assert_int_equal(host.plan.headroom, host.plan.strict - host.plan.held);
    host.config.budget.automatic = host.config.budget.reserve_automatic = true;
    mc_engine_configure(host.engine, &host.config, host.policy);
    host_run(&host, 5);
    assert_true(host.plan.headroom <= 64 * MC_GIB / 100 * 95 - MC_GIB - host.plan.held);
    host_close(&host);
}

static void states_follow_what_is_left(void **state)
{
    static const struct {
        uint64_t percent; /* of min-free that the host has available */
        enum mc_host_state state;
    } steps[] = {
        {500, MC_HOST_HIGH},  {101, MC_HOST_HIGH}, {90, MC_HOST_CLEAR}, {65, MC_HOST_CLEAR},
        {60, MC_HOST_SOFT},   {99, MC_HOST_SOFT},  {31, MC_HOST_HARD},  {15, MC_HOST_LOW},
        {31, MC_HOST_LOW},    {33, MC_HOST_HARD},  {65, MC_HOST_SOFT},  {101, MC_HOST_CLEAR},
        {399, MC_HOST_CLEAR}, {401, MC_HOST_HIGH},
    };
    struct mc_sim_guest_config guest = host_guest("a", 4 * MC_GIB, 300 * MC_MIB);
    struct host host;

    (void)state;
    host_open(&host, "shares", 28 * MC_GIB, &guest, 1);
    host_run(&host, 5);
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        uint64_t others = host.sim->guests[0].held + guest.overhead;
        uint64_t left = host.plan.min_free / 100 * steps[i].percent;

        host.sim->host_used.points[0].bytes = host.sim->host_memory - others - left;
        host_tick(&host, 1000);
        if (host.plan.state != steps[i].state)
            fail_msg("at %lu %%: %s", (unsigned long)steps[i].percent,
                     mc_host_state_name(host.plan.state));
    }
    host_close(&host);
}

/* The pass that sees the trouble is the one that sends memory. */
static void trouble_is_answered_in_the_same_pass(void **state)
{
    struct host host;

    (void)state;
    open_four(&host, 100);
    host_run(&host, 60);
    set_working_set(&host, 1, 3500 * MC_MIB);
    for (int i = 0; i < 10 && !host_see(&host, "b")->distress; i++)
        host_tick(&host, 500);
    assert_int_equal(host_see(&host, "b")->distress, MC_DISTRESS_USABLE);
    assert_true(host.plan.steps[host_index(&host, "b")].send);
    assert_true(host.plan.steps[host_index(&host, "b")].target > host_see(&host, "b")->actual);
    assert_int_equal(mc_engine_urgency(host.engine, host.now_ms), MC_URGENCY_WAITING);
    host_run(&host, 20);
    assert_true(host.sim->guests[1].actual >= 3540 * MC_MIB);
    host_run(&host, 60);
    assert_int_equal(mc_engine_urgency(host.engine, host.now_ms), MC_URGENCY_NONE);
    host_close(&host);
}

/* It has still something left, but less than it is to have, and what it waits for is on its way. */
static void who_needs_room_is_not_kept_waiting_for_an_interval(void **state)
{
    const struct mc_step *step;
    struct host host;
    size_t b;

    (void)state;
    open_four(&host, 100);
    host_run(&host, 60);
    b = host_index(&host, "b");
    assert_int_equal(mc_engine_urgency(host.engine, host.now_ms), MC_URGENCY_NONE);
    set_working_set(&host, 1, host.sim->guests[1].actual - 125 * MC_MIB);
    step = &host.plan.steps[b];
    for (int i = 0; i < 10 && mc_step_reason(step) != MC_RULE_SHRINK_FIRST; i++) {
        host_tick(&host, 500);
        step = &host.plan.steps[b];
    }
    assert_int_equal(mc_step_reason(step), MC_RULE_SHRINK_FIRST);
    assert_int_equal(host_see(&host, "b")->distress, MC_DISTRESS_NO);
    assert_int_equal(mc_engine_urgency(host.engine, host.now_ms), MC_URGENCY_WAITING);
    host_run(&host, 60);
    assert_int_equal(mc_engine_urgency(host.engine, host.now_ms), MC_URGENCY_NONE);
    host_close(&host);
}

/* The agent's word counts at once, without any statistics; and for a guest that has touched it. */
static void an_agents_word_counts_if_the_guest_is_full(void **state)
{
    struct host host;
    uint64_t before;

    (void)state;
    open_four(&host, 100);
    host_run(&host, 60);
    host.cries = "b";
    before = host_see(&host, "b")->actual;
    host_tick(&host, 100);
    assert_int_equal(host_see(&host, "b")->distress, MC_DISTRESS_NO);
    host.sim->guests[1].held = host.sim->guests[1].actual;
    host_tick(&host, 100);
    assert_int_equal(host_see(&host, "b")->distress, MC_DISTRESS_AGENT);
    assert_true(host.plan.steps[host_index(&host, "b")].target > before);
    host_close(&host);
}

/* One that cries for ever has its fair part in the end. */
static void crying_for_ever_brings_no_more_than_a_fair_part(void **state)
{
    struct host host;

    (void)state;
    open_four(&host, 100);
    for (size_t i = 0; i < 4; i++)
        set_working_set(&host, i, 2 * MC_GIB);
    host_run(&host, 60);
    host.cries = "b";
    for (int i = 0; i < 400; i++) {
        host.sim->guests[1].held = host.sim->guests[1].actual;
        host_tick(&host, 1000);
    }
    assert_true(host.sim->guests[1].actual <= host.plan.strict / 4 + 128 * MC_MIB);
    host_close(&host);
}

static void a_guest_out_of_trouble_is_left_in_peace(void **state)
{
    struct host host;
    uint64_t has;

    (void)state;
    open_four(&host, 100);
    host_run(&host, 60);
    set_working_set(&host, 1, 3500 * MC_MIB);
    host_run(&host, 20);
    set_working_set(&host, 1, 300 * MC_MIB);
    has = host.sim->guests[1].actual;
    host_run(&host, 30);
    assert_true(host.sim->guests[1].actual + 16 * MC_MIB >= has);
    host_run(&host, 90); /* the cooldown is over */
    assert_true(host.sim->guests[1].actual < has - MC_GIB / 2);
    host_close(&host);
}

/* One guest's own cooldown holds over the configuration's. */
static void a_guest_has_its_own_cooldown(void **state)
{
    struct mc_sim_guest_config guests[] = {host_guest("a", 4 * MC_GIB, 300 * MC_MIB),
                                           host_guest("b", 4 * MC_GIB, 300 * MC_MIB)};
    struct host host;
    uint64_t has;

    (void)state;
    mc_settings_say(&guests[1].own, "cooldown", "5s", NULL);
    host_open(&host, "idle-tax", 5 * MC_GIB, guests, 2);
    host_run(&host, 60);
    set_working_set(&host, 1, 3000 * MC_MIB);
    host_run(&host, 20);
    set_working_set(&host, 1, 300 * MC_MIB);
    has = host.sim->guests[1].actual;
    assert_true(has > 3000 * MC_MIB);
    host_run(&host, 20);
    assert_true(host.sim->guests[1].actual < has - MC_GIB / 4);
    host_close(&host);
}

static void another_hand_is_left_alone_for_a_while(void **state)
{
    struct host host;

    (void)state;
    open_four(&host, 100);
    host.config.foreign_hold_ms = 60000;
    mc_engine_configure(host.engine, &host.config, host.policy);
    host_run(&host, 60);
    assert_int_equal(
        mc_session_set_balloon(host.session, host_see(&host, "c")->uuid, 1200 * MC_MIB, NULL), 0);
    host_run(&host, 40);
    assert_true(host_see(&host, "c")->foreign);
    assert_int_equal(host_see(&host, "c")->actual, 1200 * MC_MIB);
    assert_int_equal(mc_step_reason(&host.plan.steps[host_index(&host, "c")]),
                     MC_RULE_FOREIGN_HAND);
    host_run(&host, 60);
    assert_false(host_see(&host, "c")->foreign);
    assert_true(host_see(&host, "c")->actual > 2 * MC_GIB);
    host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_squeezed_while_memory_lies_idle),
        cmocka_unit_test(strict_promises_nothing_that_is_not_there),
        cmocka_unit_test(the_factor_bounds_the_promise),
        cmocka_unit_test(a_burst_fits),
        cmocka_unit_test(the_promise_falls_when_memory_is_touched),
        cmocka_unit_test(a_host_that_others_use_up_takes_from_guests),
        cmocka_unit_test(a_budget_that_was_named_may_be_used_up),
        cmocka_unit_test(states_follow_what_is_left),
        cmocka_unit_test(trouble_is_answered_in_the_same_pass),
        cmocka_unit_test(who_needs_room_is_not_kept_waiting_for_an_interval),
        cmocka_unit_test(an_agents_word_counts_if_the_guest_is_full),
        cmocka_unit_test(crying_for_ever_brings_no_more_than_a_fair_part),
        cmocka_unit_test(a_guest_out_of_trouble_is_left_in_peace),
        cmocka_unit_test(a_guest_has_its_own_cooldown),
        cmocka_unit_test(another_hand_is_left_alone_for_a_while),
    };

    return cmocka_run_group_tests_name("promise", tests, NULL, NULL);
}
