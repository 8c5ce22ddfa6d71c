/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "testing.h"

#include <errno.h>

#include <memctl/units.h>

static void reads_sizes_as_people_write_them(void **state)
{
    static const struct {
        const char *text;
        uint64_t whole, bytes;
    } cases[] = {
        {"4096", 0, 4096},
        {"512M", 0, 512 * MC_MIB},
        {"512m", 0, 512 * MC_MIB},
        {"512MiB", 0, 512 * MC_MIB},
        {"1.5G", 0, 3 * MC_GIB / 2},
        {"0.1G", 0, MC_GIB / 10},
        {"1k", 0, 1024},
        {"2T", 0, 2048 * MC_GIB},
        {"25%", 400, 100},
        {"0.5%", 1000, 5},
        {"0", 0, 0},
        {"100%", 7, 7},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint64_t bytes = 1;

        assert_int_equal(mc_size_parse(cases[i].text, cases[i].whole, &bytes, NULL), 0);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void refuses_what_is_no_size(void **state)
{
    static const char *const bad[] = {"",
                                      "M",
                                      "12X",
                                      "12MB",
                                      "-1",
                                      "1..5G",
                                      "1,5G",
                                      "1 G",
                                      "0x10",
                                      "nan",
                                      "inf",
                                      "25%",
                                      "1e3",
                                      "%",
                                      "1GiBx",
                                      "5000T",
                                      "99999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct mc_error err = {0};
        uint64_t bytes = 77;

        assert_true(mc_size_parse(bad[i], 0, &bytes, &err) < 0);
        assert_int_equal(bytes, 77);
        assert_true(err.text[0]);
    }
}

static void writes_sizes_in_a_few_digits(void **state)
{
    char text[MC_SIZE_TEXT];

    (void)state;
    assert_string_equal(mc_size_format(text, 0), "0B");
    assert_string_equal(mc_size_format(text, 1023), "1023B");
    assert_string_equal(mc_size_format(text, 512 * MC_MIB), "512M");
    assert_string_equal(mc_size_format(text, 3 * MC_GIB / 2), "1.50G");
    assert_string_equal(mc_size_format(text, 12 * MC_GIB + MC_GIB / 2), "12.5G");
    assert_string_equal(mc_size_format(text, MC_GIB - 1), "1.00G");
    assert_string_equal(mc_size_format(text, MC_UNKNOWN), "-");
}

static void reads_spans_of_time(void **state)
{
    uint64_t ms = 0;

    (void)state;
    assert_int_equal(mc_span_parse("500ms", &ms, NULL), 0);
    assert_int_equal(ms, 500);
    assert_int_equal(mc_span_parse("2", &ms, NULL), 0);
    assert_int_equal(ms, 2000);
    assert_int_equal(mc_span_parse("1.5s", &ms, NULL), 0);
    assert_int_equal(ms, 1500);
    assert_int_equal(mc_span_parse("10min", &ms, NULL), 0);
    assert_int_equal(ms, 600000);
    assert_true(mc_span_parse("soon", &ms, NULL) < 0);
    assert_true(mc_span_parse("2000d", &ms, NULL) < 0);
    assert_int_equal(ms, 600000);
}

static void keeps_the_error_of_the_innermost_and_the_place_of_the_outer(void **state)
{
    struct mc_error err;

    (void)state;
    assert_int_equal(mc_error_set(&err, -EINVAL, "'%s' is no number", "x"), -EINVAL);
    mc_error_prefix(&err, "line %d: ", 3);
    assert_string_equal(err.text, "line 3: 'x' is no number");
    assert_int_equal(err.code, -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_sizes_as_people_write_them),
        cmocka_unit_test(refuses_what_is_no_size),
        cmocka_unit_test(writes_sizes_in_a_few_digits),
        cmocka_unit_test(reads_spans_of_time),
        cmocka_unit_test(keeps_the_error_of_the_innermost_and_the_place_of_the_outer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
