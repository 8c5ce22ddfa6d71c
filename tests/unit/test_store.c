/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes in comes out, from a file of whatever version. */
#include "store_scene.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void gives_back_what_was_written(void **state)
{
    struct mc_store *store = scene_open(*state);
    struct mc_batch batch = {0};
    struct mc_point in =
        scene_point(GUEST_A, MC_TIER_MINUTE, BEGIN, MC_MIB, 2 * MC_MIB, 3 * MC_MIB);
    struct found *found;

    in.values[MC_VALUE_STALL] = (struct mc_range){1, 2, 3};
    in.values[MC_VALUE_USED] = (struct mc_range){MC_UNKNOWN, MC_UNKNOWN, MC_UNKNOWN};
    mc_batch_add_point(&batch, &in);
    scene_write(store, &batch);
    mc_store_close(store);
    store = scene_open(*state);
    found = scene_find(store, GUEST_A, MC_TIER_MINUTE);
    assert_int_equal(found->count, 1);
    assert_string_equal(found->points[0].uuid, GUEST_A);
    assert_int_equal(found->points[0].at_ms, BEGIN);
    assert_int_equal(found->points[0].span_ms, 60000);
    assert_memory_equal(found->points[0].values, in.values,
                        MC_GUEST_VALUES * sizeof(struct mc_range));
    free(found);
    mc_store_close(store);
}

static void one_minute_in_two_parts_is_one(void **state)
{
    struct mc_store *store = scene_open(*state);
    struct mc_batch batch = {0};
    struct mc_point first = scene_point("", MC_TIER_MINUTE, BEGIN, MC_MIB, 2 * MC_MIB, 3 * MC_MIB);
    struct mc_point second =
        scene_point("", MC_TIER_MINUTE, BEGIN, 4 * MC_MIB, 6 * MC_MIB, 6 * MC_MIB);
    struct mc_range *range;
    struct found *found;

    first.span_ms = 45000;
    second.span_ms = 15000;
    second.values[MC_VALUE_HELD] = (struct mc_range){MC_UNKNOWN, MC_UNKNOWN, MC_UNKNOWN};
    mc_batch_add_point(&batch, &first);
    mc_batch_add_point(&batch, &second);
    scene_write(store, &batch);
    found = scene_find(store, "", MC_TIER_MINUTE);
    assert_int_equal(found->count, 1);
    assert_int_equal(found->points[0].span_ms, 60000);
    range = &found->points[0].values[MC_VALUE_TOTAL];
    assert_int_equal(range->low, MC_MIB);
    assert_int_equal(range->avg, 3 * MC_MIB);
    assert_int_equal(range->high, 6 * MC_MIB);
    range = &found->points[0].values[MC_VALUE_HELD];
    assert_int_equal(range->avg, 2 * MC_MIB);
    assert_int_equal(range->high, 3 * MC_MIB);
    free(found);
    mc_store_close(store);
}

/* Minutes of two guests with gaps, and the hours that a slow model makes of them. */
static void hours_are_what_a_slow_model_says(void **state)
{
    enum { HOURS = 5, VALUE = MC_VALUE_ACTIVE };
    struct model {
        uint64_t low, high, span;
        unsigned __int128 weighed;
    } model[HOURS] = {0};
    struct mc_store *store = scene_open(*state);
    uint64_t seed = 7;
    struct found *found;

    for (int minute = 0; minute < HOURS * 60 + 1; minute++) {
        struct mc_batch batch = {.clock_ms = BEGIN + minute * MINUTE};
        uint64_t avg = (1000 + scene_random(&seed) % 9000) * MC_MIB;
        struct mc_point a = scene_point(GUEST_A, MC_TIER_MINUTE, BEGIN + minute * MINUTE,
                                        avg - MC_MIB * (scene_random(&seed) % 3), avg,
                                        avg + MC_MIB * (scene_random(&seed) % 3));
        struct mc_point host = scene_point("", MC_TIER_MINUTE, BEGIN + minute * MINUTE, 1, 1, 1);
        struct model *hour = &model[minute / 60 % HOURS];

        a.span_ms = 1 + scene_random(&seed) % 60000;
        mc_batch_add_point(&batch, &host);
        if (scene_random(&seed) % 4) {
            mc_batch_add_point(&batch, &a);
            if (minute < HOURS * 60) {
                const struct mc_range *range = &a.values[VALUE];

                hour->low = hour->span ? mc_min_u64(hour->low, range->low) : range->low;
                hour->high = mc_max_u64(hour->high, range->high);
                hour->weighed += (unsigned __int128)range->avg * a.span_ms;
                hour->span += a.span_ms;
            }
        }
        scene_write(store, &batch);
    }
    found = scene_find(store, GUEST_A, MC_TIER_HOUR);
    assert_int_equal(found->count, HOURS);
    for (int hour = 0; hour < HOURS; hour++) {
        const struct mc_range *range = &found->points[hour].values[VALUE];

        assert_int_equal(found->points[hour].at_ms, BEGIN + hour * HOUR);
        assert_int_equal(found->points[hour].span_ms, model[hour].span);
        assert_int_equal(range->low, model[hour].low);
        assert_int_equal(range->high, model[hour].high);
        assert_int_equal(range->avg / MC_KIB,
                         (uint64_t)(model[hour].weighed / model[hour].span) / MC_KIB);
    }
    free(found);
    mc_store_close(store);
}

