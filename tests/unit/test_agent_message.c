/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parser of the agents' messages takes, and what it refuses. */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/agent_protocol.h>
#include <memctl/units.h>

#include "agent_message.h"
#include "agent_messages.h"

static int parse(const char *line)
{
    struct agent_message message;

    return agent_message_parse(line, strlen(line), &message);
}

static void takes_a_hello(void **state)
{
    struct agent_message message;

    (void)state;
    assert_int_equal(agent_message_parse(HELLO, strlen(HELLO), &message), 0);
    assert_int_equal(message.type, AGENT_HELLO);
    assert_int_equal(message.seq, 0);
    assert_string_equal(message.hello.version, "1.2.3");
    assert_string_equal(message.hello.kernel, "6.1.0");
    assert_int_equal(message.hello.capabilities, AGENT_CAN_MEMORY);
}

static void takes_a_report_and_passes_over_unknown_fields(void **state)
{
    static const char line[] =
        REPORT_HEAD "\"memory\":{\"total\":1000,\"free\":200,\"available\":600,\"cached\":50,"
                    "\"swap_total\":10,\"swap_free\":10,\"colour\":\"red\"},"
                    "\"counters\":{\"swap_in\":7,\"oom_kill\":1},\"later\":[1,{}]}";
    struct agent_message message;

    (void)state;
    assert_int_equal(agent_message_parse(line, strlen(line), &message), 0);
    assert_int_equal(message.type, AGENT_REPORT);
    assert_int_equal(message.seq, 1);
    assert_int_equal(message.report.total, 1000);
    assert_int_equal(message.report.free, 200);
    assert_int_equal(message.report.available, 600);
    assert_int_equal(message.report.cached, 50);
    assert_int_equal(message.report.swap_total, 10);
    assert_int_equal(message.report.swap_free, 10);
    assert_int_equal(message.report.swap_in, 7);
    assert_int_equal(message.report.oom_kill, 1);
    assert_true(message.report.major_faults == MC_UNKNOWN);
}

static void takes_distress_as_a_report_with_a_reason(void **state)
{
    static const struct {
        const char *word;
        enum agent_reason reason;
    } words[] = {{"low", AGENT_REASON_LOW},
                 {"falling", AGENT_REASON_FALLING},
                 {"stall", AGENT_REASON_STALL},
                 {"over", AGENT_REASON_OVER},
                 {"flood", AGENT_REASON_OTHER}};
    struct agent_message message;
    char line[256];

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        snprintf(line, sizeof(line), DISTRESS_WITH("3", "\"reason\":\"%s\""), words[i].word);
        assert_int_equal(agent_message_parse(line, strlen(line), &message), 0);
        assert_int_equal(message.type, AGENT_DISTRESS);
        assert_int_equal(message.seq, 3);
        assert_int_equal(message.report.reason, words[i].reason);
        assert_int_equal(message.report.available, 600);
        assert_true(message.report.rate == MC_UNKNOWN);
    }
    assert_int_equal(agent_message_parse(DISTRESS("9"), strlen(DISTRESS("9")), &message), 0);
    assert_int_equal(message.report.rate, 5);
}

static void refuses_distress_without_its_fields(void **state)
{
    static const char *const lines[] = {
        "{\"memctl-agent\":1,\"type\":\"distress\",\"seq\":1,\"reason\":\"low\"}",
        DISTRESS_WITH("1", "\"rate\":1"),
        DISTRESS_WITH("1", "\"reason\":1"),
        DISTRESS_WITH("1", "\"reason\":null"),
        DISTRESS_WITH("1", "\"reason\":[\"low\"]"),
        DISTRESS_WITH("1", "\"reason\":\"low\",\"rate\":-1"),
        DISTRESS_WITH("1", "\"reason\":\"low\",\"rate\":1.5"),
        DISTRESS_WITH("1", "\"reason\":\"low\",\"rate\":9223372036854775807"),
        DISTRESS_WITH("-1", "\"reason\":\"low\""),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_int_equal(parse(lines[i]), -EINVAL);
}

static void needs_no_nul_at_the_end(void **state)
{
    struct agent_message message;
    char *exact = malloc(strlen(REPORT));

    (void)state;
    assert_non_null(exact);
    memcpy(exact, REPORT, strlen(REPORT));
    assert_int_equal(agent_message_parse(exact, strlen(REPORT), &message), 0);
    free(exact);
}

static void refuses_what_is_no_message(void **state)
{
    static const char *const lines[] = {
        "",      "\n", "hello", "null",         "7",    "\"memctl-agent\"",
        "[]",    "{}", "{",     "\xff\xfe\xfd", "{}{}", "{\"memctl-agent\":\"1\"}",
        "{1:2}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_int_equal(parse(lines[i]), -EBADMSG);
}

static void refuses_every_truncation(void **state)
{
    struct agent_message message;

    (void)state;
    for (size_t length = 0; length < strlen(REPORT); length++)
        assert_int_equal(agent_message_parse(REPORT, length, &message), -EBADMSG);
    assert_int_equal(parse(REPORT "x"), -EBADMSG);
}

static void tells_other_versions_and_types_apart(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"memctl-agent\":2,\"type\":\"report\",\"seq\":1}"), -EPROTO);
    assert_int_equal(parse("{\"memctl-agent\":1,\"type\":\"poem\",\"seq\":1}"), -ENOTSUP);
    assert_int_equal(parse("{\"memctl-agent\":1,\"seq\":1}"), -EINVAL);
}

