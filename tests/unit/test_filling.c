/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guests that nobody would hear in time: who they are, when they are asked, and what that shows. */
#include "testing.h"

#include <memctl/filling.h>

#include "engine/track.h"
#include "estimate/distress.h"

#define START_MS 100000

static struct mc_guest exposed_guest(void)
{
    return (struct mc_guest){
        .pid = 1,
        .answers = true,
        .fresh = true,
        .stats_period_s = 1,
        .memory = MC_GIB,
        .actual = 350 * MC_MIB,
        .stats = {.usable = 200 * MC_MIB, .last_update = 1},
        .terms = {.max = MC_GIB},
        .rss = MC_UNKNOWN,
        .used = 150 * MC_MIB,
        .held = 350 * MC_MIB,
    };
}

static void only_a_guest_that_nobody_would_hear_is_exposed(void **state)
{
    const struct mc_engine_config config = mc_engine_config_default();
    struct mc_guest guest = exposed_guest(), other;

    (void)state;
    assert_true(mc_is_exposed(&config, &guest));
    other = guest, other.agent.present = true;
    assert_false(mc_is_exposed(&config, &other));
    other = guest, other.deflates_on_oom = true;
    assert_false(mc_is_exposed(&config, &other));
    other = guest, other.exempt = MC_EXEMPT_UNMANAGED;
    assert_false(mc_is_exposed(&config, &other));
    other = guest, other.answers = false;
    assert_false(mc_is_exposed(&config, &other));
    other = guest, other.fresh = false;
    assert_false(mc_is_exposed(&config, &other));
    other = guest, other.pid = 0; /* on another host */
    assert_false(mc_is_exposed(&config, &other));
    other = guest, other.actual = MC_GIB; /* there is nothing to give */
    assert_false(mc_is_exposed(&config, &other));
    other = guest, other.stats.usable = 800 * MC_MIB; /* it will be seen in time */
    assert_false(mc_is_exposed(&config, &other));
}

static void the_less_is_left_the_sooner_is_the_next_look(void **state)
{
    struct mc_filling filling = {.usable = 64 * MC_MIB};

    (void)state;
    assert_int_equal(mc_filling_pause_ms(&filling), 100);
    filling.usable = 512 * MC_MIB;
    assert_in_range(mc_filling_pause_ms(&filling), 490, 510);
    filling.usable = 4 * MC_GIB;
    assert_int_equal(mc_filling_pause_ms(&filling), 1000);
}

static void a_quiet_guest_is_never_asked(void **state)
{
    struct mc_filling filling = {.usable = 100 * MC_MIB};

    (void)state;
    for (uint64_t ms = 0; ms < 60000; ms += 250)
        assert_false(mc_filling_look(&filling, 5000 + ms / 1000 * 10, START_MS + ms));
}

static void one_that_begins_to_work_is_asked_at_once_and_then_now_and_then(void **state)
{
    struct mc_filling filling = {.usable = 200 * MC_MIB};
    unsigned asks = 0;

    (void)state;
    assert_false(mc_filling_look(&filling, 1000, START_MS));
    assert_false(mc_filling_look(&filling, 1000, START_MS + 100));
    assert_true(mc_filling_look(&filling, 1030, START_MS + 200));
    filling.asked_ms = START_MS + 200;
    for (uint64_t ms = 300; ms <= 10200; ms += 100) {
        if (!mc_filling_look(&filling, 1030 + ms, START_MS + ms))
            continue;
        filling.asked_ms = START_MS + ms;
        asks++;
    }
    assert_in_range(asks, 20, 26);
}

/* A guest that rested with `usable` MiB left, and looks and answers while it fills at a rate. */
static uint64_t left_at_the_alarm(uint64_t usable, uint64_t rate)
{
    const struct mc_engine_config config = mc_engine_config_default();
    struct mc_guest guest = exposed_guest();
    struct mc_filling filling = {0};
    uint64_t left = usable;

    guest.stats.usable = usable * MC_MIB;
    mc_filling_follow(&filling, &guest, START_MS);
    mc_filling_look(&filling, 1000, START_MS);
    for (uint64_t ms = 100; left; ms += 100) {
        left = usable - mc_min_u64(usable, rate * ms / 1000);
        if (!mc_filling_look(&filling, 1000 + ms / 2, START_MS + ms))
            continue;
        filling.asked_ms = START_MS + ms;
        if (mc_filling_see(&config, &filling,
                           &(struct mc_sight){.at_ms = START_MS + ms,
                                              .actual = guest.actual,
                                              .usable = left * MC_MIB}))
            return left;
    }
    return 0;
}

