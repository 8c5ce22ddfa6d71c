/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two levels of rings. All lines (the host's, each guest's) share the times of a level's slots, so
 * a line is nothing but numbers. They are kept in pages of 4 KiB, which reaches to 16 TiB in 32
 * bits; 0xffffffff is "unknown". A sample goes into the fine level and into a sum; when a minute
 * is over its mean goes into the coarse one.
 */
#include "trend.h"

#include <stdlib.h>
#include <string.h>

#define LEVELS 2
#define SLOTS_MAX 360
#define NONE UINT32_MAX

static const struct {
    uint64_t step_ms;
    size_t slots;
} levels[LEVELS] = {{10000, 180}, {60000, SLOTS_MAX}};

struct line {
    char uuid[MC_UUID_TEXT];
    uint64_t first_ms, seen_ms; /* when it got its first and its last sample */
    unsigned columns;
    uint64_t sums[TREND_COLUMNS_MAX];
    uint32_t counts[TREND_COLUMNS_MAX];
    uint32_t *slots[LEVELS]; /* [column * levels[].slots + slot] */
    uint32_t room[];
};

struct level {
    uint64_t next_ms; /* when the next sample is due */
    uint64_t count;   /* of the samples so far; the next one goes to slot count % slots */
    int64_t wall_ms[SLOTS_MAX];
};

struct trend {
    struct level levels[LEVELS];
    struct line *host;
    struct line *guests[TREND_GUESTS_MAX]; /* by UUID */
    size_t count;
};

static struct line *line_new(const char *uuid, unsigned columns)
{
    size_t slots = columns * (levels[0].slots + levels[1].slots);
    struct line *line = malloc(sizeof(*line) + slots * sizeof(uint32_t));

    if (!line)
        return NULL;
    memset(line, 0, sizeof(*line));
    memset(line->room, 0xff, slots * sizeof(uint32_t));
    memcpy(line->uuid, uuid, strnlen(uuid, MC_UUID_TEXT - 1));
    line->columns = columns;
    line->slots[0] = line->room;
    line->slots[1] = line->room + columns * levels[0].slots;
    return line;
}

struct trend *trend_new(void)
{
    struct trend *trend = calloc(1, sizeof(*trend));

    if (trend)
        trend->host = line_new("", TREND_HOST_COLUMNS);
    if (trend && !trend->host) {
        free(trend);
        return NULL;
    }
    return trend;
}

void trend_free(struct trend *trend)
{
    if (!trend)
        return;
    for (size_t i = 0; i < trend->count; i++)
        free(trend->guests[i]);
    free(trend->host);
    free(trend);
}

/* ---- which lines there are ---- */

/* The place of the first line that is not before this UUID. */
static size_t place_of(const struct trend *trend, const char *uuid)
{
    size_t low = 0, high = trend->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(trend->guests[middle]->uuid, uuid) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct line *find(const struct trend *trend, const char *uuid)
{
    size_t place = place_of(trend, uuid);

    if (place < trend->count && strcmp(trend->guests[place]->uuid, uuid) == 0)
        return trend->guests[place];
    return NULL;
}

/*
 * A guest that is gone is remembered for as long as it was there, within a minute and the hours
 * that are kept: where guests come and go by the thousand, it would be nothing but dead lines.
 */
static bool is_worth_keeping(const struct line *line, uint64_t now_ms)
{
    uint64_t stayed = line->seen_ms - line->first_ms;
    uint64_t longest = levels[1].step_ms * levels[1].slots;

    return now_ms - line->seen_ms <= mc_clamp_u64(stayed, levels[1].step_ms, longest);
}

static void forget_old(struct trend *trend, uint64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < trend->count; i++) {
        if (is_worth_keeping(trend->guests[i], now_ms))
            trend->guests[kept++] = trend->guests[i];
        else
            free(trend->guests[i]);
    }
    trend->count = kept;
}

