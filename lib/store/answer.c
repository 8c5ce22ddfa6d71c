/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions about the history as JSON, and their answers: the same for a client of the daemon and
 * for one that reads the file itself. docs/protocol.md describes them.
 */
#include <memctl/store.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows in one answer. */
#define ROWS_DEFAULT 1024
#define ROWS_MOST 8192

/* What is chosen for a client that does not name a tier. */
#define ROWS_WANTED 2000

/* Texts out of a file may be no UTF-8. */
static json_t *text_of(const char *text)
{
    json_t *made = json_string(text);

    return made ? made : json_string("?");
}

static int read_number(const json_t *args, const char *key, int64_t otherwise, int64_t *value,
                       struct mc_error *err)
{
    const json_t *number = json_object_get(args, key);

    *value = number ? json_integer_value(number) : otherwise;
    if (number && (!json_is_integer(number) || *value < 0))
        return mc_error_set(err, -EINVAL, "%s: is not a whole number from 0 on", key);
    return 0;
}

/* What all questions may say. */
struct question {
    const char *guest; /* "" for the host, NULL for all guests */
    int64_t since_ms, until_ms, limit;
};

static int read_question(const json_t *args, struct question *question, struct mc_error *err)
{
    const json_t *guest = json_object_get(args, "guest");

    if (guest && !json_is_string(guest) && !json_is_null(guest))
        return mc_error_set(err, -EINVAL, "guest: is not a name, a UUID or host");
    question->guest = json_string_value(guest);
    if (question->guest && strcmp(question->guest, "host") == 0)
        question->guest = "";
    if (read_number(args, "since_ms", 0, &question->since_ms, err) < 0 ||
        read_number(args, "until_ms", INT64_MAX, &question->until_ms, err) < 0 ||
        read_number(args, "limit", ROWS_DEFAULT, &question->limit, err) < 0)
        return -EINVAL;
    if (question->limit < 1 || question->limit > ROWS_MOST)
        return mc_error_set(err, -EINVAL, "limit: is not a number from 1 to %d", ROWS_MOST);
    return 0;
}

static int read_tier(struct mc_store *store, const json_t *args, const struct question *question,
                     enum mc_tier *tier, struct mc_error *err)
{
    const char *name = json_string_value(json_object_get(args, "tier"));

    if (!name)
        return mc_store_choose_tier(store, question->since_ms, question->until_ms, ROWS_WANTED,
                                    tier, err);
    for (*tier = 0; *tier < MC_TIER_COUNT; ++*tier)
        if (strcmp(name, mc_tier_name(*tier)) == 0)
            return 0;
    return mc_error_set(err, -EINVAL, "tier: is none of raw, minute and hour");
}

/* ---- points ---- */

struct page {
    json_t *rows;
    size_t values, limit;
    int64_t last_ms, last_id;
};

static json_t *number_of(uint64_t value)
{
    return value == MC_UNKNOWN ? json_null() : json_integer((json_int_t)value);
}

/* Most ranges are one number. */
static json_t *range_of(const struct mc_range *range)
{
    json_t *list;

    if (range->low == range->avg && range->high == range->avg)
        return number_of(range->avg);
    list = json_array();
    json_array_append_new(list, number_of(range->low));
    json_array_append_new(list, number_of(range->avg));
    json_array_append_new(list, number_of(range->high));
    return list;
}

static bool add_row(void *opaque, int64_t id, const struct mc_point *point)
{
    struct page *page = opaque;
    json_t *row = json_array();

    json_array_append_new(row, json_integer(point->at_ms));
    json_array_append_new(row, *point->uuid ? text_of(point->uuid) : json_string("host"));
    json_array_append_new(row, json_integer((json_int_t)point->span_ms));
    for (size_t i = 0; i < page->values; i++)
        json_array_append_new(row, range_of(&point->values[i]));
    page->last_ms = point->at_ms;
    page->last_id = id;
    return json_array_append_new(page->rows, row) == 0;
}

static int read_after(const json_t *args, struct mc_store_query *query, struct mc_error *err)
{
    const json_t *after = json_object_get(args, "after");

    if (!after || json_is_null(after))
        return 0;
    if (json_array_size(after) != 2 || !json_is_integer(json_array_get(after, 0)) ||
        !json_is_integer(json_array_get(after, 1)))
        return mc_error_set(err, -EINVAL, "after: is not what 'next' of an answer said");
    query->after_ms = json_integer_value(json_array_get(after, 0));
    query->after_id = json_integer_value(json_array_get(after, 1));
    return 0;
}

static json_t *value_names(size_t count)
{
    json_t *names = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(names, json_string(mc_value_name(i)));
    return names;
}

