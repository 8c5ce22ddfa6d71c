/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Jobs that hang, and jobs that must not notice. */
#include "testing.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/thread.h>

#include "clock.h"
#include "lanes.h"

struct fixture {
    struct event_base *base;
    struct mc_hypervisor *hypervisor;
    struct lanes *lanes;
    char scenario[64];
};

struct trial {
    struct job job;
    atomic_bool *hang; /* the job comes back when this is false; NULL: at once */
    int answer;
    atomic_int *runs;
    int *done, *late;
};

static int run_trial(struct job *job, struct mc_session *session)
{
    struct trial *trial = (struct trial *)job;
    const struct timespec pause = {.tv_nsec = 1000000};

    (void)session;
    if (trial->runs)
        atomic_fetch_add(trial->runs, 1);
    while (trial->hang && atomic_load(trial->hang))
        nanosleep(&pause, NULL);
    return trial->answer;
}

static void trial_done(struct job *job)
{
    struct trial *trial = (struct trial *)job;

    ++*trial->done;
    free(trial);
}

static void trial_late(struct job *job)
{
    ++*((struct trial *)job)->late;
}

static struct trial *trial(int *done, int *late)
{
    struct trial *trial = calloc(1, sizeof(*trial));

    trial->job =
        (struct job){.run = run_trial, .done = trial_done, .late = trial_late, .within_ms = 50};
    trial->done = done;
    trial->late = late;
    return trial;
}

static int open_fixture(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    FILE *file;

    evthread_use_pthreads();
    snprintf(f->scenario, sizeof(f->scenario), "sim:/tmp/memctl-lanes-%d.json", (int)getpid());
    file = fopen(f->scenario + 4, "w");
    fputs("{\"host\": {\"memory\": \"1G\"}, \"guests\": []}", file);
    fclose(file);
    f->base = event_base_new();
    assert_int_equal(mc_hypervisor_open(f->scenario, &f->hypervisor, NULL), 0);
    f->lanes = lanes_new(f->base, f->hypervisor, 100);
    assert_non_null(f->lanes);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;

    assert_true(lanes_free(f->lanes));
    mc_hypervisor_free(f->hypervisor);
    event_base_free(f->base);
    unlink(f->scenario + 4);
    free(f);
    return 0;
}

/* Run the loop until the counter is there; a test that waits for ever is stopped by meson. */
static void wait_until(struct fixture *f, const int *counter, int wanted)
{
    while (*counter < wanted)
        event_base_loop(f->base, EVLOOP_ONCE);
}

static void runs_a_job_and_reports_it_on_the_loop(void **state)
{
    struct fixture *f = *state;
    int done = 0, late = 0;

    lanes_submit(f->lanes, &trial(&done, &late)->job);
    assert_int_equal(done, 0);
    wait_until(f, &done, 1);
    assert_int_equal(late, 0);
    assert_int_equal(lanes_stuck(f->lanes), 0);
}

static void a_hung_job_delays_nobody_and_is_taken_back(void **state)
{
    struct fixture *f = *state;
    atomic_bool hang = true;
    int hung_done = 0, hung_late = 0, done = 0, late = 0;

    for (int i = 0; i < 4; i++) {
        struct trial *hung = trial(&hung_done, &hung_late);

        hung->hang = &hang;
        lanes_submit(f->lanes, &hung->job);
    }
    wait_until(f, &hung_late, 4);
    assert_int_equal(lanes_stuck(f->lanes), 4);
    for (int i = 0; i < 20; i++)
        lanes_submit(f->lanes, &trial(&done, &late)->job);
    wait_until(f, &done, 20);
    assert_int_equal(late, 0);
    assert_int_equal(hung_done, 0);
    atomic_store(&hang, false);
    wait_until(f, &hung_done, 4);
    assert_int_equal(lanes_stuck(f->lanes), 0);
}

static void the_number_of_hung_jobs_is_bounded(void **state)
{
    struct fixture *f = *state;
    atomic_bool hang = true;
    atomic_int runs = 0;
    int done = 0, late = 0;

    for (int i = 0; i < 30; i++) {
        struct trial *hung = trial(&done, &late);

        hung->hang = &hang;
        hung->runs = &runs;
        lanes_submit(f->lanes, &hung->job);
    }
    wait_until(f, &late, 30);
    assert_in_range(atomic_load(&runs), 2, 10);
    atomic_store(&hang, false);
    wait_until(f, &done, 30);
}

/* All lanes that there may be at a time have a session; so whichever takes the next job has one. */
static void open_sessions(struct fixture *f, int *done, int *late)
{
    atomic_bool hang = true;
    atomic_int runs = 0;

    for (int i = 0; i < 2; i++) {
        struct trial *holding = trial(done, late);

        holding->hang = &hang;
        holding->runs = &runs;
        lanes_submit(f->lanes, &holding->job);
    }
    while (atomic_load(&runs) < 2)
        event_base_loop(f->base, EVLOOP_NONBLOCK);
    atomic_store(&hang, false);
    wait_until(f, done, 2);
}

static void a_lost_connection_is_tried_once_more(void **state)
{
    struct fixture *f = *state;
    atomic_int runs = 0;
    int done = 0, late = 0;
    struct trial *lost;

    open_sessions(f, &done, &late);
    lost = trial(&done, &late);
    lost->answer = -ENOTCONN;
    lost->runs = &runs;
    lanes_submit(f->lanes, &lost->job);
    wait_until(f, &done, 3);
    assert_int_equal(atomic_load(&runs), 2);
}

static unsigned threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    unsigned count = 0;

    assert_non_null(tasks);
    for (const struct dirent *task; (task = readdir(tasks)) != NULL;)
        count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

