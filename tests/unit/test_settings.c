/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "testing.h"

#include <string.h>

#include <memctl/settings.h>
#include <memctl/units.h>

static void resolves_percentages_of_the_guests_memory(void **state)
{
    struct mc_settings settings = mc_settings_default();
    struct mc_terms terms;

    (void)state;
    assert_int_equal(mc_settings_say(&settings, "min", "10%", NULL), 0);
    assert_int_equal(mc_settings_say(&settings, "max", "1G", NULL), 0);
    terms = mc_settings_resolve(&settings, 2 * MC_GIB);
    assert_int_equal(terms.shares, 1000);
    assert_int_equal(terms.min, 2 * MC_GIB / 10 / MC_PAGE * MC_PAGE);
    assert_int_equal(terms.max, MC_GIB);
    assert_true(terms.managed);
}

static void clamps_to_a_memory_that_was_lowered(void **state)
{
    struct mc_settings settings = mc_settings_default();
    struct mc_terms terms;

    (void)state;
    mc_settings_say(&settings, "min", "3G", NULL);
    mc_settings_say(&settings, "max", "4G", NULL);
    terms = mc_settings_resolve(&settings, MC_GIB);
    assert_int_equal(terms.min, MC_GIB);
    assert_int_equal(terms.max, MC_GIB);
}

/* Not memcmp(), since there is padding. */
static void assert_same(const struct mc_settings *a, const struct mc_settings *b)
{
    char text[2][MC_SETTING_TEXT];

    assert_int_equal(a->present, b->present);
    for (enum mc_setting i = 0; i < MC_SETTING_COUNT; i++)
        if (a->present & (1U << i))
            assert_string_equal(mc_settings_text(a, i, text[0]), mc_settings_text(b, i, text[1]));
}

static void refuses_and_leaves_settings_as_they_were(void **state)
{
    static const char *const bad[][2] = {
        {"shares", "0"},        {"shares", "1000001"}, {"shares", "-5"},
        {"shares", "many"},     {"min", "200%"},       {"min", "512"},
        {"max", "0"},           {"max", "12Q"},        {"managed", "maybe"},
        {"colour", "red"},      {"shares", "1.5"},     {"last-resort", "kill"},
        {"last-resort", "yes"}, {"cooldown", "2h"},    {"cooldown", "soon"},
    };
    struct mc_settings settings = mc_settings_default();
    const struct mc_settings before = settings;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct mc_error err = {0};

        assert_true(mc_settings_say(&settings, bad[i][0], bad[i][1], &err) < 0);
        assert_true(err.text[0]);
        assert_same(&settings, &before);
    }
}

static void says_what_is_wrong_with_min_and_max(void **state)
{
    struct mc_settings settings = mc_settings_default();
    struct mc_error err;

    (void)state;
    mc_settings_say(&settings, "min", "3G", NULL);
    assert_true(mc_settings_check(&settings, 2 * MC_GIB, &err) < 0);
    assert_string_equal(err.text,
                        "min 3.00G is above its memory 2.00G; choose min <= 2.00G or raise "
                        "<memory>");
    mc_settings_say(&settings, "min", "1G", NULL);
    mc_settings_say(&settings, "max", "512M", NULL);
    assert_true(mc_settings_check(&settings, 2 * MC_GIB, &err) < 0);
    assert_string_equal(err.text, "min 1.00G is above max 512M; lower min or raise max");
    mc_settings_say(&settings, "max", "1G", NULL);
    assert_int_equal(mc_settings_check(&settings, 2 * MC_GIB, &err), 0);
}

static void texts_read_back_as_what_was_said(void **state)
{
    static const char *const values[][2] = {{"shares", "77"},        {"min", "12.34%"},
                                            {"max", "700M"},         {"min", "1234567"},
                                            {"managed", "no"},       {"last-resort", "save"},
                                            {"last-resort", "none"}, {"cooldown", "90s"},
                                            {"cooldown", "1500ms"},  {"cooldown", "0"}};

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        struct mc_settings said = {0}, again = {0};

        assert_int_equal(mc_settings_say(&said, values[i][0], values[i][1], NULL), 0);
        for (unsigned which = 0; which < MC_SETTING_COUNT; which++) {
            char text[MC_SETTING_TEXT];

            if (mc_settings_text(&said, which, text))
                assert_int_equal(mc_settings_say(&again, mc_setting_name(which), text, NULL), 0);
        }
        assert_memory_equal(&said, &again, sizeof(said));
    }
}

static void an_empty_value_takes_a_setting_back(void **state)
{
    struct mc_settings own = {0}, all = mc_settings_default();

    (void)state;
    mc_settings_say(&own, "shares", "5", NULL);
    mc_settings_say(&own, "shares", "", NULL);
    mc_settings_merge(&all, &own);
    assert_int_equal(all.shares, 1000);
}

static void nobody_is_stopped_unless_he_said_so(void **state)
{
    struct mc_settings all = mc_settings_default(), own = {0};

    (void)state;
    assert_int_equal(mc_settings_resolve(&all, MC_GIB).last_resort, MC_LAST_RESORT_NONE);
    assert_int_equal(mc_settings_resolve(&all, MC_GIB).cooldown_ms, MC_UNKNOWN);
    mc_settings_say(&own, "last-resort", "suspend", NULL);
    mc_settings_say(&own, "cooldown", "10s", NULL);
    mc_settings_merge(&all, &own);
    assert_int_equal(mc_settings_resolve(&all, MC_GIB).last_resort, MC_LAST_RESORT_SUSPEND);
    assert_int_equal(mc_settings_resolve(&all, MC_GIB).cooldown_ms, 10000);
}

static void an_unknown_key_is_told_the_known_ones(void **state)
{
    struct mc_settings settings = {0};
    struct mc_error err;

    (void)state;
    assert_true(mc_settings_say(&settings, "colour", "red", &err) < 0);
    for (enum mc_setting i = 0; i < MC_SETTING_COUNT; i++)
        assert_non_null(strstr(err.text, mc_setting_name(i)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolves_percentages_of_the_guests_memory),
        cmocka_unit_test(clamps_to_a_memory_that_was_lowered),
        cmocka_unit_test(refuses_and_leaves_settings_as_they_were),
        cmocka_unit_test(says_what_is_wrong_with_min_and_max),
        cmocka_unit_test(texts_read_back_as_what_was_said),
        cmocka_unit_test(nobody_is_stopped_unless_he_said_so),
        cmocka_unit_test(an_unknown_key_is_told_the_known_ones),
        cmocka_unit_test(an_empty_value_takes_a_setting_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
