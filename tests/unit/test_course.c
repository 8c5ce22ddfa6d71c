/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The history at even steps, as charts want it; and one guest's rows among those of others. */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memctl/store.h>

#define MINUTE INT64_C(60000)
#define HOUR INT64_C(3600000)
#define BEGIN (INT64_C(1700000000000) / (24 * HOUR) * (24 * HOUR))

#define GUESTS 7

struct scene {
    char folder[64], file[96];
    struct mc_store *store;
};

static int set_up(void **state)
{
    struct mc_store_config config = mc_store_config_default();
    struct scene *scene = calloc(1, sizeof(*scene));
    struct mc_error err;

    strcpy(scene->folder, "/tmp/memctl-course-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->file, sizeof(scene->file), "%s/db", scene->folder);
    if (mc_store_open(scene->file, &config, &scene->store, &err) < 0)
        fail_msg("%s", err.text);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    char path[128];

    mc_store_close(scene->store);
    unlink(scene->file);
    snprintf(path, sizeof(path), "%s.lock", scene->file);
    unlink(path);
    assert_int_equal(rmdir(scene->folder), 0);
    free(scene);
    return 0;
}

static const char *uuid_of(unsigned guest)
{
    static char uuid[MC_UUID_TEXT];

    snprintf(uuid, sizeof(uuid), "00000000-0000-0000-0000-%012u", guest);
    return uuid;
}

/* All values are the same, with a gigabyte more at the most; no guest: the host. */
static void add(struct scene *scene, unsigned guest, enum mc_tier tier, int64_t at_ms, uint64_t mib)
{
    struct mc_point made = {.tier = tier, .at_ms = at_ms, .span_ms = mc_tier_span_ms(tier)};
    uint64_t most = (mib + 1024) * MC_MIB;
    struct mc_batch batch = {.clock_ms = BEGIN};
    struct mc_error err;

    if (guest)
        strcpy(made.uuid, uuid_of(guest));
    for (size_t i = 0; i < MC_HOST_VALUES; i++)
        made.values[i] = (struct mc_range){mib * MC_MIB, mib * MC_MIB, most};
    made.values[MC_VALUE_STALL] = (struct mc_range){MC_UNKNOWN, MC_UNKNOWN, MC_UNKNOWN};
    mc_batch_add_point(&batch, &made);
    if (mc_store_write(scene->store, &batch, &err) < 0)
        fail_msg("%s", err.text);
    mc_batch_free(&batch);
}

static struct mc_course course_of(struct scene *scene, unsigned guest, int64_t since_ms,
                                  int64_t until_ms, int64_t step_ms)
{
    struct mc_course course;
    struct mc_error err;

    if (mc_store_course(scene->store, guest ? uuid_of(guest) : "", since_ms, until_ms,
                        (uint64_t)step_ms, &course, &err) < 0)
        fail_msg("%s", err.text);
    return course;
}

/* Of what is used, in MiB; -1 where nothing is known. */
static int64_t used_at(const struct mc_course *course, size_t step)
{
    uint64_t value = course->values[MC_VALUE_USED * course->count + step];

    return value == MC_UNKNOWN ? -1 : (int64_t)(value / MC_MIB);
}

static void a_raw_row_counts_until_the_next_one(void **state)
{
    struct scene *scene = *state;
    struct mc_course course;

    add(scene, 1, MC_TIER_RAW, BEGIN, 100);
    add(scene, 1, MC_TIER_RAW, BEGIN + 15000, 200);
    course = course_of(scene, 1, BEGIN - 3000, BEGIN + 100000, 10000);
    assert_int_equal(course.first_ms, BEGIN - 10000); /* steps begin at even moments */
    assert_int_equal(course.count, 11);
    assert_int_equal(course.columns, MC_GUEST_VALUES);
    assert_int_equal(used_at(&course, 0), -1);
    assert_int_equal(used_at(&course, 1), 100);
    assert_int_equal(used_at(&course, 2), 150); /* half of the step each */
    assert_int_equal(used_at(&course, 3), 200);
    /* The last one counts for 75 s: up to 90 s after the beginning. */
    assert_int_equal(used_at(&course, 9), 200);
    assert_int_equal(used_at(&course, 10), -1);
    assert_int_equal(course.values[MC_VALUE_STALL * course.count + 2], MC_UNKNOWN);
    mc_course_free(&course);
}

static void a_row_from_before_reaches_into_the_first_step(void **state)
{
    struct scene *scene = *state;
    struct mc_course course;

    add(scene, 1, MC_TIER_RAW, BEGIN, 100);
    course = course_of(scene, 1, BEGIN + 60000, BEGIN + 90000, 10000);
    assert_int_equal(used_at(&course, 0), 100);
    assert_int_equal(used_at(&course, 1), 100);
    assert_int_equal(used_at(&course, 2), -1);
    mc_course_free(&course);
}

static void what_is_too_young_for_a_tier_comes_from_finer_ones(void **state)
{
    struct scene *scene = *state;
    struct mc_course course;

    add(scene, 0, MC_TIER_HOUR, BEGIN, 100);
    for (int i = 0; i < 70; i++) /* ten of them belong to the hour that is there already */
        add(scene, 0, MC_TIER_MINUTE, BEGIN + (50 + i) * MINUTE, 200);
    add(scene, 0, MC_TIER_RAW, BEGIN + 119 * MINUTE, 999); /* is in the last minute as well */
    add(scene, 0, MC_TIER_RAW, BEGIN + 2 * HOUR, 300);
    course = course_of(scene, 0, BEGIN, BEGIN + 2 * HOUR + MINUTE, HOUR);
    assert_int_equal(course.columns, MC_HOST_VALUES);
    assert_int_equal(course.count, 3);
    assert_int_equal(used_at(&course, 0), 100);
    assert_int_equal(used_at(&course, 1), 200);
    assert_int_equal(used_at(&course, 2), 300);
    mc_course_free(&course);
}

static void what_is_too_old_for_a_tier_comes_from_coarser_ones(void **state)
{
    struct scene *scene = *state;
    struct mc_course course;

    add(scene, 1, MC_TIER_HOUR, BEGIN, 100);
    for (int i = 30; i < 60; i++)
        add(scene, 1, MC_TIER_MINUTE, BEGIN + i * MINUTE, 200);
    course = course_of(scene, 1, BEGIN, BEGIN + HOUR, 10 * MINUTE);
    for (size_t i = 0; i < course.count; i++)
        assert_int_equal(used_at(&course, i), i < 3 ? 100 : 200);
    mc_course_free(&course);
}

static void a_guest_that_nobody_knows_is_told(void **state)
{
    struct scene *scene = *state;
    struct mc_course course;
    struct mc_error err;

    assert_int_equal(
        mc_store_course(scene->store, uuid_of(1), BEGIN, BEGIN + HOUR, MINUTE, &course, &err),
        -ENOENT);
    course = course_of(scene, 0, BEGIN, BEGIN + HOUR, MINUTE);
    for (size_t i = 0; i < course.count; i++)
        assert_int_equal(used_at(&course, i), -1);
    mc_course_free(&course);
}

/* ---- one of many ---- */

struct found {
    int64_t at_ms[256];
    size_t count;
    const char *only; /* count rows of this guest alone */
    struct mc_store_query *query;
};

static bool keep(void *opaque, int64_t id, const struct mc_point *point)
{
    struct found *found = opaque;

    if (strcmp(point->uuid, found->only) == 0)
        found->at_ms[found->count++] = point->at_ms;
    if (found->query) {
        found->query->after_ms = point->at_ms;
        found->query->after_id = id;
    }
    return true;
}

static struct found rows_of(struct scene *scene, const char *guest, const char *only, size_t limit)
{
    struct mc_store_query query = {.guest = guest,
                                   .tier = MC_TIER_RAW,
                                   .since_ms = BEGIN + 3,
                                   .until_ms = BEGIN + 90,
                                   .limit = limit};
    struct found found = {.only = only, .query = limit ? &query : NULL};
    struct mc_error err;
    size_t before;

    do {
        before = found.count;
        assert_int_equal(mc_store_points(scene->store, &query, keep, &found, &err), 0);
    } while (limit && found.count > before);
    return found;
}

static void one_guests_rows_are_those_of_all_without_the_others(void **state)
{
    struct scene *scene = *state;

    for (unsigned i = 0; i < 100; i++)
        for (unsigned guest = 1; guest <= GUESTS; guest++)
            if ((i * 7 + guest * 13) % 5 < guest % 4 + 1U)
                add(scene, guest, MC_TIER_RAW, BEGIN + i, 1);
    for (unsigned guest = 1; guest <= GUESTS; guest++) {
        const char *uuid = uuid_of(guest);
        struct found all = rows_of(scene, NULL, uuid, 0), one = rows_of(scene, uuid, uuid, 0);
        struct found paged = rows_of(scene, uuid, uuid, 4);

        assert_true(all.count > 10);
        assert_int_equal(one.count, all.count);
        assert_int_equal(paged.count, all.count);
        assert_memory_equal(one.at_ms, all.at_ms, sizeof(*all.at_ms) * all.count);
        assert_memory_equal(paged.at_ms, all.at_ms, sizeof(*all.at_ms) * all.count);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_raw_row_counts_until_the_next_one),
        TEST(a_row_from_before_reaches_into_the_first_step),
        TEST(what_is_too_young_for_a_tier_comes_from_finer_ones),
        TEST(what_is_too_old_for_a_tier_comes_from_coarser_ones),
        TEST(a_guest_that_nobody_knows_is_told),
        TEST(one_guests_rows_are_those_of_all_without_the_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
