/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "testing.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypervisor/domain_cache.h"

#define MANY 3000

static const struct mc_domain_description description = {
    .stats_period_s = 2,
    .agent_socket = "/x",
    .backends = {MC_GIB},
    .backend_count = 1,
};

static int set_up(void **state)
{
    struct mc_domain_cache *cache = malloc(sizeof(*cache));

    assert_non_null(cache);
    mc_cache_init(cache);
    *state = cache;
    return 0;
}

static int tear_down(void **state)
{
    mc_cache_free(*state);
    free(*state);
    return 0;
}

static struct mc_guest apply_rss(struct mc_domain_cache *cache, const char *uuid, uint64_t rss)
{
    struct mc_guest guest = {.rss = rss};

    snprintf(guest.uuid, sizeof(guest.uuid), "%s", uuid);
    mc_cache_apply(cache, &guest);
    return guest;
}

static struct mc_guest apply(struct mc_domain_cache *cache, const char *uuid)
{
    return apply_rss(cache, uuid, MC_UNKNOWN);
}

/* In an order of its own, so that entries are put in before, between and behind others. */
static const char *name_of(unsigned i)
{
    static char name[MC_UUID_TEXT];

    snprintf(name, sizeof(name), "%04u", i * 1009 % MANY);
    return name;
}

static void an_unknown_guest_is_exempt(void **state)
{
    struct mc_domain_cache *cache = *state;

    assert_int_equal(apply(cache, "a").exempt, MC_EXEMPT_NOT_RUNNING);
    assert_true(mc_cache_see(cache, "a", 1, 0));
    assert_int_equal(apply(cache, "a").exempt, MC_EXEMPT_NOT_RUNNING);
    assert_false(apply(cache, "a").known);
}

static void finds_each_of_many_guests(void **state)
{
    struct mc_domain_cache *cache = *state;

    for (unsigned i = 0; i < MANY; i++)
        assert_true(mc_cache_see(cache, name_of(i), 1, 0));
    for (unsigned i = 0; i < MANY; i++)
        mc_cache_keep(cache, name_of(i), 1, &description, (pid_t)i + 1, 0);
    for (unsigned i = 0; i < MANY; i++) {
        assert_false(mc_cache_see(cache, name_of(i), 1, 1));
        assert_int_equal(apply(cache, name_of(i)).pid, i + 1);
    }
}

static void reads_again_after_a_change_another_run_and_a_while(void **state)
{
    struct mc_domain_cache *cache = *state;

    mc_cache_see(cache, "a", 1, 0);
    mc_cache_keep(cache, "a", 1, &description, 7, 0);
    assert_int_equal(apply(cache, "a").stats_period_s, 2);
    mc_cache_mark_changed(cache, "a");
    assert_true(mc_cache_see(cache, "a", 1, 1));
    assert_true(apply(cache, "a").known); /* the old one serves meanwhile */
    assert_false(mc_cache_see(cache, "a", 1, 2));
    assert_true(mc_cache_see(cache, "a", 1, 700000));
    assert_true(mc_cache_see(cache, "a", 2, 700001));
    assert_false(apply(cache, "a").known);
}

static void reads_again_what_is_doubted_now_and_then(void **state)
{
    struct mc_domain_cache *cache = *state;

    mc_cache_see(cache, "a", 1, 0);
    mc_cache_keep(cache, "a", 1, &description, 7, 0);
    mc_cache_doubt(cache, "a", 5000);
    assert_false(mc_cache_see(cache, "a", 1, 5000));
    mc_cache_doubt(cache, "a", 25000);
    assert_true(mc_cache_see(cache, "a", 1, 25000));
    mc_cache_keep(cache, "a", 1, &description, 7, 25000);
    mc_cache_doubt(cache, "a", 30000);
    assert_false(mc_cache_see(cache, "a", 1, 30000));
}

