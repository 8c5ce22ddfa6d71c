/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The history's file: what goes in comes out, and what a disk does to it. */
#include "testing.h"

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

#include "store/database.h"

#define MINUTE INT64_C(60000)
#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define BEGIN (INT64_C(1700000000000) / DAY * DAY)

#define GUEST_A "00000000-0000-0000-0000-00000000000a"
#define GUEST_B "00000000-0000-0000-0000-00000000000b"

struct scene {
    char folder[64], file[96];
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    strcpy(scene->folder, "/tmp/memctl-store-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->file, sizeof(scene->file), "%s/db", scene->folder);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const suffixes[] = {
        ".lock", "", "-wal", "-shm", ".damaged", ".damaged-wal", ".damaged-shm"};
    struct scene *scene = *state;
    char path[128];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        snprintf(path, sizeof(path), "%s%s", scene->file, suffixes[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(scene->folder), 0);
    free(scene);
    return 0;
}

static struct mc_store *open_store(const struct scene *scene)
{
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store;
    struct mc_error err;

    if (mc_store_open(scene->file, &config, &store, &err) < 0)
        fail_msg("%s", err.text);
    return store;
}

static void write_batch(struct mc_store *store, struct mc_batch *batch)
{
    struct mc_error err;

    if (mc_store_write(store, batch, &err) < 0)
        fail_msg("%s", err.text);
    mc_batch_free(batch);
}

static struct mc_point point(const char *uuid, enum mc_tier tier, int64_t at_ms, uint64_t low,
                             uint64_t avg, uint64_t high)
{
    struct mc_point made = {.tier = tier, .at_ms = at_ms, .span_ms = mc_tier_span_ms(tier)};

    strcpy(made.uuid, uuid);
    for (size_t i = 0; i < MC_HOST_VALUES; i++)
        made.values[i] = (struct mc_range){low, avg, high};
    return made;
}

struct found {
    struct mc_point points[4096];
    size_t count;
};

static bool keep_point(void *opaque, int64_t id, const struct mc_point *from)
{
    struct found *found = opaque;

    (void)id;
    assert_true(found->count < sizeof(found->points) / sizeof(*found->points));
    found->points[found->count++] = *from;
    return true;
}

static struct found *find(struct mc_store *store, const char *guest, enum mc_tier tier)
{
    struct mc_store_query query = {.guest = guest, .tier = tier, .until_ms = INT64_MAX};
    struct found *found = calloc(1, sizeof(*found));
    struct mc_error err;

