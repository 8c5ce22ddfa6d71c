/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that are not as they should be, disks that take nothing, and others at the file. */
#include "store_scene.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void refuses_the_file_of_a_newer_version(void **state)
{
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store = scene_open(scene);
    struct mc_error err;

    assert_int_equal(mc_db_exec(store, "PRAGMA user_version = 99", &err), 0);
    mc_store_close(store);
    assert_int_equal(mc_store_open(scene->file, &config, &store, &err), -EPROTO);
    assert_non_null(strstr(err.text, "newer memctl"));
}

static void refuses_the_database_of_another_program(void **state)
{
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store;
    struct mc_error err;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(scene->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE theirs (x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(mc_store_open(scene->file, &config, &store, &err), -EPROTO);
    assert_non_null(strstr(err.text, "another program"));
}

static void overwrite(const char *file, off_t from, size_t length)
{
    int fd = open(file, O_WRONLY);
    char *junk = malloc(length);

    memset(junk, 0x5a, length);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, junk, length, from), (ssize_t)length);
    close(fd);
    free(junk);
}

static void tells_a_damaged_file_and_begins_anew_beside_it(void **state)
{
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store = scene_open(scene);
    struct mc_error err;
    char aside[128];

    mc_store_close(store);
    overwrite(scene->file, 0, 4096);
    assert_int_equal(mc_store_open(scene->file, &config, &store, &err), -EBADMSG);
    assert_int_equal(mc_store_set_aside(scene->file, &err), 0);
    snprintf(aside, sizeof(aside), "%s.damaged", scene->file);
    assert_int_equal(access(aside, F_OK), 0);
    mc_store_close(scene_open(scene));
}

static void tells_damage_that_comes_while_it_is_open(void **state)
{
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store = scene_open(scene);
    struct mc_batch batch = {.clock_ms = BEGIN};
    struct mc_point host = scene_point("", MC_TIER_MINUTE, BEGIN, 1, 1, 1);
    struct stat status;
    struct mc_error err = {0};
    int rc;

    mc_store_close(store); /* all is in the file itself */
    assert_int_equal(stat(scene->file, &status), 0);
    overwrite(scene->file, 4096, (size_t)status.st_size - 4096);
    rc = mc_store_open(scene->file, &config, &store, &err);
    mc_batch_add_point(&batch, &host);
    if (rc == 0) {
        rc = mc_store_write(store, &batch, &err);
        mc_store_close(store);
    }
    assert_int_equal(rc, -EBADMSG);
    mc_batch_free(&batch);
}

static void spoil_a_byte(const struct scene *scene, uint64_t *seed)
{
    struct stat status;
    uint64_t where;
    uint8_t byte = (uint8_t)scene_random(seed);
    int fd = open(scene->file, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    where = scene_random(seed) % (uint64_t)status.st_size;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)where), 1);
    close(fd);
}

/* With a few wrong bytes anywhere, each call works or fails with a sentence. */
static void no_damage_does_worse_than_fail(void **state)
{
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    uint64_t seed = 11;
    const char *cases = getenv("MEMCTL_TEST_CASES");
    unsigned long rounds = cases ? strtoul(cases, NULL, 10) : 150;
    unsigned failed = 0;

    for (unsigned long round = 0; round < rounds; round++) {
        struct mc_batch batch = {.clock_ms = BEGIN + 3 * HOUR};
        struct mc_store *store = scene_open(scene);
        struct mc_error err = {0};
        bool more;
        int rc;

        for (int i = 0; i < 40; i++) {
            enum mc_tier tier = i % 2 ? MC_TIER_MINUTE : MC_TIER_RAW;
            struct mc_point a =
                scene_point(GUEST_A, tier, BEGIN + i * MINUTE, 1, MC_GIB, 2 * MC_GIB);
            struct mc_point host = scene_point("", tier, BEGIN + i * MINUTE, 1, 1, 1);

            mc_batch_add_point(&batch, &a);
            mc_batch_add_point(&batch, &host);
        }
        assert_int_equal(mc_store_write(store, &batch, &err), 0);
        mc_store_close(store);
        for (uint64_t i = 0; i <= scene_random(&seed) % 32; i++)
            spoil_a_byte(scene, &seed);
        rc = mc_store_open(scene->file, &config, &store, &err);
        if (rc == 0) {
            struct mc_store_query query = {.tier = MC_TIER_MINUTE, .until_ms = INT64_MAX};
            struct mc_lesson *lessons = NULL;
            size_t count;

            rc = mc_store_points(store, &query, scene_next_page, &query, &err);
            rc |= mc_store_lessons(store, BEGIN, &lessons, &count, &err);
            rc |= mc_store_write(store, &batch, &err);
            rc |= mc_store_prune(store, BEGIN + 9 * DAY, &more, &err);
            free(lessons);
            mc_store_close(store);
        }
        assert_true(rc == 0 || err.text[0]);
        failed += rc != 0;
        mc_batch_free(&batch);
        unlink(scene->file);
    }
    print_message("# %u of %lu files were beyond use\n", failed, rounds);
    assert_true(failed > 0 || rounds < 20);
}