static void it_is_seen_about_a_second_before_the_wall(void **state)
{
    (void)state;
    assert_in_range(left_at_the_alarm(300, 160), 130, 192);
    assert_in_range(left_at_the_alarm(300, 40), 50, 72);
    assert_in_range(left_at_the_alarm(300, 5), 20, 40);
    /* With no more than the margin, at the first answer. */
    assert_in_range(left_at_the_alarm(64, 160), 32, 48);
}

static void who_works_and_takes_nothing_is_in_no_trouble(void **state)
{
    const struct mc_engine_config config = mc_engine_config_default();
    struct mc_filling filling = {.seen_ms = START_MS, .used = 286 * MC_MIB};

    (void)state;
    for (uint64_t ms = 200; ms < 5000; ms += 200)
        assert_false(mc_filling_see(&config, &filling,
                                    &(struct mc_sight){.at_ms = START_MS + ms,
                                                       .actual = 350 * MC_MIB,
                                                       .usable = (64 - ms / 200 % 2) * MC_MIB}));
}

static void what_the_balloon_gave_is_no_pace(void **state)
{
    const struct mc_engine_config config = mc_engine_config_default();
    struct mc_filling filling = {.seen_ms = START_MS, .used = 150 * MC_MIB, .quiet_ms = START_MS};
    struct mc_sight sight = {
        .at_ms = START_MS + 200, .actual = 600 * MC_MIB, .usable = 100 * MC_MIB, .moving = true};

    (void)state;
    assert_false(mc_filling_see(&config, &filling, &sight));
    sight =
        (struct mc_sight){.at_ms = START_MS + 400, .actual = 600 * MC_MIB, .usable = 400 * MC_MIB};
    assert_false(mc_filling_see(&config, &filling, &sight));
    assert_int_equal(filling.rate, 0);
}

static void statistics_of_a_balloon_on_its_way_begin_nothing(void **state)
{
    struct mc_guest guest = exposed_guest();
    struct mc_filling filling = {0};

    (void)state;
    guest.sized = true;
    mc_filling_follow(&filling, &guest, START_MS);
    assert_int_equal(filling.seen_ms, 0);
    guest.sized = false;
    mc_filling_follow(&filling, &guest, START_MS);
    assert_int_equal(filling.used / MC_MIB, 150);
}

/* What comes of it: a guest that is full by its size on the host gets two seconds' worth. */
static void who_fills_is_given_what_that_takes(void **state)
{
    const struct mc_engine_config config = mc_engine_config_default();
    struct mc_guest guest = exposed_guest();
    struct mc_track track = {.target = MC_UNKNOWN};

    (void)state;
    guest.filling_ms = START_MS - 100;
    guest.filling_rate = 160 * MC_MIB;
    mc_distress_estimate(&config, &guest, &track, START_MS);
    assert_int_equal(guest.distress, MC_DISTRESS_FILLING);
    assert_int_equal(track.need / MC_MIB, 350 + 320);
    /* The host sees that it has not touched what it has. */
    guest.rss = guest.held = 100 * MC_MIB;
    mc_distress_estimate(&config, &guest, &track, START_MS);
    assert_int_equal(guest.distress, MC_DISTRESS_NO);
    /* Or it is long ago. */
    guest.held = guest.actual;
    mc_distress_estimate(&config, &guest, &track, START_MS + 5000);
    assert_int_equal(guest.distress, MC_DISTRESS_NO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_guest_that_nobody_would_hear_is_exposed),
        cmocka_unit_test(the_less_is_left_the_sooner_is_the_next_look),
        cmocka_unit_test(a_quiet_guest_is_never_asked),
        cmocka_unit_test(one_that_begins_to_work_is_asked_at_once_and_then_now_and_then),
        cmocka_unit_test(it_is_seen_about_a_second_before_the_wall),
        cmocka_unit_test(who_works_and_takes_nothing_is_in_no_trouble),
        cmocka_unit_test(what_the_balloon_gave_is_no_pace),
        cmocka_unit_test(statistics_of_a_balloon_on_its_way_begin_nothing),
        cmocka_unit_test(who_fills_is_given_what_that_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
