/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One guest in memctl top, without a terminal and without a daemon. */
#include "testing.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "top/keys.h"
#include "top_scene.h"

static json_t *explained_of(const struct top *top, size_t index)
{
    return json_pack("{s:O, s:i, s:b, s:s}", "guest", top->guests[index].json, "age_ms", 100,
                     "connected", 1, "policy", "idle-tax");
}

static void explains_the_chosen_guest(void **state)
{
    struct top top = {.page = TOP_GUEST};

    (void)state;
    top_scene_hear(&top, 1000);
    top_choose(&top, 2);
    assert_top_shows(&top, 80, 24, "asking memctld");
    top_hear_explained(&top, explained_of(&top, 2));
    assert_top_shows(&top, 80, 24, "web1  running  shares 1000  min 256M  max 8.00G  3 of 3\n");
    assert_top_shows(&top, 80, 24, "actual 6.00G  used 2.00G  target 5.00G (policy)");
    assert_top_shows(&top, 80, 24, "measured   It is configured with 8.00G.");
    top_hear_explained(&top, explained_of(&top, 0)); /* of another one: nothing to show here */
    assert_top_shows(&top, 80, 24, "asking memctld");
    top_free(&top);
}

static void explanation_scrolls_to_its_end_and_no_further(void **state)
{
    struct top top = {.page = TOP_GUEST};
    struct request_wanted wanted;

    (void)state;
    top_scene_hear(&top, 1000);
    top_hear_explained(&top, explained_of(&top, 0));
    assert_top_hides(&top, 40, 12, "No command was sent");
    assert_true(top_scene_layout.scroll_max > 0);
    keys_press(&top, &top_scene_layout, TOP_KEY_END, &wanted);
    assert_int_equal(top.scroll, top_scene_layout.scroll_max);
    assert_top_shows(&top, 40, 12, "No command was");
    keys_press(&top, &top_scene_layout, TOP_KEY_UP, &wanted);
    assert_int_equal(top.scroll, top_scene_layout.scroll_max - 1);
    top_free(&top);
}

static void course_is_kept_as_long_as_the_guest_runs(void **state)
{
    struct top top = {0};
    json_t *list;

    (void)state;
    for (uint64_t i = 0; i < COURSE_LENGTH + 5; i++)
        top_scene_hear(&top, i * 1000);
    assert_int_equal(course_back(&top.course, "u1", 0)->actual, 6 * 1024);
    assert_int_equal(course_back(&top.course, "u3", 0)->used, UINT32_MAX);
    assert_non_null(course_back(&top.course, "u1", COURSE_LENGTH - 1));
    assert_null(course_back(&top.course, "u1", COURSE_LENGTH));
    assert_null(course_back(&top.course, "nobody", 0));
    list = top_scene_list();
    json_array_remove(json_object_get(list, "guests"), 1);
    top_hear(&top, top_scene_status(), list, 1000000);
    assert_null(course_back(&top.course, "u1", 0));
    assert_non_null(course_back(&top.course, "u2", 0));
    top_free(&top);
}

static void course_is_drawn_as_bars_with_its_target(void **state)
{
    const struct sample samples[] = {
        SAMPLE_UNKNOWN,
        SAMPLE_UNKNOWN,
        sample_of(MC_GIB, MC_GIB, 3 * MC_GIB),
        sample_of(2 * MC_GIB, MC_GIB, 3 * MC_GIB),
        sample_of(3 * MC_GIB, MC_GIB, 3 * MC_GIB),
    };
    struct screen screen;

    (void)state;
    assert_int_equal(screen_init(&screen, 5, 4, false), 0);
    bar_course(&screen, 0, 0, 5, 4, samples, 4 * MC_GIB);
    for (int row = 0; row < 4; row++) {
        static const char *const wanted[] = {"     ", "  __-", "   --", "  ###"};

        for (int i = 0; i < 5; i++)
            assert_int_equal(screen.cells[row * 5 + i].sign, wanted[row][i]);
    }
    screen_free(&screen);
}

