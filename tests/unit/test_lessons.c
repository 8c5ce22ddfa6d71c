/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What trouble has taught survives the guest's restart, and the engine's. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "host.h"

#define BUDGET (1300 * MC_MIB)

/* "a" fills what it has, "b" lies idle; a's trouble teaches. */
static void open_pair(struct host *host, bool trouble)
{
    struct mc_sim_guest_config guests[] = {
        host_guest("a", MC_GIB, 560 * MC_MIB),
        host_guest("b", MC_GIB, 60 * MC_MIB),
    };

    for (int i = 0; i < 2; i++)
        mc_settings_say(&guests[i].own, "min", "128M", NULL);
    guests[0].stop_ms = 100000;
    host_open(host, "shares", BUDGET, guests, 2);
    host->config.floor_margin = 32 * MC_MIB;
    mc_engine_configure(host->engine, &host->config, host->policy);
    for (int i = 0; i < 30; i++)
        host_tick(host, 1000);
    host->cries = trouble ? "a" : NULL;
    for (int i = 0; i < 5; i++)
        host_tick(host, 1000);
    host->cries = NULL;
}

static struct mc_lesson lesson_of(const struct host *host)
{
    struct mc_lesson lesson = {0};

    assert_int_equal(mc_engine_lessons(host->engine, host->now_ms, &lesson, 1), 1);
    assert_string_equal(lesson.uuid, host->sim->guests[0].config.uuid);
    return lesson;
}

static void only_trouble_teaches(void **state)
{
    struct mc_lesson lesson;
    struct host host;

    (void)state;
    open_pair(&host, false);
    assert_int_equal(mc_engine_lessons(host.engine, host.now_ms, &lesson, 1), 0);
    host_close(&host);
    open_pair(&host, true);
    lesson = lesson_of(&host);
    assert_true(lesson.learned >= 64 * MC_MIB);
    assert_true(lesson.cooldown_ms > 50000 && lesson.cooldown_ms <= 60000);
    assert_true(lesson.need > MC_GIB / 2);
    host_close(&host);
}

/* The margin that another engine has for the guest, if it was taught so. */
static uint64_t floor_of_pupil(const struct mc_lesson *lesson, size_t count, uint64_t age_ms)
{
    struct mc_sim_guest_config guests[] = {
        host_guest("a", MC_GIB, 300 * MC_MIB),
        host_guest("b", MC_GIB, 700 * MC_MIB),
    };
    struct host host;
    uint64_t size;

    for (int i = 0; i < 2; i++)
        mc_settings_say(&guests[i].own, "min", "128M", NULL);
    mc_settings_say(&guests[1].own, "shares", "100000", NULL);
    host_open(&host, "shares", 1500 * MC_MIB, guests, 2);
    host.now_ms = 1000000;
    assert_int_equal(mc_engine_teach(host.engine, lesson, count, host.now_ms - age_ms), 0);
    for (int i = 0; i < 30; i++)
        host_tick(&host, 1000);
    size = host_see(&host, "a")->actual;
    host_close(&host);
    return size;
}

static void another_engine_keeps_the_margin_that_was_taught(void **state)
{
    struct mc_lesson lesson = {.learned = 200 * MC_MIB};
    struct mc_sim_guest_config guest = host_guest("a", MC_GIB, 0);
    uint64_t untaught, taught, later, forgotten;

    (void)state;
    memcpy(lesson.uuid, guest.uuid, sizeof(lesson.uuid));
    free(guest.working_set.points);
    untaught = floor_of_pupil(&lesson, 0, 0);
    taught = floor_of_pupil(&lesson, 1, 0);
    later = floor_of_pupil(&lesson, 1, 600000);
    forgotten = floor_of_pupil(&lesson, 1, 999000);
    assert_true(taught >= untaught + 100 * MC_MIB);
    assert_true(later < taught && later > untaught);
    assert_true(forgotten < later);
}

static void a_taught_guest_is_not_shrunk_in_its_cooldown(void **state)
{
    struct mc_lesson lesson = {.learned = 64 * MC_MIB, .need = 900 * MC_MIB, .cooldown_ms = 60000};
    struct mc_sim_guest_config guest = host_guest("a", MC_GIB, 0);

    (void)state;
    memcpy(lesson.uuid, guest.uuid, sizeof(lesson.uuid));
    free(guest.working_set.points);
    assert_true(floor_of_pupil(&lesson, 1, 0) >= 890 * MC_MIB);
    assert_true(floor_of_pupil(&lesson, 0, 0) < 600 * MC_MIB);
}

