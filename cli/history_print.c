/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "history.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <time.h>

/* So wide is a line of the terminal's picture; with the numbers before it, 78 columns. */
#define COLUMNS 44

/* The least of a value, its mean over the time it was known, and the most. */
struct extent {
    uint64_t low, mean, high;
};

void history_span(const struct history *history, int64_t from_ms, int64_t to_ms, size_t *first,
                  size_t *end)
{
    const struct series *series = &history->series;

    while (*first < series->count && series_end(series, *first) <= from_ms)
        ++*first;
    for (*end = *first; *end < series->count && series->points[*end].at_ms < to_ms; ++*end)
        ;
}

static int64_t overlap(int64_t a_from, int64_t a_to, int64_t b_from, int64_t b_to)
{
    int64_t from = a_from > b_from ? a_from : b_from, to = a_to < b_to ? a_to : b_to;

    return to > from ? to - from : 0;
}

/* False where nobody knows it. */
static bool extent_of(const struct history *history, enum mc_value value, int64_t from_ms,
                      int64_t to_ms, size_t *first, struct extent *extent)
{
    const struct series *series = &history->series;
    unsigned __int128 sum = 0;
    int64_t known_ms = 0;
    size_t end;

    *extent = (struct extent){.low = UINT64_MAX};
    history_span(history, from_ms, to_ms, first, &end);
    for (size_t i = *first; i < end; i++) {
        const struct mc_range *range = &series->points[i].values[value];
        int64_t span_ms = overlap(from_ms, to_ms, series->points[i].at_ms, series_end(series, i));

        if (range->avg == MC_UNKNOWN || !span_ms)
            continue;
        extent->low = mc_min_u64(extent->low, range->low);
        extent->high = mc_max_u64(extent->high, range->high);
        sum += (unsigned __int128)range->avg * (uint64_t)span_ms;
        known_ms += span_ms;
    }
    if (known_ms)
        extent->mean = (uint64_t)(sum / (uint64_t)known_ms);
    return known_ms;
}

/* ---- lines for the terminal ---- */

static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const letters[] = {"_", ".", "-", "~", "=", "+", "*", "#"};

