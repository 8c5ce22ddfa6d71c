/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "exposition.h"
#include "http_header.h"

static void weighs_what_a_client_accepts(void **state)
{
    static const struct {
        const char *field, *item;
        double quality;
    } cases[] = {
        {NULL, "gzip", 0},
        {"", "gzip", 0},
        {"gzip", "gzip", 1},
        {"GZip", "gzip", 1},
        {"br, gzip", "gzip", 1},
        {"br;q=1.0,gzip ; q=0.5", "gzip", 0.5},
        {"gzip;q=0", "gzip", 0},
        {"gzipped", "gzip", 0},
        {"x-gzip", "gzip", 0},
        {"gzip;q=nan", "gzip", 0},
        {"gzip;q=7", "gzip", 0},
        {"gzip;q=-1", "gzip", 0},
        {"text/plain;version=0.0.4;q=0.25", "text/plain", 0.25},
        {"text/plain;version=1;q=0.2,text/plain;q=0.7", "text/plain", 0.7},
        {",,,", "gzip", 0},
        {";;;q=1,gzip", "gzip", 1},
        {"  gzip  ", "gzip", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_float_equal(http_quality(cases[i].field, cases[i].item), cases[i].quality, 1e-9);
}

static void knows_its_own_names(void **state)
{
    static const struct {
        const char *host;
        bool ours;
    } cases[] = {
        {NULL, true},
        {"", true},
        {"127.0.0.1", true},
        {"192.0.2.1", true},
        {"[::1]", true},
        {"[fe80::1]", true},
        {"localhost", true},
        {"LOCALHOST", true},
        {"localhost.", true},
        {"kvm7", true},
        {"kvm7.example.org", true},
        {"KVM7.Example.org.", true},
        {"alias", true},
        {"second.example.org", true},
        {".", false},
        {"kvm", false},
        {"kvm7.example", false},
        {"kvm7.example.org.net", false},
        {"127.0.0.1.example.org", false},
        {"0x7f000001", false},
        {"[::1", false},
        {"[]", false},
        {"[::1]x", false},
        {"::1", false},
        {"alias second.example.org", false},
        {"example.org", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(
            http_host_is_ours(cases[i].host, "kvm7.example.org", " alias\tsecond.example.org "),
            cases[i].ours);
    /* A machine without a name does not go by every name. */
    assert_false(http_host_is_ours("x", "", ""));
    assert_false(http_host_is_ours(".", "", ""));
}

static void writes_labels_that_can_be_read_back(void **state)
{
    static const struct {
        const char *value, *wanted;
    } cases[] = {
        {"web1", "d=\"web1\""},
        {"", "d=\"\""},
        {"a\"b\\c\nd", "d=\"a\\\"b\\\\c\\nd\""},
        {"\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\xa7", "d=\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\xa7\""},
        {"a\x01\x1f", "d=\"a??\""},
        {"\xff\xc3", "d=\"??\""},                /* no UTF-8, and a character that is cut */
        {"\xc0\xaf\xed\xa0\x80", "d=\"?????\""}, /* over-long, and half a pair */
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(exposition_label(text, sizeof(text), 0, "d", cases[i].value),
                         strlen(cases[i].wanted));
        assert_string_equal(text, cases[i].wanted);
    }
}

static void leaves_out_a_label_without_room(void **state)
{
    char text[16];
    size_t length;

    (void)state;
    length = exposition_label(text, sizeof(text), 0, "a", "1");
    assert_string_equal(text, "a=\"1\"");
    for (size_t size = length + 1; size < sizeof(text); size++) {
        assert_int_equal(exposition_label(text, size, length, "long", "value"), length);
        assert_string_equal(text, "a=\"1\"");
    }
    assert_int_equal(exposition_label(text, 12, length, "b", "2"), 11);
    assert_string_equal(text, "a=\"1\",b=\"2\"");
}

static void counts_into_the_right_bucket(void **state)
{
    struct histogram histogram = {0};
    struct exposition out = {0};

    (void)state;
    histogram_add(&histogram, 0.001); /* a bound belongs to its bucket */
    histogram_add(&histogram, 0.0011);
    histogram_add(&histogram, 100);
    exposition_histogram(&out, "x", &histogram);
    assert_false(out.failed);
    out.text[out.length - 1] = '\0';
    assert_non_null(strstr(out.text, "x_bucket{le=\"0.0005\"} 0\n"));
    assert_non_null(strstr(out.text, "x_bucket{le=\"0.001\"} 1\n"));
    assert_non_null(strstr(out.text, "x_bucket{le=\"0.0025\"} 2\n"));
    assert_non_null(strstr(out.text, "x_bucket{le=\"10.0\"} 2\n"));
    assert_non_null(strstr(out.text, "x_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(out.text, "x_sum 100.0021\n"));
    free(out.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weighs_what_a_client_accepts),
        cmocka_unit_test(knows_its_own_names),
        cmocka_unit_test(writes_labels_that_can_be_read_back),
        cmocka_unit_test(leaves_out_a_label_without_room),
        cmocka_unit_test(counts_into_the_right_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
