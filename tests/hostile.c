/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char plain_memory[] =
    "\"memory\":{\"total\":104857600,\"free\":1048576,\"available\":2097152}";

static uint64_t next_random(struct hostile *hostile)
{
    hostile->random ^= hostile->random << 13;
    hostile->random ^= hostile->random >> 7;
    hostile->random ^= hostile->random << 17;
    return hostile->random;
}

static size_t message(char *text, size_t room, const char *type, uint64_t seq, const char *fields)
{
    return (size_t)snprintf(text, room,
                            "{\"memctl-agent\":1,\"type\":\"%s\",\"seq\":%" PRIu64 ",%s}\n", type,
                            seq, fields);
}

static size_t say_reports(struct hostile *hostile, char *text, size_t room)
{
    return message(text, room, "report", ++hostile->seq, plain_memory);
}

static size_t say_halves(struct hostile *hostile, char *text, size_t room)
{
    size_t length = message(text, room, "report", ++hostile->seq, plain_memory);

    return 1 + next_random(hostile) % length;
}

static size_t say_long_lines(struct hostile *hostile, char *text, size_t room)
{
    static const size_t lengths[] = {4094, 4095, 4096, 4097, 8191};
    size_t length = lengths[next_random(hostile) % 5];
    size_t begun = message(text, room, "report", ++hostile->seq, plain_memory) - 1;

    memset(text + begun, ' ', length - begun);
    text[length] = '\n';
    return length + 1;
}

static size_t say_wrong_types(struct hostile *hostile, char *text, size_t room)
{
    static const char *const fields[] = {
        "\"memory\":[]",
        "\"memory\":{\"total\":\"1\",\"free\":1,\"available\":1}",
        "\"memory\":{\"total\":{},\"free\":[],\"available\":null}",
        "\"memory\":{\"total\":10,\"free\":1,\"available\":true}",
        "\"reason\":[],\"memory\":{\"total\":10,\"free\":1,\"available\":1}",
        "\"reason\":\"low\",\"rate\":{},\"memory\":{\"total\":10,\"free\":1,\"available\":1}",
        "\"working_set\":[],\"memory\":{\"total\":10,\"free\":1,\"available\":1}",
        ("\"working_set\":{\"method\":\"m\",\"active\":9,\"kernel\":2},"
         "\"memory\":{\"total\":10,\"free\":1,\"available\":1}"),
        "\"version\":7,\"kernel\":[],\"capabilities\":{}",
        "\"version\":\"\\u001b[2J\",\"kernel\":\"\\n\",\"capabilities\":[[]]",
    };
    static const char *const types[] = {"report", "distress", "hello", "interval", "\\u0000"};

    return message(text, room, types[next_random(hostile) % 5], ++hostile->seq,
                   fields[next_random(hostile) % 10]);
}

static size_t say_huge_numbers(struct hostile *hostile, char *text, size_t room)
{
    static const char *const numbers[] = {
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "1e308",
        "1e999",
        "-9223372036854775808",
        "-1",
        "9007199254740991",
        "0.1",
    };
    char fields[512];
    const char *one = numbers[next_random(hostile) % 9], *two = numbers[next_random(hostile) % 9];

    snprintf(fields, sizeof(fields),
             "\"reason\":\"low\",\"rate\":%s,\"memory\":{\"total\":%s,\"free\":%s,"
             "\"available\":%s},\"counters\":{\"stall_us\":%s}",
             one, two, one, two, two);
    return message(text, room, next_random(hostile) % 2 ? "distress" : "report", ++hostile->seq,
                   fields);
}

static size_t say_distress(struct hostile *hostile, char *text, size_t room)
{
    char fields[256];

    snprintf(fields, sizeof(fields), "\"reason\":\"low\",\"rate\":1099511627776,%s", plain_memory);
    return message(text, room, "distress", ++hostile->seq, fields);
}

static size_t say_echoes(struct hostile *hostile, char *text, size_t room)
{
    return message(text, room, "report", 1 + next_random(hostile) % 3, plain_memory);
}

static size_t say_noise(struct hostile *hostile, char *text, size_t room)
{
    size_t length = 1 + next_random(hostile) % (room < 4096 ? room : 4096);

    for (size_t i = 0; i < length; i++)
        text[i] = (char)next_random(hostile);
    return length;
}

static size_t say_brackets(struct hostile *hostile, char *text, size_t room)
{
    (void)hostile;
    (void)room;
    memset(text, '[', 4094);
    text[4094] = '\n';
    return 4095;
}

const char *const hostile_names[] = {
    "reports",  "halves", "long-lines", "wrong-types", "huge-numbers",
    "distress", "echoes", "noise",      "brackets",    NULL,
};

size_t hostile_bytes(struct hostile *hostile, size_t way, char *text, size_t room)
{
    static size_t (*const says[])(struct hostile *, char *, size_t) = {
        say_reports,  say_halves, say_long_lines, say_wrong_types, say_huge_numbers,
        say_distress, say_echoes, say_noise,      say_brackets,
    };

    return says[way](hostile, text, room);
}
