/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys and prompts of memctl top, without a terminal and without a daemon. */
#include "testing.h"

#include <locale.h>

#include "top/keys.h"
#include "top_scene.h"

static void type_text(struct top *top, const char *text, struct request_wanted *wanted)
{
    const struct layout layout = {.page_rows = 10};

    for (const char *c = text; *c; c++)
        assert_true(
            keys_press(top, &layout, *c == '\n' ? (uint32_t)TOP_KEY_ENTER : (uint32_t)*c, wanted));
}

static void asks_for_shares_and_settings(void **state)
{
    struct request_wanted wanted;
    struct top top = {0};
    const json_t *settings;

    (void)state;
    top_scene_hear(&top, 1000);
    type_text(&top, "js", &wanted);
    assert_string_equal(top.input, "1000");
    assert_top_shows(&top, 80, 24, "shares of router: 1000");
    keys_press(&top, &top_scene_layout, 'U' - 64, &wanted);
    type_text(&top, "2500\n", &wanted);
    assert_string_equal(wanted.verb, "set");
    settings = json_object_get(wanted.args, "settings");
    assert_string_equal(json_string_value(json_object_get(settings, "shares")), "2500");
    assert_string_equal(json_string_value(json_object_get(wanted.args, "guest")), "u3");
    json_decref(wanted.args);
    type_text(&top, "emin=1G  max=25%\n", &wanted);
    assert_int_equal(json_object_size(json_object_get(wanted.args, "settings")), 2);
    json_decref(wanted.args);
    top_free(&top);
}

static void wrong_values_are_not_asked_for(void **state)
{
    struct request_wanted wanted;
    struct top top = {0};

    (void)state;
    top_scene_hear(&top, 1000);
    type_text(&top, "s", &wanted);
    keys_press(&top, &top_scene_layout, 'U' - 64, &wanted);
    type_text(&top, "many\n", &wanted);
    assert_null(wanted.verb);
    assert_true(top.message_bad);
    assert_top_shows(&top, 80, 24, "shares: ");
    type_text(&top, "enonsense\n", &wanted);
    assert_null(wanted.verb);
    assert_top_shows(&top, 80, 24, "'nonsense' is not KEY=VALUE");
    type_text(&top, "s", &wanted);
    keys_press(&top, &top_scene_layout, TOP_KEY_ESCAPE, &wanted);
    assert_null(wanted.verb);
    assert_int_equal(top.prompt, TOP_NO_PROMPT);
    top_free(&top);
}

static void pauses_only_after_a_yes(void **state)
{
    struct request_wanted wanted;
    struct top top = {0};

    (void)state;
    top_scene_hear(&top, 1000);
    type_text(&top, "pn", &wanted);
    assert_null(wanted.verb);
    type_text(&top, "p", &wanted);
    assert_top_shows(&top, 80, 24, "leave alone until resumed: db1? y/n");
    type_text(&top, "y", &wanted);
    assert_string_equal(wanted.verb, "pause");
    json_decref(wanted.args);
    top_free(&top);
}

/* It would hit whoever took its place in the list. */
static void who_stops_while_it_is_asked_about_leaves_nobody_in_its_place(void **state)
{
    struct request_wanted wanted;
    struct top top = {0};
    json_t *list = top_scene_list();

    (void)state;
    top_scene_hear(&top, 1000);
    type_text(&top, "jjs", &wanted);
    assert_top_shows(&top, 80, 24, "shares of web1: 1000");
    json_array_remove(json_object_get(list, "guests"), 1);
    assert_int_equal(top_hear(&top, top_scene_status(), list, 2000), 0);
    assert_string_not_equal(top.chosen, "u1");
    type_text(&top, "0\n", &wanted);
    assert_null(wanted.verb);
    assert_top_shows(&top, 80, 24, "that guest runs no more; nothing is changed");
    top_free(&top);
}

static void letters_in_a_prompt_are_text(void **state)
{
    const struct layout layout = {.page_rows = 10};
    struct request_wanted wanted;
    struct top top = {0};

    (void)state;
    top_scene_hear(&top, 1000);
    type_text(&top, "/qdb", &wanted);
    assert_string_equal(top.filter, "qdb");
    assert_int_equal(top.count, 0);
    for (int i = 0; i < 3; i++)
        keys_press(&top, &layout, TOP_KEY_BACKSPACE, &wanted);
    type_text(&top, "db\n", &wanted);
    assert_int_equal(top.count, 1);
    keys_press(&top, &layout, TOP_KEY_ESCAPE, &wanted);
    assert_int_equal(top.count, 3);
    assert_false(keys_press(&top, &layout, 'q', &wanted));
    top_free(&top);
}

static void goes_from_page_to_page(void **state)
{
    const struct layout layout = {.page_rows = 10};
    struct request_wanted wanted;
    struct top top = {0};

    (void)state;
    top_scene_hear(&top, 1000);
    type_text(&top, "\n", &wanted);
    assert_int_equal(top.page, TOP_GUEST);
    keys_press(&top, &layout, TOP_KEY_RIGHT, &wanted);
    assert_string_equal(top.chosen, "u3");
    type_text(&top, "?", &wanted);
    assert_int_equal(top.page, TOP_HELP);
    assert_top_shows(&top, 80, 24, "# used: what the guest cannot give up");
    keys_press(&top, &layout, TOP_KEY_ESCAPE, &wanted);
    assert_int_equal(top.page, TOP_GUEST);
    keys_press(&top, &layout, TOP_KEY_ESCAPE, &wanted);
    assert_int_equal(top.page, TOP_LIST);
    type_text(&top, ">r", &wanted);
    assert_int_equal(top.sort, TOP_BY_ACTUAL);
    assert_string_equal(top.guests[0].name, "router");
    type_text(&top, "<<", &wanted);
    assert_int_equal(top.sort, TOP_BY_WHY);
    top_free(&top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_shares_and_settings),
        cmocka_unit_test(wrong_values_are_not_asked_for),
        cmocka_unit_test(pauses_only_after_a_yes),
        cmocka_unit_test(who_stops_while_it_is_asked_about_leaves_nobody_in_its_place),
        cmocka_unit_test(letters_in_a_prompt_are_text),
        cmocka_unit_test(goes_from_page_to_page),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