static bool has_blocks(void)
{
    setlocale(LC_CTYPE, "");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void print_spark(const struct history *history, enum mc_value value, uint64_t top)
{
    const char *const *signs = has_blocks() ? blocks : letters;
    int64_t way_ms = history->until_ms - history->since_ms;
    size_t first = 0;

    for (int64_t column = 0; column < COLUMNS; column++) {
        struct extent extent;
        uint64_t shown;

        if (!extent_of(history, value, history->since_ms + way_ms * column / COLUMNS,
                       history->since_ms + way_ms * (column + 1) / COLUMNS, &first, &extent)) {
            fputs(" ", stdout);
            continue;
        }
        /* A short peak of what is used matters; of the rest, the mean tells more. */
        shown = value == MC_VALUE_ACTUAL || value == MC_VALUE_TARGET || value == MC_VALUE_HELD
                    ? extent.mean
                    : extent.high;
        fputs(signs[top ? mc_min_u64(shown * 8 / top, 7) : 0], stdout);
    }
    putchar('\n');
}

static void print_moment(int64_t ms, bool day)
{
    time_t at = (time_t)(ms / 1000);
    struct tm local;
    char text[32];

    strftime(text, sizeof(text), day ? "%m-%d %H:%M" : "%H:%M:%S", localtime_r(&at, &local));
    fputs(text, stdout);
}

static void print_value(enum mc_value value, uint64_t number)
{
    char text[MC_SIZE_TEXT];

    if (value == MC_VALUE_STALL)
        printf(" %6.2f%%", (double)number / 10000);
    else
        printf(" %7s", mc_size_format(text, number));
}

static void print_line(const struct history *history, enum mc_value value, uint64_t top)
{
    struct extent extent;
    char name[16] = "";
    size_t first = 0;

    for (size_t i = 0; mc_value_name(value)[i] && i + 1 < sizeof(name); i++)
        name[i] = (char)(mc_value_name(value)[i] - 'a' + 'A');
    if (!extent_of(history, value, history->since_ms, history->until_ms, &first, &extent))
        return;
    printf("%-9s", name);
    print_value(value, extent.low);
    print_value(value, extent.mean);
    print_value(value, extent.high);
    putchar(' ');
    print_spark(history, value, value == MC_VALUE_STALL ? mc_max_u64(extent.high, 1) : top);
}

static void print_ruler(const struct history *history)
{
    bool day = history->until_ms - history->since_ms > 86400000;

    printf("%-34s", "");
    print_moment(history->since_ms, day);
    printf("%*s", COLUMNS - 2 * (day ? 11 : 8), "");
    print_moment(history->until_ms, day);
    putchar('\n');
}

static uint64_t most_of(const struct history *history, const enum mc_value *values, size_t count)
{
    uint64_t most = 0;

    for (size_t i = 0; i < count; i++) {
        struct extent extent;
        size_t first = 0;

        if (extent_of(history, values[i], history->since_ms, history->until_ms, &first, &extent))
            most = mc_max_u64(most, extent.high);
    }
    return most;
}

void history_print(const struct history *history)
{
    static const enum mc_value of_guest[] = {MC_VALUE_USED, MC_VALUE_ACTIVE, MC_VALUE_HELD,
                                             MC_VALUE_ACTUAL, MC_VALUE_TARGET};
    static const enum mc_value of_host[] = {MC_VALUE_USED,   MC_VALUE_ACTIVE,   MC_VALUE_HELD,
                                            MC_VALUE_ACTUAL, MC_VALUE_STRICT,   MC_VALUE_DIVIDED,
                                            MC_VALUE_OTHERS, MC_VALUE_AVAILABLE};
    const enum mc_value *values = history->of_host ? of_host : of_guest;
    size_t count = history->of_host ? sizeof(of_host) / sizeof(*of_host)
                                    : sizeof(of_guest) / sizeof(*of_guest);
    uint64_t top = mc_max_u64(history->memory, most_of(history, values, count));
    char size[MC_SIZE_TEXT];

    printf("%s, %s rows, lines from 0 to %s\n", history->guest, mc_tier_name(history->series.tier),
           mc_size_format(size, top));
    printf("%-9s %7s %7s %7s\n", "", "LEAST", "MEAN", "MOST");
    for (size_t i = 0; i < count; i++)
        print_line(history, values[i], top);
    print_line(history, MC_VALUE_STALL, 0);
    print_ruler(history);
}

/* ---- for programs ---- */

static size_t value_count(const struct history *history)
{
    return history->of_host ? MC_HOST_VALUES : MC_GUEST_VALUES;
}

static void print_number(uint64_t number)
{
    putchar(',');
    if (number != MC_UNKNOWN)
        printf("%" PRIu64, number);
}

void history_print_csv(const struct history *history)
{
    bool raw = history->series.tier == MC_TIER_RAW;

    fputs("at", stdout);
    for (size_t i = 0; i < value_count(history); i++) {
        const char *name = mc_value_name(i);

        if (raw)
            printf(",%s", name);
        else
            printf(",%s_low,%s,%s_high", name, name, name);
    }
    putchar('\n');
    for (size_t row = 0; row < history->series.count; row++) {
        const struct mc_point *point = &history->series.points[row];
        time_t at = (time_t)(point->at_ms / 1000);
        struct tm utc;
        char text[32];

        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&at, &utc));
        printf("%s.%03dZ", text, (int)(point->at_ms % 1000));
        for (size_t i = 0; i < value_count(history); i++) {
            if (!raw)
                print_number(point->values[i].low);
            print_number(point->values[i].avg);
            if (!raw)
                print_number(point->values[i].high);
        }
        putchar('\n');
    }
}

static json_t *number_of(uint64_t number)
{
    return number == MC_UNKNOWN ? json_null() : json_integer((json_int_t)number);
}

static json_t *row_of(const struct mc_point *point, size_t values)
{
    json_t *object = json_object();

    json_object_set_new(object, "at_ms", json_integer(point->at_ms));
    for (size_t i = 0; i < values; i++) {
        const struct mc_range *range = &point->values[i];

        json_object_set_new(object, mc_value_name(i),
                            point->tier == MC_TIER_RAW
                                ? number_of(range->avg)
                                : json_pack("[o, o, o]", number_of(range->low),
                                            number_of(range->avg), number_of(range->high)));
    }
    return object;
}

json_t *history_to_json(const struct history *history)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < history->series.count; i++)
        json_array_append_new(rows, row_of(&history->series.points[i], value_count(history)));
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "guest", history->guest, "tier",
                     mc_tier_name(history->series.tier), "since_ms", (json_int_t)history->since_ms,
                     "until_ms", (json_int_t)history->until_ms, "rows", rows);
}