/* SQLite tells a limit of the process from a full disk, which is -ENOSPC. */
static void what_cannot_be_written_fails_with_a_sentence_and_heals(void **state)
{
    struct scene *scene = *state;
    int rc;
    struct mc_store *store = scene_open(scene);
    struct rlimit old, small;
    struct mc_batch batch = {.clock_ms = BEGIN};
    struct found *found;
    struct mc_error err;

    for (int i = 0; i < 2000; i++) {
        struct mc_point raw = scene_point("", MC_TIER_RAW, BEGIN + i, MC_GIB, MC_GIB, MC_GIB);

        mc_batch_add_point(&batch, &raw);
    }
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){.rlim_cur = 100 * 1024, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    rc = mc_store_write(store, &batch, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(rc, -EIO);
    assert_non_null(strstr(err.text, scene->file));
    assert_int_equal(mc_store_write(store, &batch, &err), 0);
    found = scene_find(store, "", MC_TIER_RAW);
    assert_int_equal(found->count, 2000);
    free(found);
    mc_batch_free(&batch);
    mc_store_close(store);
}

static void a_folder_that_cannot_be_written_is_told(void **state)
{
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store;
    struct mc_error err;

    (void)state;
    assert_int_equal(mc_store_open("/proc/memctl.db", &config, &store, &err), -EACCES);
    assert_non_null(strstr(err.text, "/proc/memctl.db"));
    assert_int_equal(mc_store_open("/nonexistent/a/b/memctl.db", &config, &store, &err), -EACCES);
}

static void only_one_writes_at_a_time(void **state)
{
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store = scene_open(scene), *second;
    struct mc_error err;

    assert_int_equal(mc_store_open(scene->file, &config, &second, &err), -EBUSY);
    assert_non_null(strstr(err.text, "another memctld"));
    mc_store_close(store);
    mc_store_close(scene_open(scene));
}

/* Waits to be told, locks the file, tells, and waits again. */
static int lock_when_told(const char *file, int in, int out)
{
    sqlite3 *db = NULL;
    char byte = 0;
    int rc = read(in, &byte, 1) != 1 || sqlite3_open(file, &db) != SQLITE_OK ||
             sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL) != SQLITE_OK ||
             write(out, &byte, 1) != 1 || read(in, &byte, 1) != 1;

    sqlite3_close(db);
    return rc;
}

static void a_lock_of_another_process_is_waited_for_and_then_told(void **state)
{
    struct scene *scene = *state;
    struct mc_store *store;
    struct mc_batch batch = {.clock_ms = BEGIN};
    struct mc_point host = scene_point("", MC_TIER_MINUTE, BEGIN, 1, 1, 1);
    int to_child[2], from_child[2], status;
    struct mc_error err;
    char byte = 0;
    pid_t child;

    assert_int_equal(pipe(to_child) | pipe(from_child), 0);
    child = fork();
    if (child == 0)
        _exit(lock_when_told(scene->file, to_child[0], from_child[1]));
    store = scene_open(scene);
    assert_int_equal(write(to_child[1], &byte, 1), 1);
    assert_int_equal(read(from_child[0], &byte, 1), 1);
    mc_batch_add_point(&batch, &host);
    assert_int_equal(mc_store_write(store, &batch, &err), -EBUSY);
    assert_int_equal(write(to_child[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(mc_store_write(store, &batch, &err), 0);
    mc_batch_free(&batch);
    mc_store_close(store);
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(from_child[i]);
    }
}

static void a_reader_sees_what_was_committed_and_changes_nothing(void **state)
{
    struct scene *scene = *state;
    struct mc_store *store = scene_open(scene), *reader;
    struct mc_batch batch = {.clock_ms = BEGIN};
    struct mc_point host = scene_point("", MC_TIER_MINUTE, BEGIN, 1, 1, 1);
    struct found *found;
    struct mc_error err;

    if (mc_store_open_to_read(scene->file, &reader, &err) < 0)
        fail_msg("%s", err.text);
    mc_batch_add_point(&batch, &host);
    scene_write(store, &batch);
    found = scene_find(reader, "", MC_TIER_MINUTE);
    assert_int_equal(found->count, 1);
    free(found);
    mc_batch_add_point(&batch, &host);
    assert_int_equal(mc_store_write(reader, &batch, &err), -EROFS);
    mc_batch_free(&batch);
    mc_store_close(reader);
    mc_store_close(store);
    assert_int_equal(mc_store_open_to_read("/nonexistent/db", &reader, &err), -ENOENT);
}

static void a_deadline_ends_a_long_question(void **state)
{
    struct scene *scene = *state;
    struct mc_store *store = scene_open(scene);
    int64_t number;
    struct mc_error err;

    mc_store_set_deadline(store, 50);
    assert_int_equal(mc_db_number(store,
                                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
                                  " SELECT count(*) FROM n",
                                  0, &number, &err),
                     -ETIMEDOUT);
    mc_store_set_deadline(store, 0);
    assert_int_equal(mc_db_number(store, "SELECT 5", 0, &number, &err), 0);
    assert_int_equal(number, 5);
    mc_store_close(store);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scene_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refuses_the_file_of_a_newer_version),
        TEST(refuses_the_database_of_another_program),
        TEST(tells_a_damaged_file_and_begins_anew_beside_it),
        TEST(tells_damage_that_comes_while_it_is_open),
        TEST(no_damage_does_worse_than_fail),
        TEST(what_cannot_be_written_fails_with_a_sentence_and_heals),
        TEST(a_folder_that_cannot_be_written_is_told),
        TEST(only_one_writes_at_a_time),
        TEST(a_lock_of_another_process_is_waited_for_and_then_told),
        TEST(a_reader_sees_what_was_committed_and_changes_nothing),
        TEST(a_deadline_ends_a_long_question),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