static void hours_that_ended_while_nobody_wrote_are_made_later(void **state)
{
    struct mc_store *store = scene_open(*state);
    struct mc_batch batch = {.clock_ms = BEGIN + 59 * MINUTE};
    struct mc_point host = scene_point("", MC_TIER_MINUTE, BEGIN + 5 * MINUTE, 1, 1, 1);
    struct found *found;

    mc_batch_add_point(&batch, &host);
    scene_write(store, &batch);
    found = scene_find(store, "", MC_TIER_HOUR);
    assert_int_equal(found->count, 0);
    free(found);
    mc_store_close(store);
    store = scene_open(*state);
    batch = (struct mc_batch){.clock_ms = BEGIN + 9 * HOUR};
    host = scene_point("", MC_TIER_MINUTE, BEGIN + 9 * HOUR - MINUTE, 1, 1, 1);
    mc_batch_add_point(&batch, &host);
    scene_write(store, &batch);
    found = scene_find(store, "", MC_TIER_HOUR);
    assert_int_equal(found->count, 2);
    assert_int_equal(found->points[0].at_ms, BEGIN);
    assert_int_equal(found->points[1].at_ms, BEGIN + 8 * HOUR);
    free(found);
    mc_store_close(store);
}

static void pages_leave_nothing_out(void **state)
{
    struct mc_store *store = scene_open(*state);
    struct mc_batch batch = {0};
    struct mc_store_query query = {.tier = MC_TIER_RAW, .until_ms = INT64_MAX, .limit = 1};
    size_t pages = 0;
    struct mc_error err;

    for (int i = 0; i < 5; i++) {
        struct mc_point a = scene_point(GUEST_A, MC_TIER_RAW, BEGIN + i, 1, 1, 1);
        struct mc_point b = scene_point(GUEST_B, MC_TIER_RAW, BEGIN + i, 1, 1, 1);

        mc_batch_add_point(&batch, &a);
        mc_batch_add_point(&batch, &b);
    }
    scene_write(store, &batch);
    for (int64_t last = -1, last_id = -1; pages < 20; pages++) {
        assert_int_equal(mc_store_points(store, &query, scene_next_page, &query, &err), 0);
        if (query.after_ms == last && query.after_id == last_id)
            break;
        last = query.after_ms;
        last_id = query.after_id;
    }
    assert_int_equal(pages, 10);
    mc_store_close(store);
}

static bool keep_decision(void *opaque, const struct mc_decision *from)
{
    *(struct mc_decision *)opaque = *from;
    return true;
}

static bool keep_event(void *opaque, const char *line)
{
    strcat(opaque, line);
    return true;
}

