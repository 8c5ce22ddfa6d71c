/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exposition.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_header.h"

#define FIRST_ROOM 65536
#define NUMBER_TEXT 32

static const double bounds[HISTOGRAM_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                 0.05,   0.1,   0.5,    1,     10};
static const char *const bound_names[HISTOGRAM_BUCKETS + 1] = {"0.0005", "0.001", "0.0025", "0.005",
                                                               "0.01",   "0.025", "0.05",   "0.1",
                                                               "0.5",    "1.0",   "10.0",   "+Inf"};

/* ---- text that grows ---- */

static bool make_room(struct exposition *out, size_t more)
{
    size_t room = out->room ? out->room : FIRST_ROOM;
    char *text;

    if (out->failed)
        return false;
    if (out->length + more <= out->room)
        return true;
    while (room < out->length + more)
        room *= 2;
    text = realloc(out->text, room);
    if (!text) {
        out->failed = true;
        return false;
    }
    out->text = text;
    out->room = room;
    return true;
}

static void add_bytes(struct exposition *out, const char *bytes, size_t length)
{
    if (!make_room(out, length))
        return;
    memcpy(out->text + out->length, bytes, length);
    out->length += length;
}

static void add(struct exposition *out, const char *text)
{
    add_bytes(out, text, strlen(text));
}

/* A page has 40 numbers for each guest: printf would be most of its cost. */
static void add_count(struct exposition *out, uint64_t value)
{
    char digits[NUMBER_TEXT];
    char *first = digits + sizeof(digits);

    do
        *--first = (char)('0' + value % 10);
    while (value /= 10);
    add_bytes(out, first, (size_t)(digits + sizeof(digits) - first));
}

static void add_number(struct exposition *out, double value)
{
    char text[NUMBER_TEXT];

    snprintf(text, sizeof(text), "%.9g", value);
    add(out, text);
}

static void begin_sample(struct exposition *out, const char *name, const char *labels)
{
    add(out, name);
    if (*labels) {
        add(out, "{");
        add(out, labels);
        add(out, "}");
    }
    add(out, " ");
}

void exposition_count(struct exposition *out, const char *name, const char *labels, uint64_t value)
{
    begin_sample(out, name, labels);
    add_count(out, value);
    add(out, "\n");
}

void exposition_number(struct exposition *out, const char *name, const char *labels, double value)
{
    begin_sample(out, name, labels);
    add_number(out, value);
    add(out, "\n");
}

/* ---- families ---- */

static size_t without(const char *name, size_t length, const char *suffix)
{
    size_t end = strlen(suffix);

    return length > end && memcmp(name + length - end, suffix, end) == 0 ? length - end : length;
}

static const char *unit_of(const char *name, size_t length)
{
    static const char *const units[] = {"bytes", "seconds", "ratio"};

    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        char suffix[16] = "_";

        strcat(suffix, units[i]);
        if (without(name, length, suffix) < length)
            return units[i];
    }
    return NULL;
}

static void add_line(struct exposition *out, const char *keyword, const char *name, size_t length,
                     const char *rest)
{
    add(out, "# ");
    add(out, keyword);
    add(out, " ");
    add_bytes(out, name, length);
    add(out, " ");
    add(out, rest);
    add(out, "\n");
}

void exposition_family(struct exposition *out, const char *name, enum metric_type type,
                       const char *help)
{
    static const char *const types[][2] = {
        [METRIC_COUNTER] = {"counter", "counter"},
        [METRIC_GAUGE] = {"gauge", "gauge"},
        [METRIC_INFO] = {"gauge", "info"},
        [METRIC_HISTOGRAM] = {"histogram", "histogram"},
    };
    bool open = out->format == EXPOSITION_OPENMETRICS;
    size_t length = strlen(name);
    const char *unit;

    if (open && type == METRIC_COUNTER)
        length = without(name, length, "_total");
    if (open && type == METRIC_INFO)
        length = without(name, length, "_info");
    add_line(out, "HELP", name, length, help);
    add_line(out, "TYPE", name, length, types[type][open]);
    unit = open ? unit_of(name, length) : NULL;
    if (unit)
        add_line(out, "UNIT", name, length, unit);
}

void histogram_add(struct histogram *histogram, double seconds)
{
    size_t i = 0;

    while (i < HISTOGRAM_BUCKETS && seconds > bounds[i])
        i++;
    histogram->buckets[i]++;
    histogram->sum += seconds;
}

void exposition_histogram(struct exposition *out, const char *name,
                          const struct histogram *histogram)
{
    uint64_t below = 0;
    char sample[128], label[32];

    snprintf(sample, sizeof(sample), "%s_bucket", name);
    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        below += histogram->buckets[i];
        snprintf(label, sizeof(label), "le=\"%s\"", bound_names[i]);
        exposition_count(out, sample, label, below);
    }
    snprintf(sample, sizeof(sample), "%s_sum", name);
    exposition_number(out, sample, "", histogram->sum);
    snprintf(sample, sizeof(sample), "%s_count", name);
    exposition_count(out, sample, "", below);
}

void exposition_end(struct exposition *out)
{
    if (out->format == EXPOSITION_OPENMETRICS)
        add(out, "# EOF\n");
}

/* ---- labels ---- */

/* The bytes of the UTF-8 character at p, 0 if there is none: RFC 3629, section 4. */
static size_t character_at(const unsigned char *p)
{
    size_t length;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    length = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0; /* also the end of the text */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

/* The label's value as it is written, at most 4 bytes at a time; the step that it is read in. */
static size_t escape(const unsigned char *p, char escaped[5])
{
    size_t length = character_at(p);

    memset(escaped, 0, 5);
    if (*p == '\\' || *p == '"' || *p == '\n') {
        escaped[0] = '\\';
        escaped[1] = (char)(*p == '\n' ? 'n' : *p);
        return 1;
    }
    if (!length || *p < ' ') {
        escaped[0] = '?';
        return 1;
    }
    memcpy(escaped, p, length);
    return length;
}

size_t exposition_label(char *text, size_t size, size_t length, const char *name, const char *value)
{
    const unsigned char *p = (const unsigned char *)value;
    size_t end = length;
    char escaped[5];

    end += (size_t)snprintf(text + end, size - end, "%s%s=\"", length ? "," : "", name);
    while (*p && end < size) {
        p += escape(p, escaped);
        end += (size_t)snprintf(text + end, size - end, "%s", escaped);
    }
    if (end + 2 > size) {
        text[length] = '\0';
        return length;
    }
    memcpy(text + end, "\"", 2);
    return end + 1;
}

/* ---- what the client wants ---- */

const char *exposition_content_type(enum exposition_format format)
{
    return format == EXPOSITION_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

enum exposition_format exposition_choose(const char *accept)
{
    double open = http_quality(accept, "application/openmetrics-text");
    double text = fmax(http_quality(accept, "text/plain"), http_quality(accept, "*/*"));

    return open > 0 && open >= text ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
}
