/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scanner walks over an object once. What is nested is passed over by counting brackets, so
 * that there is no recursion that a line could drive.
 */
#include "json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void json_put(struct json_text *out, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(out->text + out->length, out->room - out->length, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= out->room - out->length)
        out->is_full = true;
    else
        out->length += (size_t)length;
}

struct scan {
    const char *at, *end;
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) && *scan->at)
        scan->at++;
}

static bool skip_byte(struct scan *scan, char byte)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != byte)
        return false;
    scan->at++;
    return true;
}

static bool skip_text(struct scan *scan)
{
    if (!skip_byte(scan, '"'))
        return false;
    for (; scan->at < scan->end; scan->at++) {
        if (*scan->at == '\\' && scan->at + 1 < scan->end)
            scan->at++;
        else if (*scan->at == '"')
            return skip_byte(scan, '"');
    }
    return false;
}

/* A number or a word that has no brackets ends where the object goes on. */
static bool skip_plain(struct scan *scan)
{
    const char *start = scan->at;

    while (scan->at < scan->end && !strchr(",:{}[]\" \t\r\n", *scan->at))
        scan->at++;
    return scan->at > start;
}

static bool skip_value(struct scan *scan)
{
    size_t depth = 0;

    do {
        skip_space(scan);
        if (scan->at == scan->end)
            return false;
        if (*scan->at == '{' || *scan->at == '[') {
            depth++;
            scan->at++;
        } else if (depth && (*scan->at == '}' || *scan->at == ']')) {
            depth--;
            scan->at++;
        } else if (depth && (*scan->at == ',' || *scan->at == ':')) {
            scan->at++;
        } else if (!(*scan->at == '"' ? skip_text(scan) : skip_plain(scan))) {
            return false;
        }
    } while (depth);
    return true;
}

static bool note(struct json_member *members, size_t count, const char *name, size_t length,
                 const char *text, size_t text_length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(members[i].name) != length || memcmp(members[i].name, name, length) != 0)
            continue;
        if (members[i].text)
            return false;
        members[i].text = text;
        members[i].length = text_length;
    }
    return true;
}

static bool find_member(struct scan *scan, struct json_member *members, size_t count)
{
    const char *name, *text;
    size_t name_length;

    skip_space(scan);
    name = scan->at + 1;
    if (!skip_text(scan))
        return false;
    name_length = (size_t)(scan->at - 1 - name);
    if (!skip_byte(scan, ':'))
        return false;
    skip_space(scan);
    text = scan->at;
    return skip_value(scan) &&
           note(members, count, name, name_length, text, (size_t)(scan->at - text));
}

bool json_find(const char *text, size_t length, struct json_member *members, size_t count)
{
    struct scan scan = {.at = text, .end = text + length};

    for (size_t i = 0; i < count; i++)
        members[i].text = NULL;
    if (!skip_byte(&scan, '{'))
        return false;
    do {
        if (!find_member(&scan, members, count))
            return false;
    } while (skip_byte(&scan, ','));
    if (!skip_byte(&scan, '}'))
        return false;
    skip_space(&scan);
    return scan.at == scan.end;
}

bool json_number(const struct json_member *member, uint64_t limit, uint64_t *number)
{
    *number = 0;
    if (!member->text || !member->length || (member->length > 1 && *member->text == '0'))
        return false;
    for (size_t i = 0; i < member->length; i++) {
        unsigned digit = (unsigned)(member->text[i] - '0');

        if (digit > 9 || *number > (limit - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return true;
}

bool json_is_text(const struct json_member *member, const char *word)
{
    size_t length = strlen(word);

    return member->text && member->length == length + 2 && member->text[0] == '"' &&
           memcmp(member->text + 1, word, length) == 0 && member->text[length + 1] == '"';
}