    if (mc_store_points(store, &query, keep_point, found, &err) < 0)
        fail_msg("%s", err.text);
    return found;
}

/* ---- what goes in comes out ---- */

static void gives_back_what_was_written(void **state)
{
    struct mc_store *store = open_store(*state);
    struct mc_batch batch = {0};
    struct mc_point in = point(GUEST_A, MC_TIER_MINUTE, BEGIN, MC_MIB, 2 * MC_MIB, 3 * MC_MIB);
    struct found *found;

    in.values[MC_VALUE_STALL] = (struct mc_range){1, 2, 3};
    in.values[MC_VALUE_USED] = (struct mc_range){MC_UNKNOWN, MC_UNKNOWN, MC_UNKNOWN};
    mc_batch_add_point(&batch, &in);
    write_batch(store, &batch);
    mc_store_close(store);
    store = open_store(*state);
    found = find(store, GUEST_A, MC_TIER_MINUTE);
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
    struct mc_store *store = open_store(*state);
    struct mc_batch batch = {0};
    struct mc_point first = point("", MC_TIER_MINUTE, BEGIN, MC_MIB, 2 * MC_MIB, 3 * MC_MIB);
    struct mc_point second = point("", MC_TIER_MINUTE, BEGIN, 4 * MC_MIB, 6 * MC_MIB, 6 * MC_MIB);
    struct mc_range *range;
    struct found *found;

    first.span_ms = 45000;
    second.span_ms = 15000;
    second.values[MC_VALUE_HELD] = (struct mc_range){MC_UNKNOWN, MC_UNKNOWN, MC_UNKNOWN};
    mc_batch_add_point(&batch, &first);
    mc_batch_add_point(&batch, &second);
    write_batch(store, &batch);
    found = find(store, "", MC_TIER_MINUTE);
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

/* Pseudo-random and the same each time. */
static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return *seed >> 40;
}

/* Minutes of two guests with gaps, and the hours that a slow model makes of them. */
static void hours_are_what_a_slow_model_says(void **state)
{
    enum { HOURS = 5, VALUE = MC_VALUE_ACTIVE };
    struct model {
        uint64_t low, high, span;
        unsigned __int128 weighed;
    } model[HOURS] = {0};
    struct mc_store *store = open_store(*state);
    uint64_t seed = 7;
    struct found *found;

    for (int minute = 0; minute < HOURS * 60 + 1; minute++) {
        struct mc_batch batch = {.clock_ms = BEGIN + minute * MINUTE};
        uint64_t avg = (1000 + next_random(&seed) % 9000) * MC_MIB;
        struct mc_point a = point(GUEST_A, MC_TIER_MINUTE, BEGIN + minute * MINUTE,
                                  avg - MC_MIB * (next_random(&seed) % 3), avg,
                                  avg + MC_MIB * (next_random(&seed) % 3));
        struct mc_point host = point("", MC_TIER_MINUTE, BEGIN + minute * MINUTE, 1, 1, 1);
        struct model *hour = &model[minute / 60 % HOURS];

        a.span_ms = 1 + next_random(&seed) % 60000;
        mc_batch_add_point(&batch, &host);
        if (next_random(&seed) % 4) {
            mc_batch_add_point(&batch, &a);
            if (minute < HOURS * 60) {
                const struct mc_range *range = &a.values[VALUE];

                hour->low = hour->span ? mc_min_u64(hour->low, range->low) : range->low;
                hour->high = mc_max_u64(hour->high, range->high);
                hour->weighed += (unsigned __int128)range->avg * a.span_ms;
                hour->span += a.span_ms;
            }
        }
        write_batch(store, &batch);
    }
    found = find(store, GUEST_A, MC_TIER_HOUR);
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
    struct mc_store *store = open_store(*state);
    struct mc_batch batch = {.clock_ms = BEGIN + 59 * MINUTE};
    struct mc_point host = point("", MC_TIER_MINUTE, BEGIN + 5 * MINUTE, 1, 1, 1);
    struct found *found;

    mc_batch_add_point(&batch, &host);
    write_batch(store, &batch);
    found = find(store, "", MC_TIER_HOUR);
    assert_int_equal(found->count, 0);
    free(found);
    mc_store_close(store);
    store = open_store(*state);
    batch = (struct mc_batch){.clock_ms = BEGIN + 9 * HOUR};
    host = point("", MC_TIER_MINUTE, BEGIN + 9 * HOUR - MINUTE, 1, 1, 1);
    mc_batch_add_point(&batch, &host);
    write_batch(store, &batch);
    found = find(store, "", MC_TIER_HOUR);
    assert_int_equal(found->count, 2);
    assert_int_equal(found->points[0].at_ms, BEGIN);
    assert_int_equal(found->points[1].at_ms, BEGIN + 8 * HOUR);
    free(found);
    mc_store_close(store);
}

static bool count_page(void *opaque, int64_t id, const struct mc_point *from)
{
    struct mc_store_query *query = opaque;

    query->after_ms = from->at_ms;
    query->after_id = id;
    return true;
}

static void pages_leave_nothing_out(void **state)
{
    struct mc_store *store = open_store(*state);
    struct mc_batch batch = {0};
    struct mc_store_query query = {.tier = MC_TIER_RAW, .until_ms = INT64_MAX, .limit = 1};
    size_t pages = 0;
    struct mc_error err;

    for (int i = 0; i < 5; i++) {
        struct mc_point a = point(GUEST_A, MC_TIER_RAW, BEGIN + i, 1, 1, 1);
        struct mc_point b = point(GUEST_B, MC_TIER_RAW, BEGIN + i, 1, 1, 1);

        mc_batch_add_point(&batch, &a);
        mc_batch_add_point(&batch, &b);
    }
    write_batch(store, &batch);
    for (int64_t last = -1, last_id = -1; pages < 20; pages++) {
        assert_int_equal(mc_store_points(store, &query, count_page, &query, &err), 0);
        if (query.after_ms == last && query.after_id == last_id)
            break;
        last = query.after_ms;
        last_id = query.after_id;
    }
    assert_int_equal(pages, 10);
    mc_store_close(store);
}

static bool keep_shape(void *opaque, int64_t id, const struct mc_shape *from)
{
    (void)id;
    *(struct mc_shape *)opaque = *from;
    return true;
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
    struct mc_store *store = open_store(*state);
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
    write_batch(store, &batch);
    mc_store_close(store);
    store = open_store(*state);
    assert_int_equal(
        mc_store_shapes(store, "a", BEGIN + DAY, BEGIN + 2 * DAY, keep_shape, &shape_out, &err), 0);
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
    assert_int_equal(mc_store_shapes(store, "nobody", 0, 1, keep_shape, &shape_out, &err), -ENOENT);
    assert_non_null(strstr(err.text, "nobody"));
    mc_store_close(store);
}

/* ---- bounds ---- */

static void prune_all(struct mc_store *store, int64_t now_ms)
{
    struct mc_error err;
    bool more = true;

    for (int i = 0; more && i < 10000; i++)
        if (mc_store_prune(store, now_ms, &more, &err) < 0)
            fail_msg("%s", err.text);
    assert_false(more);
}

static void what_is_too_old_goes(void **state)
{
    struct mc_store *store = open_store(*state);
    struct found *found;

    for (int day = 0; day < 40; day++) {
        struct mc_batch batch = {.clock_ms = BEGIN + day * DAY};
        struct mc_point raw = point("", MC_TIER_RAW, BEGIN + day * DAY, 1, 1, 1);
        struct mc_point minute = point("", MC_TIER_MINUTE, BEGIN + day * DAY, 1, 1, 1);

        mc_batch_add_point(&batch, &raw);
        mc_batch_add_point(&batch, &minute);
        write_batch(store, &batch);
    }
    prune_all(store, BEGIN + 39 * DAY + HOUR);
    found = find(store, "", MC_TIER_RAW);
    assert_int_equal(found->count, 1);
    free(found);
    found = find(store, "", MC_TIER_MINUTE);
    assert_int_equal(found->count, 31);
    assert_int_equal(found->points[0].at_ms, BEGIN + 9 * DAY);
    free(found);
    found = find(store, "", MC_TIER_HOUR);
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
                point("", k < raw_rows ? MC_TIER_RAW : MC_TIER_MINUTE, BEGIN + i * 15 * MINUTE + k,
                      MC_GIB, 2 * MC_GIB, 3 * MC_GIB);

            mc_batch_add_point(&batch, &made);
        }
        write_batch(store, &batch);
        prune_all(store, BEGIN + (i + 1) * 15 * MINUTE);
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
    found = find(store, "", MC_TIER_MINUTE);
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

/* ---- files that are not as they should be ---- */

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
        store = open_store(scene);
        assert_int_equal(mc_schema_check(store, &err), 0);
        if (version) {
            assert_int_equal(mc_store_shapes(store, "a", 0, 9, keep_shape, &shape, &err), 0);
            assert_string_equal(shape.uuid, GUEST_A);
        }
        mc_store_close(store);
        keeps_shapes_decisions_events_lessons_and_the_engine(state);
        unlink(scene->file);
    }
}