static void refuses_impossible_memory(void **state)
{
    static const char *const lines[] = {
        REPORT_HEAD "\"memory\":7}",
        REPORT_HEAD "\"counters\":{}}",
        REPORT_OF(""),
        REPORT_OF("\"total\":1000,\"free\":200"),
        REPORT_OF("\"total\":1000,\"free\":1001,\"available\":600"),
        REPORT_OF("\"total\":1000,\"free\":200,\"available\":1001"),
        REPORT_OF("\"total\":0,\"free\":0,\"available\":0"),
        REPORT_OF("\"total\":1000,\"free\":-1,\"available\":600"),
        REPORT_OF("\"total\":-1000,\"free\":-2000,\"available\":-1500"),
        REPORT_OF("\"total\":1000.5,\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":1e3,\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":\"1000\",\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":null,\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":true,\"free\":0,\"available\":0"),
        REPORT_OF("\"total\":9007199254740992,\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":9223372036854775807,\"free\":200,\"available\":600"),
        REPORT_OF("\"total\":1000,\"free\":200,\"available\":600,\"swap_total\":10"),
        REPORT_OF("\"total\":1000,\"free\":200,\"available\":600,\"swap_free\":10"),
        REPORT_OF("\"total\":1000,\"free\":2,\"available\":6,\"swap_total\":1,\"swap_free\":2"),
        REPORT_OF("\"total\":1000,\"free\":2,\"available\":6,\"anon_huge\":1001"),
        REPORT_HEAD "\"memory\":{\"total\":9,\"free\":2,\"available\":6},\"counters\":[]}",
        REPORT_HEAD "\"memory\":{\"total\":9,\"free\":2,\"available\":6},"
                    "\"counters\":{\"swap_in\":-1}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_int_equal(parse(lines[i]), -EINVAL);
}

#define WITH_SET(fields) REPORT_HEAD "\"working_set\":{" fields "}," SMALL_MEMORY "}"

static void takes_a_working_set(void **state)
{
    struct agent_message message;
    const struct agent_working_set *set = &message.report.working_set;
    const char *line = WITH_SET("\"method\":\"lru-gen\",\"active\":500,\"read_cache\":300,"
                                "\"kernel\":200,\"window_ms\":10000,\"age_ms\":17,"
                                "\"confidence\":95,\"cost\":640,\"more\":[]");

    (void)state;
    assert_int_equal(agent_message_parse(line, strlen(line), &message), 0);
    assert_string_equal(set->method, "lru-gen");
    assert_true(set->active == 500 && set->read_cache == 300 && set->kernel == 200);
    assert_true(set->window_ms == 10000 && set->age_ms == 17);
    assert_true(set->confidence == 95 && set->cost == 640);

    line = WITH_SET("\"method\":\"x\",\"active\":0");
    assert_int_equal(agent_message_parse(line, strlen(line), &message), 0);
    assert_true(set->confidence == 0 && set->read_cache == 0 && set->kernel == 0);
    assert_int_equal(agent_message_parse(REPORT, strlen(REPORT), &message), 0);
    assert_string_equal(set->method, "");
}

static void refuses_impossible_working_sets(void **state)
{
    static const char *const lines[] = {
        WITH_SET(""),
        WITH_SET("\"method\":\"x\""),
        WITH_SET("\"active\":5"),
        WITH_SET("\"method\":\"\",\"active\":5"),
        WITH_SET("\"method\":\"sixteen letters!\",\"active\":5"),
        WITH_SET("\"method\":\"\\u001b[2J\",\"active\":5"),
        WITH_SET("\"method\":\"x\",\"active\":1001"),
        WITH_SET("\"method\":\"x\",\"active\":-1"),
        WITH_SET("\"method\":\"x\",\"active\":600,\"read_cache\":401"),
        WITH_SET("\"method\":\"x\",\"active\":600,\"read_cache\":400,\"kernel\":1"),
        WITH_SET("\"method\":\"x\",\"active\":5,\"confidence\":101"),
        WITH_SET("\"method\":\"x\",\"active\":5,\"age_ms\":3600001"),
        WITH_SET("\"method\":\"x\",\"active\":5,\"window_ms\":1e3"),
        REPORT_HEAD "\"working_set\":null," SMALL_MEMORY "}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_int_equal(parse(lines[i]), -EINVAL);
}

static void refuses_numbers_beyond_64_bits(void **state)
{
    (void)state;
    assert_int_equal(parse(REPORT_OF("\"total\":9223372036854775808,\"free\":0,\"available\":0")),
                     -EBADMSG);
    assert_int_equal(parse(REPORT_OF("\"total\":1e999,\"free\":0,\"available\":0")), -EBADMSG);
}

static void refuses_duplicate_keys(void **state)
{
    (void)state;
    assert_int_equal(parse(REPORT_OF("\"total\":9,\"total\":99,\"free\":2,\"available\":6")),
                     -EBADMSG);
}

static void refuses_nul_bytes(void **state)
{
    char line[] = REPORT;
    struct agent_message message;

    (void)state;
    assert_int_equal(parse("{\"memctl-agent\":1,\"type\":\"rep\\u0000ort\",\"seq\":1}"), -EBADMSG);
    line[10] = '\0';
    assert_int_equal(agent_message_parse(line, strlen(REPORT), &message), -EBADMSG);
}

static void refuses_deep_nesting_and_long_lines(void **state)
{
    char line[2 * MC_AGENT_LINE_MAX];
    struct agent_message message;

    (void)state;
    memset(line, '[', sizeof(line));
    assert_int_equal(agent_message_parse(line, MC_AGENT_LINE_MAX - 1, &message), -EBADMSG);
    assert_int_equal(agent_message_parse(line, sizeof(line), &message), -EBADMSG);
    memset(line, ' ', sizeof(line));
    memcpy(line, REPORT, strlen(REPORT));
    assert_int_equal(agent_message_parse(line, MC_AGENT_LINE_MAX - 1, &message), 0);
    assert_int_equal(agent_message_parse(line, MC_AGENT_LINE_MAX, &message), -EBADMSG);
}

static void refuses_texts_that_a_terminal_would_obey(void **state)
{
    static const char *const versions[] = {
        "\\u001b[2J", "1\\n2", "0123456789012345678901234567890123456789", "\\u202e", "a'b\\\"c",
    };
    char line[512];

    (void)state;
    for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
        snprintf(line, sizeof(line),
                 "{\"memctl-agent\":1,\"type\":\"hello\",\"seq\":0,\"version\":\"%s\","
                 "\"kernel\":\"6\",\"capabilities\":[]}",
                 versions[i]);
        assert_int_equal(parse(line), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_hello),
        cmocka_unit_test(takes_a_report_and_passes_over_unknown_fields),
        cmocka_unit_test(takes_distress_as_a_report_with_a_reason),
        cmocka_unit_test(refuses_distress_without_its_fields),
        cmocka_unit_test(needs_no_nul_at_the_end),
        cmocka_unit_test(refuses_what_is_no_message),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(tells_other_versions_and_types_apart),
        cmocka_unit_test(refuses_impossible_memory),
        cmocka_unit_test(takes_a_working_set),
        cmocka_unit_test(refuses_impossible_working_sets),
        cmocka_unit_test(refuses_numbers_beyond_64_bits),
        cmocka_unit_test(refuses_duplicate_keys),
        cmocka_unit_test(refuses_nul_bytes),
        cmocka_unit_test(refuses_deep_nesting_and_long_lines),
        cmocka_unit_test(refuses_texts_that_a_terminal_would_obey),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