static void keeps_what_a_newer_snapshot_saw(void **state)
{
    struct mc_domain_cache *cache = *state;

    mc_cache_see(cache, "a", 1, 100);
    mc_cache_keep(cache, "a", 1, &description, 7, 100);
    mc_cache_see(cache, "b", 2, 200);
    mc_cache_keep(cache, "b", 2, &description, 8, 200);
    mc_cache_forget(cache, 100); /* of the snapshot that was overtaken */
    assert_true(apply(cache, "a").known && apply(cache, "b").known);
    mc_cache_forget(cache, 200);
    assert_false(apply(cache, "a").known);
    assert_true(apply(cache, "b").known);
}

static void measures_the_one_that_waits_for_longest(void **state)
{
    struct mc_domain_cache *cache = *state;
    const struct mc_qemu_memory memory = {
        .overhead = 5 * MC_MIB, .ram = {{.address = 0x1000, .size = MC_GIB}}, .ram_count = 1};
    struct mc_overhead_due due;

    assert_false(mc_cache_overhead_due(cache, 0, &due));
    for (unsigned i = 0; i < 3; i++) {
        const char *name = (const char *[]){"a", "b", "c"}[i];

        mc_cache_see(cache, name, 1, 0);
        mc_cache_keep(cache, name, 1, &description, (pid_t)i + 1, 0);
    }
    for (unsigned i = 0; i < 3; i++)
        apply_rss(cache, (const char *[]){"a", "b", "c"}[i], 0);
    for (unsigned now = 10; now < 13; now++) {
        assert_true(mc_cache_overhead_due(cache, now, &due));
        assert_int_equal(due.pid, now - 9);
        assert_int_equal(due.backends[0], MC_GIB);
    }
    assert_false(mc_cache_overhead_due(cache, 5000, &due)); /* nothing has changed */
    for (unsigned i = 0; i < 3; i++)
        apply_rss(cache, (const char *[]){"a", "b", "c"}[i], 2 * MC_MIB);
    assert_false(mc_cache_overhead_due(cache, 13, &due));
    /* All are late now, and no later one of "a" comes before the first of the others. */
    for (unsigned now = 5000; now < 5003; now++) {
        assert_true(mc_cache_overhead_due(cache, now, &due));
        assert_int_equal(due.pid, now - 4999);
    }
    assert_true(mc_cache_overhead_due(cache, 400000, &due)); /* nothing has changed, but long ago */
    mc_cache_set_overhead(cache, "b", &memory);
    assert_int_equal(apply(cache, "b").overhead, 5 * MC_MIB);
    assert_int_equal(apply(cache, "b").ram[0].address, 0x1000);
}

static void what_was_stored_holds_at_once(void **state)
{
    const struct mc_settings own = {.present = 1U << MC_SETTING_SHARES, .shares = 5};
    struct mc_domain_cache *cache = *state;

    mc_cache_see(cache, "a", 1, 0);
    mc_cache_keep(cache, "a", 1, &description, 7, 0);
    mc_cache_set_own(cache, "a", &own);
    mc_cache_set_own(cache, "nobody", &own);
    mc_cache_set_stats_period(cache, "a", 9);
    assert_int_equal(apply(cache, "a").own.shares, 5);
    assert_int_equal(apply(cache, "a").stats_period_s, 9);
}

static void a_copy_holds_until_a_look_that_is_newer_than_its_event(void **state)
{
    struct mc_domain_cache *cache = *state;
    unsigned before, after;

    mc_cache_see(cache, "a", 1, 0);
    mc_cache_keep(cache, "a", 1, &description, 7, 0);
    assert_false(mc_cache_is_copied(cache, "a", &before));
    mc_cache_copy_begins(cache, "a");
    mc_cache_set_copied(cache, "a", false, before);
    assert_true(mc_cache_is_copied(cache, "a", &after));
    assert_int_equal(apply(cache, "a").exempt, MC_EXEMPT_MIGRATING);
    mc_cache_set_copied(cache, "a", false, after);
    assert_false(mc_cache_is_copied(cache, "a", &after));
    assert_int_equal(apply(cache, "a").exempt, MC_EXEMPT_NO);
}

