/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes, spans of time and ratios as people write them. Inside, memory is always bytes in uint64_t
 * and time milliseconds of a monotonic clock.
 */
#ifndef MEMCTL_UNITS_H
#define MEMCTL_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <memctl/error.h>
#include <memctl/visibility.h>

#define MC_KIB ((uint64_t)1 << 10)
#define MC_MIB ((uint64_t)1 << 20)
#define MC_GIB ((uint64_t)1 << 30)

/* The unit of all allocation arithmetic: what a balloon moves. */
#define MC_PAGE ((uint64_t)4096)

/* A number that nobody reported. */
#define MC_UNKNOWN UINT64_MAX

/* No size above this is accepted: far beyond any machine, far below where the arithmetic ends. */
#define MC_SIZE_MAX ((uint64_t)1 << 52)

#define MC_SIZE_TEXT 24

/*
 * Read a size: "512M", "1.5G", "1GiB", "4096", "25%". Units are powers of 1024, upper or lower
 * case. A percentage is of `whole` bytes; whole 0 means that none makes sense here. Returns 0, or
 * -EINVAL (not a size) or -ERANGE (above MC_SIZE_MAX) with a sentence in err.
 */
MC_PUBLIC int mc_size_parse(const char *text, uint64_t whole, uint64_t *bytes,
                            struct mc_error *err);

/* Write bytes for people, three or four digits and a unit: "1.50G", "512M", "-" when MC_UNKNOWN. */
MC_PUBLIC const char *mc_size_format(char text[MC_SIZE_TEXT], uint64_t bytes);

/* Read a span of time: "500ms", "2s", "10min", "1h", "2d"; a bare number is seconds. */
MC_PUBLIC int mc_span_parse(const char *text, uint64_t *milliseconds, struct mc_error *err);

/* Read "yes", "no", "true", "false", "on", "off", "1", "0". */
MC_PUBLIC int mc_bool_parse(const char *text, int *value, struct mc_error *err);

/* Read a whole number from low to high. */
MC_PUBLIC int mc_number_parse(const char *text, uint64_t low, uint64_t high, uint64_t *value,
                              struct mc_error *err);

/*
 * Split "key=value": the key is copied to key, which has `room` bytes; *value points into text.
 * False if text has no '=', or no key that fits.
 */
MC_PUBLIC bool mc_pair_split(const char *text, char *key, size_t room, const char **value);

static inline uint64_t mc_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t mc_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* x held between low and high; high wins where they cross. */
static inline uint64_t mc_clamp_u64(uint64_t x, uint64_t low, uint64_t high)
{
    return mc_min_u64(mc_max_u64(x, low), high);
}

/* The whole pages of so many bytes, in bytes. */
static inline uint64_t mc_whole_pages(uint64_t bytes)
{
    return bytes / MC_PAGE * MC_PAGE;
}

/* a - b, or 0 where that would be negative. */
static inline uint64_t mc_less_u64(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

#endif
