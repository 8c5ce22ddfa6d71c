/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lines that the agent in the guest writes and reads. */
#include "testing.h"

#include <string.h>

#include "agent.h"
#include "json.h"

static unsigned interval_of(const char *line)
{
    return message_interval(line, strlen(line));
}

static void obeys_the_interval(void **state)
{
    (void)state;
    assert_int_equal(interval_of("{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":5}"), 5);
    assert_int_equal(interval_of(" { \"seconds\" : 60 , \"x\":[1,{\"seconds\":[]},\"}\"],"
                                 "\"type\":\"interval\",\"memctl-agent\":1}\r"),
                     60);
}

static void passes_over_what_is_no_interval(void **state)
{
    static const char *const lines[] = {
        "",
        "{",
        "{}",
        "seconds",
        "{\"memctl-agent\":2,\"type\":\"interval\",\"seconds\":5}",
        "{\"memctl-agent\":1,\"type\":\"interva\",\"seconds\":5}",
        "{\"memctl-agent\":1,\"type\":\"interval\"}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":0}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":61}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":05}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":5.0}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":-5}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":\"5\"}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":18446744073709551617}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":5,\"seconds\":6}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":5}}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":5,}",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":5,\"x\":[[[",
        "{\"memctl-agent\":1,\"type\":\"interval\",\"seconds\":5,\"x\":\"\\",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_int_equal(interval_of(lines[i]), 0);
}

static void deep_nesting_costs_no_stack(void **state)
{
    char line[MC_AGENT_LINE_MAX];

    (void)state;
    memset(line, '[', sizeof(line));
    memcpy(line, "{\"x\":", 5);
    assert_int_equal(message_interval(line, sizeof(line)), 0);
}

static void distress_says_what_was_seen(void **state)
{
    struct memory memory;
    char text[512];
    size_t length;

    (void)state;
    memset(&memory, 0xff, sizeof(memory)); /* nothing is told */
    memory.memory[MEMORY_TOTAL] = 1000;
    memory.memory[MEMORY_AVAILABLE] = 7;
    memory.counters[COUNTER_STALL_US] = 9;
    memory.counters[COUNTER_INFLATED] = 9;
    length = message_distress(text, sizeof(text) - 1, 3, &memory, WATCH_FALLING, 55);
    text[length] = '\0';
    assert_string_equal(text, "{\"memctl-agent\":1,\"type\":\"distress\",\"seq\":3,"
                              "\"reason\":\"falling\",\"rate\":55,"
                              "\"memory\":{\"total\":1000,\"available\":7},"
                              "\"counters\":{\"stall_us\":9}}\n");
    for (size_t room = 0; room <= length; room++)
        assert_int_equal(message_distress(text, room, 3, &memory, WATCH_FALLING, 55), 0);
}

static void the_largest_report_fits_into_a_line(void **state)
{
    struct memory memory;
    char text[MC_AGENT_LINE_MAX];

    (void)state;
    memset(&memory, 0xfe, sizeof(memory));
    assert_in_range(message_distress(text, sizeof(text), UINT64_MAX, &memory, WATCH_OVER, 1), 100,
                    sizeof(text) / 2);
    assert_in_range(message_hello(text, sizeof(text)), 50, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(obeys_the_interval),
        cmocka_unit_test(passes_over_what_is_no_interval),
        cmocka_unit_test(deep_nesting_costs_no_stack),
        cmocka_unit_test(distress_says_what_was_seen),
        cmocka_unit_test(the_largest_report_fits_into_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
