/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/units.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * A decimal number as mantissa / 10^digits, so that "0.1G" is exact and no locale's comma is asked.
 * At most 18 significant digits; returns where the unit begins, NULL if there is no number.
 */
static const char *read_decimal(const char *text, uint64_t *mantissa, uint64_t *divisor)
{
    const char *p = text;
    int digits = 0;
    bool point = false;

    *mantissa = 0;
    *divisor = 1;
    for (; isdigit((unsigned char)*p) || (*p == '.' && !point); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (*mantissa > UINT64_MAX / 100)
            return NULL;
        *mantissa = *mantissa * 10 + (uint64_t)(*p - '0');
        if (point)
            *divisor *= 10;
        digits++;
    }
    return digits ? p : NULL;
}

static int unit_shift(const char *unit)
{
    static const char letters[] = "kmgtp";
    const char *found;

    if (!*unit || strcasecmp(unit, "b") == 0)
        return 0;
    found = strchr(letters, tolower((unsigned char)*unit));
    if (!found)
        return -1;
    if (unit[1] && strcasecmp(unit + 1, "ib") != 0)
        return -1;
    return 10 * (int)(found - letters + 1);
}

int mc_size_parse(const char *text, uint64_t whole, uint64_t *bytes, struct mc_error *err)
{
    uint64_t mantissa, divisor;
    const char *unit = read_decimal(text, &mantissa, &divisor);
    unsigned __int128 value;
    int shift;

    if (!unit)
        return mc_error_set(err, -EINVAL, "'%s' is not a size; write 512M, 1.5G%s", text,
                            whole ? " or 25%" : "");
    if (strcmp(unit, "%") == 0) {
        if (!whole)
            return mc_error_set(err, -EINVAL, "'%s': a percentage means nothing here; write 512M",
                                text);
        value = (unsigned __int128)mantissa * whole / divisor / 100;
    } else {
        shift = unit_shift(unit);
        if (shift < 0)
            return mc_error_set(err, -EINVAL, "'%s' has no known unit; use K, M, G, T%s", text,
                                whole ? " or %" : "");
        value = ((unsigned __int128)mantissa << shift) / divisor;
    }
    if (value > MC_SIZE_MAX)
        return mc_error_set(err, -ERANGE, "'%s' is more than any machine has; the most is 4096T",
                            text);
    *bytes = (uint64_t)value;
    return 0;
}

const char *mc_size_format(char text[MC_SIZE_TEXT], uint64_t bytes)
{
    static const char letters[] = "BKMGTP";
    double value = (double)bytes;
    size_t unit = 0;

    if (bytes == MC_UNKNOWN) {
        snprintf(text, MC_SIZE_TEXT, "-");
        return text;
    }
    while (value >= 1023.95 && unit + 2 < sizeof(letters)) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(text, MC_SIZE_TEXT, "%" PRIu64 "B", bytes);
    else if (value >= 99.95)
        snprintf(text, MC_SIZE_TEXT, "%.0f%c", value, letters[unit]);
    else if (value >= 9.995)
        snprintf(text, MC_SIZE_TEXT, "%.1f%c", value, letters[unit]);
    else
        snprintf(text, MC_SIZE_TEXT, "%.2f%c", value, letters[unit]);
    return text;
}

int mc_span_parse(const char *text, uint64_t *milliseconds, struct mc_error *err)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {
        {"", 1000},   {"s", 1000},    {"sec", 1000},  {"ms", 1},
        {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000},
    };
    uint64_t mantissa, divisor;
    const char *unit = read_decimal(text, &mantissa, &divisor);

    for (size_t i = 0; unit && i < sizeof(units) / sizeof(*units); i++) {
        unsigned __int128 value;

        if (strcmp(unit, units[i].name) != 0)
            continue;
        value = (unsigned __int128)mantissa * units[i].ms / divisor;
        if (value > UINT64_C(1000) * 86400000)
            return mc_error_set(err, -ERANGE, "'%s' is too long; the most is 1000d", text);
        *milliseconds = (uint64_t)value;
        return 0;
    }
    return mc_error_set(err, -EINVAL, "'%s' is not a span of time; write 500ms, 2s, 10min or 1h",
                        text);
}

int mc_bool_parse(const char *text, int *value, struct mc_error *err)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *value = (int)(i % 2);
            return 0;
        }
    }
    return mc_error_set(err, -EINVAL, "'%s' is neither yes nor no", text);
}

int mc_number_parse(const char *text, uint64_t low, uint64_t high, uint64_t *value,
                    struct mc_error *err)
{
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || number < low || number > high)
        return mc_error_set(err, -EINVAL, "'%s' is not a whole number from %" PRIu64 " to %" PRIu64,
                            text, low, high);
    *value = number;
    return 0;
}

bool mc_pair_split(const char *text, char *key, size_t room, const char **value)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : 0;

    if (!length || length >= room)
        return false;
    memcpy(key, text, length);
    key[length] = '\0';
    *value = equals + 1;
    return true;
}