static int answer_points(struct mc_store *store, const json_t *args, json_t **result,
                         struct mc_error *err)
{
    struct mc_store_query query = {0};
    struct question question = {0};
    struct page page;
    json_t *next = NULL;
    int rc;

    if (read_question(args, &question, err) < 0 || read_after(args, &query, err) < 0)
        return -EINVAL;
    rc = read_tier(store, args, &question, &query.tier, err);
    if (rc < 0)
        return rc;
    query.guest = question.guest;
    query.since_ms = question.since_ms;
    query.until_ms = question.until_ms;
    query.limit = (size_t)question.limit;
    page = (struct page){.rows = json_array(),
                         .values =
                             question.guest && !*question.guest ? MC_HOST_VALUES : MC_GUEST_VALUES};
    rc = mc_store_points(store, &query, add_row, &page, err);
    if (rc < 0) {
        json_decref(page.rows);
        return rc;
    }
    if (json_array_size(page.rows) == query.limit)
        next = json_pack("[I, I]", (json_int_t)page.last_ms, (json_int_t)page.last_id);
    *result =
        json_pack("{s:s, s:o, s:o, s:o}", "tier", mc_tier_name(query.tier), "values",
                  value_names(page.values), "rows", page.rows, "next", next ? next : json_null());
    return 0;
}

/* ---- a course ---- */

#define STEP_LEAST_MS 1000
#define STEPS_MOST 2000

static int read_step(const json_t *args, const struct question *question, int64_t *step_ms,
                     struct mc_error *err)
{
    if (!question->guest)
        return mc_error_set(err, -EINVAL,
                            "guest: is missing; a course is one guest's, or the "
                            "host's");
    if (question->until_ms <= question->since_ms || question->until_ms > INT64_MAX / 2)
        return mc_error_set(err, -EINVAL, "until_ms: is missing, or not after since_ms");
    if (read_number(args, "step_ms", 0, step_ms, err) < 0)
        return -EINVAL;
    if (*step_ms < STEP_LEAST_MS ||
        (question->until_ms - question->since_ms) / *step_ms >= STEPS_MOST)
        return mc_error_set(err, -EINVAL, "step_ms: is below %d, or makes more than %d steps",
                            STEP_LEAST_MS, STEPS_MOST);
    return 0;
}

static json_t *course_json(const struct mc_course *course)
{
    json_t *series = json_object();

    for (size_t value = 0; value < course->columns; value++) {
        json_t *list = json_array();

        for (size_t i = 0; i < course->count; i++)
            json_array_append_new(list, number_of(course->values[value * course->count + i]));
        json_object_set_new(series, mc_value_name(value), list);
    }
    return json_pack("{s:I, s:I, s:o}", "first_ms", (json_int_t)course->first_ms, "step_ms",
                     (json_int_t)course->step_ms, "series", series);
}

static int answer_course(struct mc_store *store, const json_t *args, json_t **result,
                         struct mc_error *err)
{
    struct question question = {0};
    struct mc_course course;
    int64_t step_ms = 0;
    int rc;

    if (read_question(args, &question, err) < 0 || read_step(args, &question, &step_ms, err) < 0)
        return -EINVAL;
    rc = mc_store_course(store, question.guest, question.since_ms, question.until_ms,
                         (uint64_t)step_ms, &course, err);
    if (rc < 0)
        return rc;
    *result = course_json(&course);
    mc_course_free(&course);
    return 0;
}

/* ---- guests, decisions, the engine, the file ---- */

static bool add_shape(void *list, int64_t id, const struct mc_shape *shape)
{
    json_t *object =
        json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:b, s:s}", "name", text_of(shape->name),
                  "uuid", text_of(shape->uuid), "at_ms", (json_int_t)shape->at_ms, "memory",
                  (json_int_t)shape->memory, "shares", (json_int_t)shape->terms.shares, "min",
                  (json_int_t)shape->terms.min, "max", (json_int_t)shape->terms.max, "managed",
                  shape->terms.managed, "exempt", mc_exempt_name(shape->exempt));

    (void)id;
    return json_array_append_new(list, object) == 0;
}

static int answer_guests(struct mc_store *store, const json_t *args, json_t **result,
                         struct mc_error *err)
{
    struct question question = {0};
    json_t *list = json_array();
    int rc = read_question(args, &question, err);

    if (rc == 0)
        rc = mc_store_shapes(store, question.guest, question.since_ms, question.until_ms, add_shape,
                             list, err);
    if (rc < 0)
        json_decref(list);
    else
        *result = json_pack("{s:o}", "guests", list);
    return rc;
}

