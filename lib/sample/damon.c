/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Documentation/admin-guide/mm/damon/usage.rst of the kernel. A thread of the kernel divides the
 * memory of a process into regions, looks at one page of each of them now and then, and splits and
 * joins regions as they turn out to be different or alike. What it costs depends on the number of
 * regions, not on the guest's size.
 *
 * Three schemes that only count are applied once in an aggregation: to all regions, to those that
 * were touched, and to those that were touched at half of the looks or more. The first one tells
 * how many aggregations there were.
 *
 * All of DAMON's sysfs belongs to whoever sets the number of its threads. Ours are known by the
 * size that no region can have.
 */
#include "sample/damon.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memctl/units.h>

#define ADMIN "/sys/kernel/mm/damon/admin/kdamonds"
#define PLACE ADMIN "/%u"
#define CONTEXT PLACE "/contexts/0"

/* The address space of a process ends at 128 TiB. This is "memctl" in ASCII, 109 TiB. */
#define OUR_SIZE UINT64_C(0x6d656d63746c)

/* Looks at each region within an aggregation. */
#define LOOKS 20
#define REGIONS_LEAST 10
#define REGIONS_MOST 300

/* It begins with so many parts, so that it need not split everything from one region on. */
#define PARTS 60

enum scheme { SCHEME_ALL, SCHEME_TOUCHED, SCHEME_BUSY, SCHEMES };