/* When all places are taken, the guest that has been gone for longest gives up its own. */
static bool make_place(struct trend *trend, uint64_t now_ms)
{
    size_t oldest = 0;

    if (trend->count < TREND_GUESTS_MAX)
        return true;
    for (size_t i = 1; i < trend->count; i++)
        if (trend->guests[i]->seen_ms < trend->guests[oldest]->seen_ms)
            oldest = i;
    if (now_ms - trend->guests[oldest]->seen_ms <= levels[0].step_ms)
        return false; /* all of them run */
    free(trend->guests[oldest]);
    trend->count--;
    memmove(trend->guests + oldest, trend->guests + oldest + 1,
            (trend->count - oldest) * sizeof(*trend->guests));
    return true;
}

static struct line *line_for(struct trend *trend, const char *uuid, uint64_t now_ms)
{
    struct line *line = find(trend, uuid);
    size_t place;

    if (line || !make_place(trend, now_ms))
        return line;
    line = line_new(uuid, TREND_GUEST_COLUMNS);
    if (!line)
        return NULL;
    line->first_ms = now_ms;
    place = place_of(trend, uuid);
    memmove(trend->guests + place + 1, trend->guests + place,
            (trend->count - place) * sizeof(*trend->guests));
    trend->guests[place] = line;
    trend->count++;
    return line;
}

/* ---- a sample ---- */

static uint32_t in_pages(uint64_t bytes)
{
    return bytes == MC_UNKNOWN ? NONE : (uint32_t)mc_min_u64(bytes / MC_PAGE, NONE - 1);
}

static void put(struct line *line, unsigned level, unsigned column, size_t slot, uint32_t value)
{
    line->slots[level][column * levels[level].slots + slot] = value;
}

static void add_sample(const struct trend *trend, struct line *line, const uint32_t *values,
                       uint64_t now_ms)
{
    size_t slot = trend->levels[0].count % levels[0].slots;

    line->seen_ms = now_ms;
    for (unsigned i = 0; i < line->columns; i++) {
        put(line, 0, i, slot, values[i]);
        if (values[i] != NONE) {
            line->sums[i] += values[i];
            line->counts[i]++;
        }
    }
}

static void add_mean(const struct trend *trend, struct line *line)
{
    size_t slot = trend->levels[1].count % levels[1].slots;

    for (unsigned i = 0; i < line->columns; i++) {
        uint32_t mean = line->counts[i] ? (uint32_t)(line->sums[i] / line->counts[i]) : NONE;

        put(line, 1, i, slot, mean);
        line->sums[i] = line->counts[i] = 0;
    }
}

static void sample_host(struct trend *trend, const struct mc_snapshot *snapshot,
                        const struct mc_plan *plan)
{
    const struct mc_host *host = &snapshot->host;
    uint64_t actual = 0, used = MC_UNKNOWN;
    uint32_t values[TREND_HOST_COLUMNS];

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        actual += guest->actual;
        if (guest->used != MC_UNKNOWN)
            used = (used == MC_UNKNOWN ? 0 : used) + guest->used;
    }
    values[TREND_TOTAL] = in_pages(host->total);
    values[TREND_AVAILABLE] = in_pages(host->available);
    values[TREND_BUDGET] = in_pages(plan->budget);
    values[TREND_DIVIDED] = in_pages(plan->divided);
    values[TREND_PROMISED] = in_pages(plan->promised);
    values[TREND_HELD] = in_pages(plan->held);
    values[TREND_ACTUAL] = in_pages(actual);
    values[TREND_USED] = in_pages(used);
    values[TREND_STALL] = host->pressure.present ? host->pressure.some_avg10 * 100U : NONE;
    add_sample(trend, trend->host, values, snapshot->now_ms);
}

