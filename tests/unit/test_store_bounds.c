/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How large the history's file becomes, and what goes first. */
#include "store_scene.h"

#include <errno.h>
#include <stdlib.h>

static void what_is_too_old_goes(void **state)
{
    struct mc_store *store = scene_open(*state);
    struct found *found;

    for (int day = 0; day < 40; day++) {
        struct mc_batch batch = {.clock_ms = BEGIN + day * DAY};
        struct mc_point raw = scene_point("", MC_TIER_RAW, BEGIN + day * DAY, 1, 1, 1);
        struct mc_point minute = scene_point("", MC_TIER_MINUTE, BEGIN + day * DAY, 1, 1, 1);

        mc_batch_add_point(&batch, &raw);
        mc_batch_add_point(&batch, &minute);
        scene_write(store, &batch);
    }
    scene_prune(store, BEGIN + 39 * DAY + HOUR);
    found = scene_find(store, "", MC_TIER_RAW);
    assert_int_equal(found->count, 1);
    free(found);
    found = scene_find(store, "", MC_TIER_MINUTE);
    assert_int_equal(found->count, 31);
    assert_int_equal(found->points[0].at_ms, BEGIN + 9 * DAY);
    free(found);
    found = scene_find(store, "", MC_TIER_HOUR);
    assert_int_equal(found->count, 39);
    free(found);
    mc_store_close(store);
}

/* Rows of so many guests every quarter of an hour, pruned as they come. */
static void fill(struct mc_store *store, int quarters, int raw_rows, int minute_rows)
{
    for (int i = 0; i < quarters; i++) {
        struct mc_batch batch = {.clock_ms = BEGIN + i * 15 * MINUTE};

        for (int k = 0; k < raw_rows + minute_rows; k++) {
            struct mc_point made =
                scene_point("", k < raw_rows ? MC_TIER_RAW : MC_TIER_MINUTE,
                            BEGIN + i * 15 * MINUTE + k, MC_GIB, 2 * MC_GIB, 3 * MC_GIB);

            mc_batch_add_point(&batch, &made);
        }
        scene_write(store, &batch);
        scene_prune(store, BEGIN + (i + 1) * 15 * MINUTE);
    }
}

static void a_file_that_is_too_large_loses_its_oldest_raw_rows(void **state)
{
    enum { QUARTERS = 95 };
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store_facts facts;
    struct mc_store *store;
    struct found *found;
    struct mc_error err;

    config.size_max = MC_STORE_SIZE_LEAST;
    assert_int_equal(mc_store_open(scene->file, &config, &store, &err), 0);
    fill(store, 10, 900, 1);
    assert_int_equal(mc_store_facts(store, &facts, &err), 0);
    assert_int_equal(facts.shortened_ms, 0);
    fill(store, QUARTERS, 900, 1); /* 6 MB in all; the first ones take the place of those before */
    assert_int_equal(mc_store_facts(store, &facts, &err), 0);
    print_message("# %d KiB of %d\n", (int)(facts.size / MC_KIB), (int)(facts.size_max / MC_KIB));
    assert_true(facts.oldest_ms[MC_TIER_RAW] > BEGIN + HOUR);
    assert_true(facts.shortened_ms > BEGIN + HOUR);
    found = scene_find(store, "", MC_TIER_MINUTE);
    assert_int_equal(found->count, QUARTERS);
    free(found);
    mc_store_close(store);
    assert_int_equal(mc_store_open(scene->file, &config, &store, &err), 0);
    assert_int_equal(mc_store_facts(store, &facts, &err), 0);
    assert_true(facts.size <= MC_STORE_SIZE_LEAST + MC_MIB);
    mc_store_close(store);
}

/* Of what each may keep the same part is left, and hours as long as there is anything else. */
static void raw_rows_and_minutes_are_shortened_alike(void **state)
{
    enum { DAYS = 6 };
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store_facts facts;
    struct mc_store *store;
    int64_t raw, minutes;
    struct mc_error err;

    config.size_max = MC_STORE_SIZE_LEAST;
    assert_int_equal(mc_store_open(scene->file, &config, &store, &err), 0);
    fill(store, DAYS * 96, 800, 30);
    assert_int_equal(mc_store_facts(store, &facts, &err), 0);
    raw = BEGIN + DAYS * DAY - facts.oldest_ms[MC_TIER_RAW];
    minutes = BEGIN + DAYS * DAY - facts.oldest_ms[MC_TIER_MINUTE];
    print_message("# raw rows of %d minutes, minutes of %d hours\n", (int)(raw / MINUTE),
                  (int)(minutes / HOUR));
    assert_in_range(minutes * 100 / raw, 31 * 80, 31 * 120);
    assert_int_equal(facts.oldest_ms[MC_TIER_HOUR], BEGIN);
    mc_store_close(store);
}

static void a_file_at_its_wall_takes_no_more(void **state)
{
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store;
    struct mc_error err = {0};
    int rc = 0;

    config.size_max = MC_STORE_SIZE_LEAST;
    assert_int_equal(mc_store_open(scene->file, &config, &store, &err), 0);
    for (int i = 0; rc == 0 && i < 100; i++) {
        struct mc_batch batch = {.clock_ms = BEGIN};

        for (int k = 0; k < 2000; k++) {
            struct mc_point raw =
                scene_point("", MC_TIER_RAW, BEGIN + i * 2000 + k, MC_GIB, MC_GIB, MC_GIB);

            mc_batch_add_point(&batch, &raw);
        }
        rc = mc_store_write(store, &batch, &err);
        mc_batch_free(&batch);
    }
    assert_int_equal(rc, -ENOSPC);
    scene_prune(store, BEGIN + DAY);
    mc_store_close(store);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scene_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_too_old_goes),
        TEST(a_file_that_is_too_large_loses_its_oldest_raw_rows),
        TEST(raw_rows_and_minutes_are_shortened_alike),
        TEST(a_file_at_its_wall_takes_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