static void refuses_the_file_of_a_newer_version(void **state)
{
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store = open_store(scene);
    struct mc_error err;

    assert_int_equal(mc_db_exec(store, "PRAGMA user_version = 99", &err), 0);
    mc_store_close(store);
    assert_int_equal(mc_store_open(scene->file, &config, &store, &err), -EPROTO);
    assert_non_null(strstr(err.text, "newer memctl"));
}

static void only_one_writes_at_a_time(void **state)
{
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store = open_store(scene), *second;
    struct mc_error err;

    assert_int_equal(mc_store_open(scene->file, &config, &second, &err), -EBUSY);
    assert_non_null(strstr(err.text, "another memctld"));
    mc_store_close(store);
    mc_store_close(open_store(scene));
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
    struct mc_store *store = open_store(scene);
    struct mc_error err;
    char aside[128];

    mc_store_close(store);
    overwrite(scene->file, 0, 4096);
    assert_int_equal(mc_store_open(scene->file, &config, &store, &err), -EBADMSG);
    assert_int_equal(mc_store_set_aside(scene->file, &err), 0);
    snprintf(aside, sizeof(aside), "%s.damaged", scene->file);
    assert_int_equal(access(aside, F_OK), 0);
    mc_store_close(open_store(scene));
}

static void tells_damage_that_comes_while_it_is_open(void **state)
{
    struct scene *scene = *state;
    struct mc_store_config config = mc_store_config_default();
    struct mc_store *store = open_store(scene);
    struct mc_batch batch = {.clock_ms = BEGIN};
    struct mc_point host = point("", MC_TIER_MINUTE, BEGIN, 1, 1, 1);
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

/* SQLite tells a limit of the process from a full disk, which is -ENOSPC. */
static void what_cannot_be_written_fails_with_a_sentence_and_heals(void **state)
{
    struct scene *scene = *state;
    int rc;
    struct mc_store *store = open_store(scene);
    struct rlimit old, small;
    struct mc_batch batch = {.clock_ms = BEGIN};
    struct found *found;
    struct mc_error err;

    for (int i = 0; i < 2000; i++) {
        struct mc_point raw = point("", MC_TIER_RAW, BEGIN + i, MC_GIB, MC_GIB, MC_GIB);

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
    found = find(store, "", MC_TIER_RAW);
    assert_int_equal(found->count, 2000);
    free(found);
    mc_batch_free(&batch);
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
                point("", MC_TIER_RAW, BEGIN + i * 2000 + k, MC_GIB, MC_GIB, MC_GIB);

            mc_batch_add_point(&batch, &raw);
        }
        rc = mc_store_write(store, &batch, &err);
        mc_batch_free(&batch);
    }
    assert_int_equal(rc, -ENOSPC);
    prune_all(store, BEGIN + DAY);
    mc_store_close(store);
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

static void spoil_a_byte(const struct scene *scene, uint64_t *seed)
{
    struct stat status;
    uint64_t where;
    uint8_t byte = (uint8_t)next_random(seed);
    int fd = open(scene->file, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    where = next_random(seed) % (uint64_t)status.st_size;
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
        struct mc_store *store = open_store(scene);
        struct mc_error err = {0};
        bool more;
        int rc;

        for (int i = 0; i < 40; i++) {
            enum mc_tier tier = i % 2 ? MC_TIER_MINUTE : MC_TIER_RAW;
            struct mc_point a = point(GUEST_A, tier, BEGIN + i * MINUTE, 1, MC_GIB, 2 * MC_GIB);
            struct mc_point host = point("", tier, BEGIN + i * MINUTE, 1, 1, 1);

            mc_batch_add_point(&batch, &a);
            mc_batch_add_point(&batch, &host);
        }
        assert_int_equal(mc_store_write(store, &batch, &err), 0);
        mc_store_close(store);
        for (uint64_t i = 0; i <= next_random(&seed) % 32; i++)
            spoil_a_byte(scene, &seed);
        rc = mc_store_open(scene->file, &config, &store, &err);
        if (rc == 0) {
            struct mc_store_query query = {.tier = MC_TIER_MINUTE, .until_ms = INT64_MAX};
            struct mc_lesson *lessons = NULL;
            size_t count;

            rc = mc_store_points(store, &query, count_page, &query, &err);
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

static void a_lock_of_another_process_is_waited_for_and_then_told(void **state)
{
    struct scene *scene = *state;
    struct mc_store *store;
    struct mc_batch batch = {.clock_ms = BEGIN};
    struct mc_point host = point("", MC_TIER_MINUTE, BEGIN, 1, 1, 1);
    int to_child[2], from_child[2], status;
    struct mc_error err;
    char byte = 0;
    pid_t child;

    assert_int_equal(pipe(to_child) | pipe(from_child), 0);
    child = fork();
    if (child == 0)
        _exit(lock_when_told(scene->file, to_child[0], from_child[1]));
    store = open_store(scene);
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

static void a_reader_sees_what_was_committed_and_changes_nothing(void **state)
{
    struct scene *scene = *state;
    struct mc_store *store = open_store(scene), *reader;
    struct mc_batch batch = {.clock_ms = BEGIN};
    struct mc_point host = point("", MC_TIER_MINUTE, BEGIN, 1, 1, 1);
    struct found *found;
    struct mc_error err;

    if (mc_store_open_to_read(scene->file, &reader, &err) < 0)
        fail_msg("%s", err.text);
    mc_batch_add_point(&batch, &host);
    write_batch(store, &batch);
    found = find(reader, "", MC_TIER_MINUTE);
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
    struct mc_store *store = open_store(scene);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gives_back_what_was_written),
        TEST(one_minute_in_two_parts_is_one),
        TEST(hours_are_what_a_slow_model_says),
        TEST(hours_that_ended_while_nobody_wrote_are_made_later),
        TEST(pages_leave_nothing_out),
        TEST(keeps_shapes_decisions_events_lessons_and_the_engine),
        TEST(what_is_too_old_goes),
        TEST(a_file_that_is_too_large_loses_its_oldest_raw_rows),
        TEST(raw_rows_and_minutes_are_shortened_alike),
        TEST(files_of_every_older_version_are_brought_up_to_date),
        TEST(refuses_the_file_of_a_newer_version),
        TEST(only_one_writes_at_a_time),
        TEST(refuses_the_database_of_another_program),
        TEST(tells_a_damaged_file_and_begins_anew_beside_it),
        TEST(tells_damage_that_comes_while_it_is_open),
        TEST(what_cannot_be_written_fails_with_a_sentence_and_heals),
        TEST(a_file_at_its_wall_takes_no_more),
        TEST(no_damage_does_worse_than_fail),
        TEST(a_lock_of_another_process_is_waited_for_and_then_told),
        TEST(a_folder_that_cannot_be_written_is_told),
        TEST(a_reader_sees_what_was_committed_and_changes_nothing),
        TEST(a_deadline_ends_a_long_question),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