/* While the guests cannot be listed, those are asked for that are known. */
static void an_expected_guest_is_known_until_it_was_not_seen(void **state)
{
    struct mc_known_guest *known;
    size_t count;

    mc_cache_expect(*state, "new");
    assert_int_equal(mc_cache_known(*state, &known, &count), 0);
    assert_int_equal(count, 1);
    assert_string_equal(known[0].uuid, "new");
    assert_int_equal(known[0].run_id, -1);
    free(known);
    mc_cache_forget(*state, 1000); /* of a snapshot that may have begun before the event */
    mc_cache_forget(*state, 2000);
    assert_int_equal(mc_cache_known(*state, &known, &count), 0);
    assert_int_equal(count, 0);
    free(known);
}

static void a_known_guest_is_what_it_was_when_it_was_seen_last(void **state)
{
    struct mc_guest guest = {.uuid = "a", .name = "web", .memory = MC_GIB, .actual = MC_MIB};
    struct mc_known_guest *known;
    size_t count;

    mc_cache_see(*state, "a", 7, 1000);
    mc_cache_apply(*state, &guest);
    mc_cache_expect(*state, "a"); /* an event that came late */
    assert_int_equal(mc_cache_known(*state, &known, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(known[0].run_id, 7);
    assert_string_equal(known[0].name, "web");
    assert_int_equal(known[0].memory, MC_GIB);
    assert_int_equal(known[0].actual, MC_MIB);
    free(known);
}

static enum mc_qemu_state process_of_a(struct mc_domain_cache *cache)
{
    enum mc_qemu_state process;
    struct mc_known_guest *known;
    size_t count;

    assert_int_equal(mc_cache_known(cache, &known, &count), 0);
    assert_int_equal(count, 1);
    process = known[0].process;
    free(known);
    return process;
}

/* A guest that begins to run anew has another QEMU; that of the earlier run says nothing of it. */
static void a_known_guest_is_stopped_while_its_process_is(void **state)
{
    pid_t pid = fork();

    if (pid == 0) {
        pause();
        _exit(0);
    }
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    mc_cache_see(*state, "a", 1, 1000);
    assert_int_equal(process_of_a(*state), MC_QEMU_ABLE);
    mc_cache_keep(*state, "a", 1, &description, pid, 1000);
    assert_int_equal(process_of_a(*state), MC_QEMU_STOPPED);
    mc_cache_see(*state, "a", 2, 2000);
    assert_int_equal(process_of_a(*state), MC_QEMU_ABLE);
    mc_cache_keep(*state, "a", 2, &description, pid, 2000);
    assert_int_equal(process_of_a(*state), MC_QEMU_STOPPED);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(process_of_a(*state), MC_QEMU_ABLE);
}

static void one_lookup_at_a_time(void **state)
{
    assert_false(mc_cache_begin_lookup(*state, "a")); /* nobody knows it */
    mc_cache_see(*state, "a", 1, 1000);
    assert_true(mc_cache_begin_lookup(*state, "a"));
    assert_false(mc_cache_begin_lookup(*state, "a"));
    mc_cache_see(*state, "a", 2, 2000); /* it began to run anew, and somebody still waits */
    assert_false(mc_cache_begin_lookup(*state, "a"));
    mc_cache_end_lookup(*state, "a");
    assert_true(mc_cache_begin_lookup(*state, "a"));
}

static uint64_t size_at(struct mc_domain_cache *cache, uint64_t now_ms, uint64_t event)
{
    struct mc_guest guest = {.uuid = "a", .memory = 768 * MC_MIB, .actual = event};

    mc_cache_see(cache, "a", 1, now_ms);
    mc_cache_apply(cache, &guest);
    return guest.actual;
}

/* QEMU is asked for some seconds after a command, and its word stands until events are as new. */
static void what_qemu_said_stands_until_events_caught_up(void **state)
{
    struct mc_domain_cache *cache = *state;

    mc_cache_see(cache, "a", 1, 1000);
    mc_cache_keep(cache, "a", 1, &description, 7, 1000);
    assert_false(mc_cache_is_under_way(cache, "a"));
    assert_int_equal(mc_cache_told(cache, "a"), 0);
    assert_true(mc_cache_is_under_way(cache, "a"));
    assert_int_equal(mc_cache_set_size(cache, "a", 300 * MC_MIB, 1200), 300 * MC_MIB);
    assert_int_equal(size_at(cache, 2000, 400 * MC_MIB), 300 * MC_MIB);
    assert_int_equal(size_at(cache, 3000, 400 * MC_MIB), 400 * MC_MIB);
    assert_int_equal(size_at(cache, 3100, 0), 0);
    mc_cache_see(cache, "a", 1, 12000);
    assert_false(mc_cache_is_under_way(cache, "a"));
}

/* What a memctld before this one told a guest may still be on its way. */
static void a_guest_that_was_there_before_is_asked_for_its_size(void **state)
{
    struct mc_domain_cache *cache = *state;

    mc_cache_see(cache, "new", 1, 1000);
    mc_cache_keep(cache, "new", 1, &description, 7, 1000);
    mc_cache_set_age(cache, "new", 2000);
    assert_false(mc_cache_is_under_way(cache, "new"));
    mc_cache_see(cache, "old", 2, 1000);
    mc_cache_keep(cache, "old", 2, &description, 8, 1000);
    mc_cache_set_age(cache, "old", 3600000);
    assert_true(mc_cache_is_under_way(cache, "old"));
    mc_cache_see(cache, "old", 2, 12000);
    mc_cache_keep(cache, "old", 2, &description, 8, 12000); /* its description changed */
    mc_cache_set_age(cache, "old", 3611000);
    assert_false(mc_cache_is_under_way(cache, "old"));
}

/* An event can be late by more than that on a busy host. */
static void what_qemu_said_stands_while_no_event_comes(void **state)
{
    struct mc_domain_cache *cache = *state;

    mc_cache_see(cache, "a", 1, 1000);
    mc_cache_keep(cache, "a", 1, &description, 7, 1000);
    assert_int_equal(size_at(cache, 1100, 500 * MC_MIB), 500 * MC_MIB);
    mc_cache_set_size(cache, "a", 300 * MC_MIB, 1200);
    assert_int_equal(size_at(cache, 9000, 500 * MC_MIB), 300 * MC_MIB);
    assert_int_equal(size_at(cache, 9100, 310 * MC_MIB), 310 * MC_MIB);
    assert_int_equal(size_at(cache, 9200, 500 * MC_MIB), 500 * MC_MIB);
}

/* libvirt counts what is plugged in, and the maximum all that could be; QEMU's balloon neither. */
static void what_is_plugged_in_is_memory_of_the_guest(void **state)
{
    struct mc_domain_cache *cache = *state;
    struct mc_domain_description plugged = description;
    struct mc_guest guest = {.uuid = "a", .memory = 768 * MC_MIB, .actual = 384 * MC_MIB};

    plugged.pluggable = 512 * MC_MIB;
    plugged.plugged = 128 * MC_MIB;
    mc_cache_see(cache, "a", 1, 1000);
    mc_cache_keep(cache, "a", 1, &plugged, 7, 1000);
    assert_true(mc_cache_is_replugged(cache, &guest));
    mc_cache_apply(cache, &guest);
    assert_int_equal(guest.memory, 384 * MC_MIB);
    assert_int_equal(guest.actual, 384 * MC_MIB);
    assert_false(mc_cache_is_replugged(cache, &guest));
    assert_int_equal(mc_cache_told(cache, "a"), 128 * MC_MIB);
    assert_int_equal(mc_cache_set_size(cache, "a", 200 * MC_MIB, 1200), 328 * MC_MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_unknown_guest_is_exempt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_each_of_many_guests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_again_after_a_change_another_run_and_a_while, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(reads_again_what_is_doubted_now_and_then, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(keeps_what_a_newer_snapshot_saw, set_up, tear_down),
        cmocka_unit_test_setup_teardown(measures_the_one_that_waits_for_longest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_stored_holds_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_copy_holds_until_a_look_that_is_newer_than_its_event,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_expected_guest_is_known_until_it_was_not_seen, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_known_guest_is_what_it_was_when_it_was_seen_last, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_known_guest_is_stopped_while_its_process_is, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_lookup_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_qemu_said_stands_until_events_caught_up, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_guest_that_was_there_before_is_asked_for_its_size, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_qemu_said_stands_while_no_event_comes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_plugged_in_is_memory_of_the_guest, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