/* The store may be read late: then the guest is there already. */
static void a_lesson_that_comes_late_is_taken_as_well(void **state)
{
    struct mc_lesson lesson = {.learned = 200 * MC_MIB, .need = MC_GIB, .cooldown_ms = 30000};
    struct mc_lesson found;
    struct host host;

    (void)state;
    open_pair(&host, false);
    memcpy(lesson.uuid, host.sim->guests[0].config.uuid, sizeof(lesson.uuid));
    assert_int_equal(mc_engine_teach(host.engine, &lesson, 1, host.now_ms), 0);
    found = lesson_of(&host);
    assert_int_equal(found.learned, lesson.learned);
    assert_int_equal(found.cooldown_ms, lesson.cooldown_ms);
    /* It does not take back what was learned since. */
    lesson.learned = 100 * MC_MIB;
    lesson.cooldown_ms = 1000;
    assert_int_equal(mc_engine_teach(host.engine, &lesson, 1, host.now_ms), 0);
    assert_int_equal(lesson_of(&host).learned, found.learned);
    assert_int_equal(lesson_of(&host).cooldown_ms, found.cooldown_ms);
    host_close(&host);
}

/* Of 5 % of what a large guest uses, 128 MiB would be no more than it had already. */
static void trouble_doubles_the_margin_that_was_in_force(void **state)
{
    const struct mc_sim_guest_config guests[] = {host_guest("a", 8 * MC_GIB, 7 * MC_GIB)};
    struct mc_lesson lesson;
    struct host host;

    (void)state;
    host_open(&host, "shares", 8 * MC_GIB, guests, 1);
    host_run(&host, 30);
    host.cries = "a";
    host_tick(&host, 1000);
    assert_int_equal(mc_engine_lessons(host.engine, host.now_ms, &lesson, 1), 1);
    assert_in_range(lesson.learned, 7 * MC_GIB / 10, 8 * MC_GIB / 10);
    host_close(&host);
}

static void a_guest_that_went_keeps_what_it_learned(void **state)
{
    struct mc_lesson before, after;
    struct host host;

    (void)state;
    open_pair(&host, true);
    before = lesson_of(&host);
    while (host.snapshot.count > 1)
        host_tick(&host, 1000);
    after = lesson_of(&host);
    assert_true(after.learned > 0 && after.learned <= before.learned);
    for (int i = 0; i < 10; i++)
        host_tick(&host, 3600000);
    assert_int_equal(mc_engine_lessons(host.engine, host.now_ms, &after, 1), 0);
    host_close(&host);
}

/* Half in about 20 minutes, whatever the steps; the need only while it cools down. */
static void lessons_fade(void **state)
{
    const struct mc_lesson begun = {.learned = 512 * MC_MIB, .need = MC_GIB, .cooldown_ms = 60000};
    struct mc_lesson once = begun, often = begun;

    (void)state;
    mc_lesson_age(&once, 30000);
    assert_int_equal(once.learned, begun.learned);
    assert_int_equal(once.need, begun.need);
    assert_int_equal(once.cooldown_ms, 30000);
    once = begun;
    mc_lesson_age(&once, 60000 + 1200000);
    assert_int_equal(once.need, 0);
    assert_in_range(once.learned, 240 * MC_MIB, 270 * MC_MIB);
    for (int i = 0; i < 21; i++)
        mc_lesson_age(&often, 60000);
    assert_int_equal(often.learned, once.learned);
    mc_lesson_age(&once, UINT64_MAX);
    assert_int_equal(once.learned, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_trouble_teaches),
        cmocka_unit_test(another_engine_keeps_the_margin_that_was_taught),
        cmocka_unit_test(a_taught_guest_is_not_shrunk_in_its_cooldown),
        cmocka_unit_test(a_lesson_that_comes_late_is_taken_as_well),
        cmocka_unit_test(trouble_doubles_the_margin_that_was_in_force),
        cmocka_unit_test(a_guest_that_went_keeps_what_it_learned),
        cmocka_unit_test(lessons_fade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