/* All at once: those that are quick need no more lanes than there are for work. */
static void quick_jobs_need_few_lanes(void **state)
{
    struct fixture *f = *state;
    unsigned before = threads();
    int done = 0, late = 0;

    for (int i = 0; i < 100; i++)
        lanes_submit(f->lanes, &trial(&done, &late)->job);
    assert_in_range(threads(), before, before + 2);
    wait_until(f, &done, 100);
}

/* Those that go first have lanes of their own, however many others hang. */
static void one_that_goes_first_is_not_held_up(void **state)
{
    struct fixture *f = *state;
    atomic_bool hang = true;
    int done = 0, late = 0, first_done = 0, first_late = 0;

    for (int i = 0; i < 30; i++) {
        struct trial *hung = trial(&done, &late);

        hung->hang = &hang;
        lanes_submit(f->lanes, &hung->job);
    }
    for (int i = 1; i <= 5; i++) {
        struct trial *first = trial(&first_done, &first_late);

        first->job.goes_first = true;
        lanes_submit(f->lanes, &first->job);
        wait_until(f, &first_done, i);
    }
    assert_int_equal(first_late, 0);
    assert_int_equal(done, 0);
    atomic_store(&hang, false);
    wait_until(f, &done, 30);
}

static void lanes_without_work_end_and_come_back(void **state)
{
    struct fixture *f = *state;
    const struct timespec pause = {.tv_nsec = 5000000};
    unsigned before = threads();

    for (int round = 0; round < 2; round++) {
        atomic_bool hang = true;
        int done = 0, late = 0;

        for (int i = 0; i < 4; i++) {
            struct trial *hung = trial(&done, &late);

            hung->hang = &hang;
            lanes_submit(f->lanes, &hung->job);
        }
        wait_until(f, &late, 4);
        assert_true(threads() >= before + 4);
        atomic_store(&hang, false);
        wait_until(f, &done, 4);
        while (threads() > before + 1)
            nanosleep(&pause, NULL);
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
        assert_int_equal(threads(), before + 1); /* the one with events stays */
    }
}

/* Submit it for so much later; returns the time that it is for. */
static uint64_t submit_later(struct fixture *f, struct trial *trial, unsigned ms)
{
    trial->job.at_ms = clock_now_ms() + ms;
    trial->job.again_ms = trial->job.at_ms + ms;
    lanes_submit(f->lanes, &trial->job);
    return trial->job.at_ms;
}

static void a_job_for_later_begins_at_its_time(void **state)
{
    struct fixture *f = *state;
    int done = 0, late = 0;

    for (int i = 1; i <= 5; i++) {
        uint64_t at = submit_later(f, trial(&done, &late), 40);

        wait_until(f, &done, i);
        assert_in_range(clock_now_ms(), at, at + 1000);
    }
    assert_int_equal(late, 0);
}

static void a_job_for_later_is_not_delayed_by_hung_ones(void **state)
{
    struct fixture *f = *state;
    atomic_bool hang = true;
    int done = 0, late = 0, hung_done = 0, hung_late = 0;
    uint64_t at;

    lanes_submit(f->lanes, &trial(&done, &late)->job);
    wait_until(f, &done, 1);
    at = submit_later(f, trial(&done, &late), 60);
    for (int i = 0; i < 4; i++) {
        struct trial *hung = trial(&hung_done, &hung_late);

        hung->hang = &hang;
        lanes_submit(f->lanes, &hung->job);
    }
    wait_until(f, &done, 2);
    assert_in_range(clock_now_ms(), at, at + 1000);
    assert_int_equal(late, 0);
    atomic_store(&hang, false);
    wait_until(f, &hung_done, 4);
}

static void a_job_for_later_can_be_hurried(void **state)
{
    struct fixture *f = *state;
    atomic_bool hang = true;
    atomic_int runs = 0;
    int done = 0, late = 0;
    struct trial *waiting = trial(&done, &late), *running;
    uint64_t now = clock_now_ms();

    submit_later(f, waiting, 60000);
    assert_true(lanes_hurry(&waiting->job, now + 50));
    assert_true(lanes_hurry(&waiting->job, now + 30000)); /* it keeps the earlier time */
    wait_until(f, &done, 1);
    assert_in_range(clock_now_ms(), now + 50, now + 1000);

    running = trial(&done, &late);
    running->hang = &hang;
    running->runs = &runs;
    lanes_submit(f->lanes, &running->job);
    while (!atomic_load(&runs))
        event_base_loop(f->base, EVLOOP_NONBLOCK);
    assert_false(lanes_hurry(&running->job, now));
    atomic_store(&hang, false);
    wait_until(f, &done, 2);
}

static void a_job_for_later_is_given_back_when_the_lanes_end(void **state)
{
    int done = 0, late = 0;
    struct fixture *f = *state;

    submit_later(f, trial(&done, &late), 60000);
    event_base_loop(f->base, EVLOOP_NONBLOCK);
    assert_int_equal(done, 0);
    assert_true(lanes_free(f->lanes));
    assert_int_equal(done, 1);
    f->lanes = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_for_later_begins_at_its_time, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(a_job_for_later_is_not_delayed_by_hung_ones, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(a_job_for_later_can_be_hurried, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(a_job_for_later_is_given_back_when_the_lanes_end,
                                        open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(runs_a_job_and_reports_it_on_the_loop, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(a_hung_job_delays_nobody_and_is_taken_back, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(the_number_of_hung_jobs_is_bounded, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(a_lost_connection_is_tried_once_more, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(quick_jobs_need_few_lanes, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(one_that_goes_first_is_not_held_up, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(lanes_without_work_end_and_come_back, open_fixture,
                                        close_fixture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