static void sample_guest(struct trend *trend, const struct mc_guest *guest,
                         const struct mc_step *step, uint64_t now_ms)
{
    const uint32_t values[TREND_GUEST_COLUMNS] = {
        [TREND_G_ACTUAL] = in_pages(guest->actual), [TREND_G_USED] = in_pages(guest->used),
        [TREND_G_ACTIVE] = in_pages(guest->active), [TREND_G_HELD] = in_pages(guest->held),
        [TREND_G_TARGET] = in_pages(step->target),
    };
    struct line *line = line_for(trend, guest->uuid, now_ms);

    if (line)
        add_sample(trend, line, values, now_ms);
}

/* Nobody wrote to the slot of a guest that was not there: it would show what was there before. */
static void clear_slot(struct trend *trend, unsigned level)
{
    size_t slot = trend->levels[level].count % levels[level].slots;

    for (size_t i = 0; i < trend->count; i++)
        for (unsigned column = 0; column < TREND_GUEST_COLUMNS; column++)
            put(trend->guests[i], level, column, slot, NONE);
}

static void end_slot(struct trend *trend, unsigned level, const struct mc_snapshot *snapshot)
{
    struct level *ring = &trend->levels[level];

    ring->wall_ms[ring->count % levels[level].slots] = snapshot->wall_s * 1000;
    ring->count++;
    ring->next_ms += levels[level].step_ms;
    if (ring->next_ms <= snapshot->now_ms)
        ring->next_ms = snapshot->now_ms + levels[level].step_ms;
}

void trend_add(struct trend *trend, const struct mc_snapshot *snapshot, const struct mc_plan *plan)
{
    if (snapshot->now_ms < trend->levels[0].next_ms)
        return;
    forget_old(trend, snapshot->now_ms);
    clear_slot(trend, 0);
    sample_host(trend, snapshot, plan);
    for (size_t i = 0; i < snapshot->count && i < plan->count; i++)
        sample_guest(trend, &snapshot->guests[i], &plan->steps[i], snapshot->now_ms);
    end_slot(trend, 0, snapshot);
    if (snapshot->now_ms < trend->levels[1].next_ms)
        return;
    add_mean(trend, trend->host);
    for (size_t i = 0; i < trend->count; i++)
        add_mean(trend, trend->guests[i]);
    end_slot(trend, 1, snapshot);
}

/* ---- reading ---- */

static uint64_t out_of(uint32_t value, bool is_size)
{
    if (value == NONE)
        return MC_UNKNOWN;
    return is_size ? value * MC_PAGE : value;
}

static void hand_over(const struct trend *trend, const struct line *line, unsigned level,
                      uint64_t *room, trend_reader *read, void *opaque)
{
    const struct level *ring = &trend->levels[level];
    size_t slots = levels[level].slots, count = mc_min_u64(ring->count, slots);
    int64_t wall_ms[SLOTS_MAX];
    struct trend_answer answer = {.count = count,
                                  .columns = line->columns,
                                  .step_ms = levels[level].step_ms,
                                  .wall_ms = wall_ms};

    for (size_t i = 0; i < count; i++) {
        size_t slot = (ring->count - count + i) % slots;

        wall_ms[i] = ring->wall_ms[slot];
        for (unsigned column = 0; column < line->columns; column++) {
            bool is_size = line != trend->host || column != TREND_STALL;

            room[column * count + i] = out_of(line->slots[level][column * slots + slot], is_size);
        }
    }
    for (unsigned column = 0; column < line->columns; column++)
        answer.values[column] = room + column * count;
    read(opaque, &answer);
}

void trend_read(const struct trend *trend, const struct trend_question *question,
                trend_reader *read, void *opaque)
{
    const struct line *line = *question->uuid ? find(trend, question->uuid) : trend->host;
    unsigned level = question->span_ms > levels[0].step_ms * levels[0].slots;
    uint64_t *room = malloc(sizeof(*room) * TREND_COLUMNS_MAX * SLOTS_MAX);

    if (line && room)
        hand_over(trend, line, level, room, read, opaque);
    else
        read(opaque, NULL);
    free(room);
}
