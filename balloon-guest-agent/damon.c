/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DAMON (Linux 6.6, Documentation/admin-guide/mm/damon/usage.rst): a thread of the kernel divides
 * the guest's memory into regions, looks at one page of each now and then, and splits and joins
 * regions as they turn out to be different or alike. What it costs is bounded, whatever the guest's
 * size; what it says is an approximation.
 *
 * Two schemes that only count stand for the two halves of a window: what was touched in the last
 * aggregation of half a window, and what was not, but was in the one before.
 */
#include "workset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADMIN "/sys/kernel/mm/damon/admin/kdamonds"
#define ONE ADMIN "/0"
#define CONTEXT ONE "/contexts/0"
#define SCHEMES CONTEXT "/schemes"

/* So many looks at a region within an aggregation; 500 regions then cost about 0.1 % at 5 s. */
#define SAMPLES 10
#define REGIONS_LEAST "50"
#define REGIONS_MOST "500"

/* Ranges of memory; a guest has two or three. */
#define RANGES_MAX 32

static int set(const char *root, const char *path, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return file_write(root, path, text);
}

static uint64_t get(const char *root, const char *path)
{
    char text[32];

    return file_read(root, path, text, sizeof(text)) > 0 ? strtoull(text, NULL, 10) : 0;
}

/* All memory, from lines like "00100000-7ffdbfff : System RAM". */
static int set_regions(const char *root)
{
    char *text = malloc(65536), path[160];
    uint64_t from[RANGES_MAX], to[RANGES_MAX];
    size_t count = 0;
    int rc = 0;

    if (!text || file_read(root, "/proc/iomem", text, 65536) <= 0) {
        free(text);
        return -ENODATA;
    }
    for (const char *line = text; line && *line && count < RANGES_MAX;) {
        uint64_t start, end;

        if (*line != ' ' && sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2 &&
            strncmp(line + strcspn(line, ":\n"), ": System RAM", 12) == 0 && end > 0) {
            from[count] = start;
            to[count++] = end + 1;
        }
        line = strchr(line, '\n');
        line += line != NULL;
    }
    free(text);
    if (count == 0 || set(root, CONTEXT "/targets/0/regions/nr_regions", count) < 0)
        return -ENODATA;
    for (size_t i = 0; i < count && rc == 0; i++) {
        snprintf(path, sizeof(path), CONTEXT "/targets/0/regions/%zu/start", i);
        rc = set(root, path, from[i]);
        snprintf(path, sizeof(path), CONTEXT "/targets/0/regions/%zu/end", i);
        rc = rc < 0 ? rc : set(root, path, to[i]);
    }
    return rc;
}

/* One that counts what has the given number of touches and age, in aggregations. */
static int set_scheme(const char *root, unsigned number, uint64_t touches_least,
                      uint64_t touches_most, uint64_t age_most)
{
    const struct {
        const char *name;
        uint64_t value;
    } bounds[] = {
        {"sz/min", 0},
        {"sz/max", INT64_MAX},
        {"nr_accesses/min", touches_least},
        {"nr_accesses/max", touches_most},
        {"age/min", 0},
        {"age/max", age_most},
    };
    char path[160];
    int rc;

    snprintf(path, sizeof(path), SCHEMES "/%u/action", number);
    rc = file_write(root, path, "stat");
    for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds) && rc == 0; i++) {
        snprintf(path, sizeof(path), SCHEMES "/%u/access_pattern/%s", number, bounds[i].name);
        rc = set(root, path, bounds[i].value);
    }
    return rc;
}

static int set_up(const char *root, uint64_t aggregation_ms)
{
    static const struct {
        const char *path, *value;
    } steps[] = {
        {ADMIN "/nr_kdamonds", "1"},
        {ONE "/contexts/nr_contexts", "1"},
        {CONTEXT "/operations", "paddr"},
        {CONTEXT "/targets/nr_targets", "1"},
        {CONTEXT "/monitoring_attrs/nr_regions/max", REGIONS_MOST},
        {CONTEXT "/monitoring_attrs/nr_regions/min", REGIONS_LEAST},
        {SCHEMES "/nr_schemes", "2"},
    };
    uint64_t us = aggregation_ms * 1000;
    int rc = 0;

    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && rc == 0; i++)
        rc = file_write(root, steps[i].path, steps[i].value);
    if (rc < 0 || (rc = set_regions(root)) < 0 ||
        (rc = set(root, CONTEXT "/monitoring_attrs/intervals/update_us", us * 10)) < 0 ||
        (rc = set(root, CONTEXT "/monitoring_attrs/intervals/aggr_us", us)) < 0 ||
        (rc = set(root, CONTEXT "/monitoring_attrs/intervals/sample_us", us / SAMPLES)) < 0 ||
        (rc = set_scheme(root, 0, 1, UINT32_MAX, UINT32_MAX)) < 0 ||
        (rc = set_scheme(root, 1, 0, 0, 0)) < 0)
        return rc;
    return file_write(root, ONE "/state", "on");
}

static void stop(union source_state *state)
{
    file_write(state->damon.root, ONE "/state", "off");
    file_write(state->damon.root, ADMIN "/nr_kdamonds", "0");
}

static int start(union source_state *state, const char *root, uint64_t half_ms)
{
    struct damon *damon = &state->damon;
    char text[16];
    int rc;

    snprintf(damon->root, sizeof(damon->root), "%s", root);
    if (file_read(root, ADMIN "/nr_kdamonds", text, sizeof(text)) <= 0)
        return -ENOENT;
    if (strtoul(text, NULL, 10) > 0)
        return -EBUSY; /* somebody else's */
    rc = set_up(root, half_ms);
    if (rc == 0 && file_read(root, SCHEMES "/0/tried_regions/total_bytes", text, sizeof(text)) <= 0)
        rc = -EOPNOTSUPP; /* before Linux 6.6 it keeps no sums */
    if (rc < 0)
        stop(state);
    return rc;
}

static int begin(union source_state *state)
{
    state->damon.reads = 0;
    return 0;
}

/* The kernel answers with the sums of one whole aggregation, when the next one ends (Linux 6.6). */
static int look(union source_state *state, uint64_t *bytes)
{
    struct damon *damon = &state->damon;
    int rc = file_write(damon->root, ONE "/state", "update_schemes_tried_bytes");

    if (rc < 0)
        return rc;
    *bytes = get(damon->root, SCHEMES "/0/tried_regions/total_bytes");
    if (damon->reads++ > 0)
        *bytes += get(damon->root, SCHEMES "/1/tried_regions/total_bytes");
    return 0;
}

const struct source source_damon = {
    .name = "damon",
    .start = start,
    .begin = begin,
    .read = look,
    .stop = stop,
    .learns = 8, /* the first regions are large, and are split once in an aggregation */
};
