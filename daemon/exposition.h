/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes metrics in Prometheus' text format or as OpenMetrics 1.0. The two differ in the names of
 * counters and infos in the TYPE line, in the UNIT lines and in the EOF.
 */
#ifndef MEMCTLD_EXPOSITION_H
#define MEMCTLD_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS };

/* By type, names end: counters in _total, infos in _info. */
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_INFO, METRIC_HISTOGRAM };

struct exposition {
    enum exposition_format format;
    char *text; /* no string; of the caller, who frees it */
    size_t length, room;
    bool failed; /* there was no memory: text is not complete */
};

/* The lines before a family's samples, which follow at once. name as its samples have it. */
void exposition_family(struct exposition *out, const char *name, enum metric_type type,
                       const char *help);

/* labels: `a="b",c="d"` as exposition_label() makes them, or "" for none. */
void exposition_count(struct exposition *out, const char *name, const char *labels, uint64_t value);
void exposition_number(struct exposition *out, const char *name, const char *labels, double value);

/* Bounds of a histogram's buckets in seconds, and the texts that OpenMetrics wants for them. */
#define HISTOGRAM_BUCKETS 11

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS + 1]; /* each for itself; the last one has no bound */
    double sum;
};

void histogram_add(struct histogram *histogram, double seconds);
void exposition_histogram(struct exposition *out, const char *name,
                          const struct histogram *histogram);

/*
 * Append name="value" to the labels in text, of which length bytes are there. Quotes, backslashes
 * and newlines are escaped, and what is not UTF-8 is replaced, since one bad byte would make the
 * whole page unreadable. Returns the new length; what has no room is left out as a whole.
 */
size_t exposition_label(char *text, size_t size, size_t length, const char *name,
                        const char *value);

/* Ends the page. */
void exposition_end(struct exposition *out);

const char *exposition_content_type(enum exposition_format format);

/* The format that an Accept header asks for; NULL for none. */
enum exposition_format exposition_choose(const char *accept);

#endif