static bool add_decision(void *list, const struct mc_decision *decision)
{
    json_t *object =
        json_pack("{s:I, s:o, s:I, s:I, s:I, s:s, s:o}", "at_ms", (json_int_t)decision->at_ms,
                  "uuid", text_of(decision->uuid), "actual", (json_int_t)decision->actual, "wish",
                  (json_int_t)decision->wish, "target", (json_int_t)decision->target, "reason",
                  mc_rule_name(decision->reason), "rules", text_of(decision->rules));

    return json_array_append_new(list, object) == 0;
}

static int answer_decisions(struct mc_store *store, const json_t *args, json_t **result,
                            struct mc_error *err)
{
    struct question question = {0};
    json_t *list = json_array();
    int rc = read_question(args, &question, err);

    if (rc == 0)
        rc = mc_store_decisions(store, question.guest, question.since_ms, question.until_ms,
                                (size_t)question.limit, add_decision, list, err);
    if (rc < 0)
        json_decref(list);
    else
        *result = json_pack("{s:o}", "decisions", list);
    return rc;
}

static int answer_engine(struct mc_store *store, const json_t *args, json_t **result,
                         struct mc_error *err)
{
    char *text;
    json_t *engine;
    int rc = mc_store_engine(store, &text, err);

    (void)args;
    if (rc < 0)
        return rc;
    engine = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    *result = json_pack("{s:o}", "engine", engine ? engine : json_null());
    return 0;
}

json_t *mc_store_facts_to_json(const struct mc_store_facts *facts)
{
    json_t *oldest = json_object();

    for (enum mc_tier tier = 0; tier < MC_TIER_COUNT; tier++)
        json_object_set_new(oldest, mc_tier_name(tier),
                            facts->oldest_ms[tier] ? json_integer(facts->oldest_ms[tier])
                                                   : json_null());
    return json_pack("{s:I, s:I, s:o, s:o}", "size", (json_int_t)facts->size, "size_max",
                     (json_int_t)facts->size_max, "oldest_ms", oldest, "shortened_ms",
                     facts->shortened_ms ? json_integer(facts->shortened_ms) : json_null());
}

static int answer_facts(struct mc_store *store, const json_t *args, json_t **result,
                        struct mc_error *err)
{
    struct mc_store_facts facts;
    int rc = mc_store_facts(store, &facts, err);

    (void)args;
    if (rc == 0)
        *result = mc_store_facts_to_json(&facts);
    return rc;
}

static const struct {
    const char *what;
    int (*answer)(struct mc_store *store, const json_t *args, json_t **result,
                  struct mc_error *err);
} questions[] = {
    {"points", answer_points},       {"course", answer_course}, {"guests", answer_guests},
    {"decisions", answer_decisions}, {"engine", answer_engine}, {"facts", answer_facts},
};

int mc_history_answer(struct mc_store *store, const json_t *args, json_t **result,
                      struct mc_error *err)
{
    const char *what = json_string_value(json_object_get(args, "what"));

    for (size_t i = 0; what && i < sizeof(questions) / sizeof(*questions); i++)
        if (strcmp(what, questions[i].what) == 0)
            return questions[i].answer(store, args, result, err);
    return mc_error_set(err, -EINVAL,
                        "what: is none of points, course, guests, decisions, engine, facts");
}

/* ---- the other side ---- */

static uint64_t number_from(const json_t *number)
{
    return json_is_integer(number) ? (uint64_t)json_integer_value(number) : MC_UNKNOWN;
}

static struct mc_range range_from(const json_t *value)
{
    if (json_is_array(value))
        return (struct mc_range){number_from(json_array_get(value, 0)),
                                 number_from(json_array_get(value, 1)),
                                 number_from(json_array_get(value, 2))};
    return (struct mc_range){number_from(value), number_from(value), number_from(value)};
}

bool mc_point_from_row(const json_t *row, enum mc_tier tier, struct mc_point *point)
{
    const char *uuid = json_string_value(json_array_get(row, 1));

    if (!uuid || json_array_size(row) < 3 + MC_GUEST_VALUES)
        return false;
    *point = (struct mc_point){.tier = tier,
                               .at_ms = json_integer_value(json_array_get(row, 0)),
                               .span_ms = number_from(json_array_get(row, 2))};
    if (strcmp(uuid, "host") != 0)
        snprintf(point->uuid, sizeof(point->uuid), "%s", uuid);
    for (size_t i = 0; i < MC_HOST_VALUES; i++)
        point->values[i] = range_from(json_array_get(row, 3 + i)); /* NULL is unknown */
    return true;
}