static void keeps_shapes_decisions_events_lessons_and_the_engine(void **state)
{
    const char *event = "{\"wall_ms\":1700000000000,\"kind\":\"seen\"}";
    struct mc_shape shape = {.uuid = GUEST_A,
                             .name = "a",
                             .at_ms = BEGIN,
                             .memory = MC_GIB,
                             .terms = {1000, MC_MIB, MC_GIB, true},
                             .exempt = MC_EXEMPT_LOCKED};
    struct mc_decision decision = {.uuid = GUEST_A,
                                   .at_ms = BEGIN,
                                   .actual = 3,
                                   .wish = 2,
                                   .target = 1,
                                   .reason = MC_RULE_FLOOR,
                                   .rules = "floor 1M"};
    struct mc_lesson lesson = {
        .uuid = GUEST_B, .learned = 64 * MC_MIB, .need = MC_GIB, .cooldown_ms = 60000};
    struct mc_batch batch = {.clock_ms = BEGIN};
    struct mc_store *store = scene_open(*state);
    struct mc_shape shape_out = {0};
    struct mc_decision decision_out = {0};
    struct mc_lesson *lessons;
    char events[256] = "", *engine;
    size_t count;
    struct mc_error err;

    mc_batch_add_shape(&batch, &shape);
    mc_batch_add_decision(&batch, &decision);
    mc_batch_add_event(&batch, event);
    mc_batch_set_lessons(&batch, &lesson, 1);
    mc_batch_set_config(&batch, "{}");
    scene_write(store, &batch);
    mc_store_close(store);
    store = scene_open(*state);
    assert_int_equal(mc_store_shapes(store, "a", BEGIN + DAY, BEGIN + 2 * DAY, scene_keep_shape,
                                     &shape_out, &err),
                     0);
    assert_memory_equal(&shape_out, &shape, sizeof(shape));
    assert_int_equal(
        mc_store_decisions(store, "a", BEGIN, BEGIN + 1, 9, keep_decision, &decision_out, &err), 0);
    assert_memory_equal(&decision_out, &decision, sizeof(decision));
    assert_int_equal(mc_store_events(store, 9, keep_event, events, &err), 0);
    assert_string_equal(events, event);
    assert_int_equal(mc_store_engine(store, &engine, &err), 0);
    assert_string_equal(engine, "{}");
    free(engine);
    assert_int_equal(mc_store_lessons(store, BEGIN + 20000, &lessons, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(lessons[0].cooldown_ms, 40000);
    assert_int_equal(lessons[0].learned, lesson.learned);
    free(lessons);
    /* A day later nothing is left of it. */
    assert_int_equal(mc_store_lessons(store, BEGIN + DAY, &lessons, &count, &err), 0);
    assert_int_equal(count, 0);
    free(lessons);
    assert_int_equal(mc_store_shapes(store, "nobody", 0, 1, scene_keep_shape, &shape_out, &err),
                     -ENOENT);
    assert_non_null(strstr(err.text, "nobody"));
    mc_store_close(store);
}

/* A file as it was when memctl knew no more than `version`, with a guest in it. */
static void make_old_file(const struct scene *scene, int version)
{
    struct mc_store old = {.file = (char *)scene->file};
    struct mc_error err;

    assert_int_equal(sqlite3_open(scene->file, &old.db), SQLITE_OK);
    if (version && mc_schema_migrate(&old, version, &err) < 0)
        fail_msg("%s", err.text);
    if (version)
        assert_int_equal(mc_db_exec(&old,
                                    "INSERT INTO guest VALUES (7, '" GUEST_A "', 'a');"
                                    "INSERT INTO shape VALUES (7, 5, 'a', 1, 2, 3, 4, 1, 0)",
                                    &err),
                         0);
    sqlite3_close(old.db);
}

static void files_of_every_older_version_are_brought_up_to_date(void **state)
{
    struct scene *scene = *state;

    for (int version = 0; version < MC_SCHEMA_VERSION; version++) {
        struct mc_shape shape = {0};
        struct mc_store *store;
        struct mc_error err;

        make_old_file(scene, version);
        assert_int_equal(mc_store_open_to_read(scene->file, &store, &err), -EPROTO);
        store = scene_open(scene);
        assert_int_equal(mc_schema_check(store, &err), 0);
        if (version) {
            assert_int_equal(mc_store_shapes(store, "a", 0, 9, scene_keep_shape, &shape, &err), 0);
            assert_string_equal(shape.uuid, GUEST_A);
        }
        mc_store_close(store);
        keeps_shapes_decisions_events_lessons_and_the_engine(state);
        unlink(scene->file);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scene_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gives_back_what_was_written),
        TEST(one_minute_in_two_parts_is_one),
        TEST(hours_are_what_a_slow_model_says),
        TEST(hours_that_ended_while_nobody_wrote_are_made_later),
        TEST(pages_leave_nothing_out),
        TEST(keeps_shapes_decisions_events_lessons_and_the_engine),
        TEST(files_of_every_older_version_are_brought_up_to_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
