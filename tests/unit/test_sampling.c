/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's thread that looks at guests, with a folder in place of the kernel's files. */
#include "testing.h"

#include <string.h>
#include <unistd.h>

#include <memctl/units.h>

#include "clock.h"
#include "fake_kernel.h"
#include "log.h"
#include "sampling.h"

#define WAIT_MS 10000

static const struct sampling_config quick = {.on = true, .window_ms = 20};

static struct mc_guest *add_guest(struct mc_snapshot *snapshot, const char *uuid)
{
    struct mc_guest *guest = mc_snapshot_add(snapshot);

    strcpy(guest->uuid, uuid);
    guest->run_id = 1;
    guest->pid = 42;
    guest->actual = guest->memory = MC_GIB;
    guest->rss = 900 * MC_MIB;
    guest->overhead = 100 * MC_MIB;
    guest->ram[0] = (struct mc_ram){.address = FAKE_ADDRESS, .size = FAKE_PAGES * MC_PAGE};
    guest->ram_count = 1;
    return guest;
}

/* Until so many rounds are over. */
static struct sampling_state follow(struct sampling *sampling, struct mc_snapshot *snapshot,
                                    uint64_t rounds)
{
    uint64_t until = clock_now_ms() + WAIT_MS;
    struct sampling_state state;

    do {
        snapshot->now_ms = clock_now_ms();
        sampling_follow(sampling, snapshot);
        state = sampling_state(sampling);
        usleep(2000);
    } while (state.rounds < rounds && !*state.why && clock_now_ms() < until);
    sampling_follow(sampling, snapshot);
    return state;
}

static void looks_at_guests_whose_agent_does_not_know(void **state)
{
    struct mc_snapshot snapshot = {0};
    struct sampling_state how;
    struct sampling *sampling;
    struct mc_guest *guest;

    fake_make_page_idle(*state);
    add_guest(&snapshot, "a");
    guest = add_guest(&snapshot, "b");
    guest->agent.present = true;
    guest->agent.working_set.found_ms = UINT64_MAX / 2;
    sampling = sampling_start(&quick, ((struct fake_kernel *)*state)->root);
    how = follow(sampling, &snapshot, 3);
    assert_string_equal(how.method, "idle-page");
    assert_int_equal(how.subjects, 1);
    guest = &snapshot.guests[0];
    assert_string_equal(guest->sample.method, "idle-page");
    assert_int_equal(guest->sample.active, 0); /* nobody touches a file */
    assert_in_range(guest->sample.most, 1, 32 * MC_MIB);
    assert_int_equal(snapshot.guests[1].sample.found_ms, 0);
    sampling_stop(sampling);
    mc_snapshot_free(&snapshot);
}

static void a_new_run_has_nothing_of_the_old_one(void **state)
{
    struct mc_snapshot snapshot = {0};
    struct sampling *sampling;

    fake_make_page_idle(*state);
    add_guest(&snapshot, "a");
    sampling = sampling_start(&quick, ((struct fake_kernel *)*state)->root);
    follow(sampling, &snapshot, 1);
    assert_true(snapshot.guests[0].sample.found_ms > 0);
    snapshot.guests[0].run_id = 2;
    snapshot.guests[0].sample = (struct mc_host_sample){0};
    sampling_follow(sampling, &snapshot);
    assert_int_equal(snapshot.guests[0].sample.found_ms, 0);
    sampling_stop(sampling);
    mc_snapshot_free(&snapshot);
}

static void says_why_it_cannot(void **state)
{
    struct mc_snapshot snapshot = {0};
    struct sampling *sampling = sampling_start(&quick, ((struct fake_kernel *)*state)->root);
    struct sampling_state how;

    add_guest(&snapshot, "a");
    how = follow(sampling, &snapshot, 1);
    assert_non_null(strstr(how.why, "this kernel does not have it"));
    assert_string_equal(how.method, "");
    sampling_stop(sampling);
    mc_snapshot_free(&snapshot);
}

static void does_nothing_when_it_is_off(void **state)
{
    const struct sampling_config off = {.window_ms = 20};
    struct mc_snapshot snapshot = {0};
    struct sampling *sampling;

    fake_make_page_idle(*state);
    add_guest(&snapshot, "a");
    sampling = sampling_start(&off, ((struct fake_kernel *)*state)->root);
    for (unsigned i = 0; i < 10; i++) {
        sampling_follow(sampling, &snapshot);
        usleep(5000);
    }
    assert_int_equal(sampling_state(sampling).rounds, 0);
    assert_int_equal(snapshot.guests[0].sample.found_ms, 0);
    sampling_stop(sampling);
    mc_snapshot_free(&snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(looks_at_guests_whose_agent_does_not_know, fake_begin,
                                        fake_end),
        cmocka_unit_test_setup_teardown(a_new_run_has_nothing_of_the_old_one, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(says_why_it_cannot, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(does_nothing_when_it_is_off, fake_begin, fake_end),
    };

    log_open(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