/* An answer of the history: the newest step had 4 GiB of web1's 8, the one before 2. */
static struct top_past past_of_web1(enum top_span span)
{
    return (struct top_past){
        .uuid = "u1",
        .span = span,
        .course = json_pack("{s:I, s:i, s:{s:[n, I, I], s:[n, n, n], s:[n, I, I]}}", "first_ms",
                            (json_int_t)1700000000000, "step_ms", 60000, "series", "actual",
                            2 * GIB, 4 * GIB, "used", "target", 2 * GIB, 4 * GIB)};
}

static void chart_shows_the_history_that_was_chosen(void **state)
{
    struct top top = {.page = TOP_GUEST, .chosen = "u1", .span = TOP_LAST_6_HOURS};
    struct layout layout = {0};
    struct request_wanted wanted;

    (void)state;
    top_scene_hear(&top, 1000);
    assert_top_shows(&top, 40, 24, "asking for the last 6");
    assert_int_equal(top_scene_layout.chart_steps, 33);
    top_hear_past(&top, past_of_web1(TOP_LAST_6_HOURS));
    /* Eighths of 5 rows: 2 GiB fill one, 4 GiB three; the present is at the right. */
    assert_top_shows(&top, 80, 24,
                     "\n                                                                   "
                     "            -\n");
    assert_top_shows(&top, 80, 24, "the last 6 hours; t: other times");
    assert_top_shows(&top, 80, 24, "   now\n");
    /* The history of another time is not what was chosen now. */
    keys_press(&top, &layout, 't', &wanted);
    assert_int_equal(top.span, TOP_LAST_DAY);
    assert_top_shows(&top, 80, 24, "asking for the last day");
    top_free(&top);
}

static void chart_shows_what_top_saw_where_there_is_no_history(void **state)
{
    struct top top = {.page = TOP_GUEST, .chosen = "u1"};
    struct top_past none = {.uuid = "u1", .why = "memctld keeps no history"};

    (void)state;
    top_scene_hear(&top, 1000);
    top_hear_past(&top, none);
    assert_top_shows(&top, 80, 24, "since top began; memctld keeps no history");
    assert_top_shows(&top, 80, 24, "#\n"); /* one look so far, at the right edge */
    top_free(&top);
}

static void columns_of_equal_pages_are_there_when_the_scanner_looks(void **state)
{
    json_t *list = top_scene_list(), *equal;
    struct top top = {0};

    (void)state;
    top_scene_hear(&top, 1000);
    assert_top_hides(&top, 160, 24, "SAVING");
    equal = json_pack("{s:I, s:n}", "saving", GIB / 2, "saved");
    json_object_set_new(json_array_get(json_object_get(list, "guests"), 1), "equal_pages", equal);
    assert_int_equal(top_hear(&top, top_scene_status(), list, 2000), 0);
    assert_top_shows(&top, 90, 24, "SAVING");
    assert_top_hides(&top, 160, 24, "SAVED");
    /* They are merged. */
    json_object_set_new(equal, "saved", json_integer(GIB / 4));
    assert_int_equal(top_hear(&top, top_scene_status(), json_incref(list), 3000), 0);
    assert_top_shows(&top, 160, 24, "  SAVED  SAVING");
    assert_top_shows(&top, 160, 24, "   256M    512M");
    assert_top_shows(&top, 90, 24, "SAVED");
    assert_top_hides(&top, 90, 24, "SAVING");
    top_free(&top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(explains_the_chosen_guest),
        cmocka_unit_test(explanation_scrolls_to_its_end_and_no_further),
        cmocka_unit_test(course_is_kept_as_long_as_the_guest_runs),
        cmocka_unit_test(course_is_drawn_as_bars_with_its_target),
        cmocka_unit_test(chart_shows_the_history_that_was_chosen),
        cmocka_unit_test(chart_shows_what_top_saw_where_there_is_no_history),
        cmocka_unit_test(columns_of_equal_pages_are_there_when_the_scanner_looks),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