static int open_file(const struct mc_damon *damon, const char *path, int how)
{
    char name[4096];
    int fd;

    snprintf(name, sizeof(name), "%s%s", damon->root, path);
    fd = open(name, how | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int put(const struct mc_damon *damon, const char *path, const char *text)
{
    int fd = open_file(damon, path, O_WRONLY | O_TRUNC), rc = 0;

    if (fd < 0)
        return fd;
    if (write(fd, text, strlen(text)) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int put_number(const struct mc_damon *damon, const char *path, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    return put(damon, path, text);
}

static int get(const struct mc_damon *damon, const char *path, uint64_t *number)
{
    char text[32], *end;
    int fd = open_file(damon, path, O_RDONLY);
    ssize_t length;

    if (fd < 0)
        return fd;
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    *number = strtoull(text, &end, 10);
    return end == text ? -ENODATA : 0;
}

/* A number or a word below a place's first context. */
static int set(const struct mc_damon *damon, unsigned place, const char *what, uint64_t number)
{
    char path[192];

    snprintf(path, sizeof(path), CONTEXT "/%s", place, what);
    return put_number(damon, path, number);
}

static int set_word(const struct mc_damon *damon, unsigned place, const char *what,
                    const char *word)
{
    char path[192];

    snprintf(path, sizeof(path), CONTEXT "/%s", place, what);
    return put(damon, path, word);
}

static int set_state(const struct mc_damon *damon, unsigned place, const char *state)
{
    char path[96];

    snprintf(path, sizeof(path), PLACE "/state", place);
    return put(damon, path, state);
}

static bool is_ours(const struct mc_damon *damon, unsigned place)
{
    char path[192];
    uint64_t size;

    snprintf(path, sizeof(path), CONTEXT "/schemes/0/access_pattern/sz/max", place);
    return get(damon, path, &size) == 0 && size == OUR_SIZE;
}

/* What it can look at tells a context, so there has to be one for that. */
static int check_operations(struct mc_damon *damon)
{
    char path[192], words[128] = "";
    int rc = mc_damon_make_places(damon, 1), fd;

    if (rc < 0)
        return rc;
    snprintf(path, sizeof(path), PLACE "/contexts/nr_contexts", 0);
    rc = put_number(damon, path, 1);
    snprintf(path, sizeof(path), CONTEXT "/avail_operations", 0);
    fd = rc < 0 ? rc : open_file(damon, path, O_RDONLY);
    if (fd >= 0) {
        rc = read(fd, words, sizeof(words) - 1) < 0 ? -errno : 0;
        close(fd);
    }
    mc_damon_make_places(damon, 0);
    if (rc < 0 || fd < 0)
        return rc < 0 ? rc : fd;
    return strstr(words, "fvaddr") ? 0 : -EOPNOTSUPP;
}

int mc_damon_open(struct mc_damon *damon, const char *root, uint64_t window_ms)
{
    uint64_t places;
    int rc;

    *damon = (struct mc_damon){.root = root, .window_ms = window_ms};
    rc = get(damon, ADMIN "/nr_kdamonds", &places);
    if (rc < 0)
        return rc;
    if (places > UINT16_MAX || (places > 0 && !is_ours(damon, 0)))
        return -EBUSY;
    damon->places = (unsigned)places;
    return check_operations(damon);
}

void mc_damon_close(struct mc_damon *damon)
{
    if (damon->places)
        mc_damon_make_places(damon, 0);
}

/* The kernel makes all of them anew, and does so only when none is at work. */
int mc_damon_make_places(struct mc_damon *damon, unsigned count)
{
    int rc;

    for (unsigned i = 0; i < damon->places; i++)
        set_state(damon, i, "off");
    rc = put_number(damon, ADMIN "/nr_kdamonds", count);
    if (rc == 0)
        damon->places = count;
    return rc;
}

static int set_regions(const struct mc_damon *damon, unsigned place, const struct mc_ram *ram,
                       unsigned ram_count)
{
    unsigned parts = PARTS / ram_count ? PARTS / ram_count : 1, number = 0;
    int rc = set(damon, place, "targets/0/regions/nr_regions", (uint64_t)parts * ram_count);

    for (unsigned i = 0; i < ram_count; i++) {
        uint64_t step = ram[i].size / parts / MC_PAGE * MC_PAGE;

        for (unsigned part = 0; part < parts && rc == 0; part++, number++) {
            uint64_t start = ram[i].address + part * step;
            uint64_t end = part + 1 < parts ? start + step : ram[i].address + ram[i].size;
            char what[64];

            snprintf(what, sizeof(what), "targets/0/regions/%u/start", number);
            rc = set(damon, place, what, start);
            snprintf(what, sizeof(what), "targets/0/regions/%u/end", number);
            rc = rc < 0 ? rc : set(damon, place, what, end);
        }
    }
    return rc;
}

static int set_scheme(const struct mc_damon *damon, unsigned place, enum scheme scheme,
                      uint64_t touches_least)
{
    const struct {
        const char *what;
        uint64_t value;
    } bounds[] = {
        {"sz/min", 0},
        {"sz/max", OUR_SIZE},
        {"nr_accesses/min", touches_least},
        {"nr_accesses/max", UINT32_MAX},
        {"age/min", 0},
        {"age/max", UINT32_MAX},
    };
    char what[96];
    int rc;

    snprintf(what, sizeof(what), "schemes/%d/action", scheme);
    rc = set_word(damon, place, what, "stat");
    for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds) && rc == 0; i++) {
        snprintf(what, sizeof(what), "schemes/%d/access_pattern/%s", scheme, bounds[i].what);
        rc = set(damon, place, what, bounds[i].value);
    }
    return rc;
}

static int set_up(const struct mc_damon *damon, unsigned place, pid_t pid)
{
    const uint64_t us = damon->window_ms * 1000;
    char path[96];
    int rc;

    snprintf(path, sizeof(path), PLACE "/contexts/nr_contexts", place);
    rc = put_number(damon, path, 1);
    /* Addresses that are given, and not all that the process has. */
    if (rc < 0 || (rc = set_word(damon, place, "operations", "fvaddr")) < 0 ||
        (rc = set(damon, place, "targets/nr_targets", 1)) < 0 ||
        (rc = set(damon, place, "targets/0/pid_target", (uint64_t)pid)) < 0 ||
        (rc = set(damon, place, "monitoring_attrs/nr_regions/max", REGIONS_MOST)) < 0 ||
        (rc = set(damon, place, "monitoring_attrs/nr_regions/min", REGIONS_LEAST)) < 0 ||
        (rc = set(damon, place, "monitoring_attrs/intervals/update_us", us * 10)) < 0 ||
        (rc = set(damon, place, "monitoring_attrs/intervals/aggr_us", us)) < 0 ||
        (rc = set(damon, place, "monitoring_attrs/intervals/sample_us", us / LOOKS)) < 0)
        return rc;
    return set(damon, place, "schemes/nr_schemes", SCHEMES);
}

int mc_damon_begin(const struct mc_damon *damon, unsigned place, pid_t pid,
                   const struct mc_ram *ram, unsigned ram_count)
{
    int rc = set_up(damon, place, pid);

    if (rc < 0 || (rc = set_scheme(damon, place, SCHEME_ALL, 0)) < 0 ||
        (rc = set_scheme(damon, place, SCHEME_TOUCHED, 1)) < 0 ||
        (rc = set_scheme(damon, place, SCHEME_BUSY, LOOKS / 2)) < 0 ||
        (rc = set_regions(damon, place, ram, ram_count)) < 0)
        return rc;
    return set_state(damon, place, "on");
}

void mc_damon_end(const struct mc_damon *damon, unsigned place)
{
    set_state(damon, place, "off");
}

static int get_tried(const struct mc_damon *damon, unsigned place, enum scheme scheme,
                     uint64_t *bytes)
{
    char path[192];

    snprintf(path, sizeof(path), CONTEXT "/schemes/%d/stats/sz_tried", place, scheme);
    return get(damon, path, bytes);
}

/* Its thread ends with the process that it looks at, and takes no orders then. */
int mc_damon_count(const struct mc_damon *damon, unsigned place, struct mc_damon_count *count)
{
    int rc = set_state(damon, place, "update_schemes_stats");

    if (rc < 0)
        return rc == -EINVAL ? -ESRCH : rc;
    if ((rc = get_tried(damon, place, SCHEME_ALL, &count->all)) < 0 ||
        (rc = get_tried(damon, place, SCHEME_TOUCHED, &count->touched)) < 0)
        return rc;
    return get_tried(damon, place, SCHEME_BUSY, &count->busy);
}
