/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Distress has three faces. Available memory is *low*. Or it is *falling* so fast that it would be
 * gone within a second: a program that fills memory takes 64 MiB in less than half a second, and
 * who waits until it is low comes too late. Or tasks *stall* although something is still available,
 * because that something is page cache in use, which is thrown out and read again; the kernel's
 * pressure trigger tells.
 *
 * What the host does itself must not look like distress. A balloon that inflates takes hundreds of
 * MiB a second and makes its driver wait for reclaim: what it took is left out of the rate, and
 * stalls do not count meanwhile. Below `low` the host has gone too far, and hears of it. Nor do
 * stalls count while memory is free: then a control group inside the guest is at its own limit,
 * which more memory for the guest would not help.
 *
 * `low` is half of the margin that the host leaves above what a guest uses (64 MiB, 5 %), so that
 * a guest that the host has shrunk as far as it does by itself is not in distress.
 *
 * How often to look follows from how fast it could go wrong, so that plenty costs nothing.
 */
#include "watch.h"

#define MIB (UINT64_C(1) << 20)

#define LOW_LEAST (32 * MIB)
#define LOW_MOST (512 * MIB)

/* Less than this between two looks is noise, and so is anything between looks that are close. */
#define FALL_LEAST (4 * MIB)
#define LOOKS_APART_MS 20

/* Calm for so long, and it is over. */
#define CALM_MS 1000

/* The host is told so often at first, and less often when it did not help. */
#define SAY_MS 250
#define SAY_LONG_MS 1000
#define LONG_MS 2000

/* A program takes no more than this, or we see it late: 1 GiB of room are two looks away. */
#define FASTEST (512 * MIB)
#define PAUSE_LEAST_MS 100
#define PAUSE_MOST_MS 1000
#define PAUSE_FALLING_MS 50

/* The balloon is read so often at least. */
#define BALLOON_MS 500

/*
 * Part of a processor that looking may take: one in 1000 as a rule, one in 100 near the wall. A
 * machine on which a look costs more than that gets longer pauses, but so much longer at most, or
 * it would learn of its trouble too late: what is slow there is the host it shares, not only the
 * program that fills its memory.
 */
#define CALM_PART 1000
#define CALM_SLOWER 3
#define NEAR_PART 100
#define PAUSE_NEAR_MOST_MS 150

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

uint64_t watch_low(uint64_t total)
{
    return min(min(max(total / 40, LOW_LEAST), LOW_MOST), total / 8);
}

/* A guest that had its memory unplugged, or a balloon that also counts as less memory in total. */
static uint64_t taken_by_host(const struct sight *from, const struct sight *to)
{
    return max(less(from->total, to->total), less(to->balloon, from->balloon));
}

bool watch_wants_balloon(const struct watch *watch, const struct sight *sight)
{
    const struct sight *last = &watch->last;

    return !last->now_ms || sight->stalled || watch->distressed || watch->rate > 0 ||
           sight->total != last->total || sight->now_ms - watch->balloon_ms >= BALLOON_MS ||
           max(less(last->available, sight->available), less(sight->available, last->available)) >=
               FALL_LEAST;
}

/*
 * What the balloon gave counts only if it was read both times: spread over a longer time, it would
 * look like a sudden fall.
 */
static uint64_t fall_since(const struct sight *last, const struct sight *sight)
{
    uint64_t given = last->has_balloon ? less(last->balloon, sight->balloon) : 0;

    return less(last->available + given, sight->available + taken_by_host(last, sight));
}

static void measure(struct watch *watch, const struct sight *sight)
{
    uint64_t passed = less(sight->now_ms, watch->last.now_ms), fall;
    uint64_t balloon = watch->last.balloon;

    if (watch->last.now_ms && passed < LOOKS_APART_MS)
        return;
    watch->rate = 0;
    if (watch->last.now_ms && watch->balloon_ms && sight->has_balloon) {
        fall = fall_since(&watch->last, sight);
        if (fall >= FALL_LEAST)
            watch->rate = fall * 1000 / passed;
    }
    watch->last = *sight;
    if (sight->has_balloon)
        watch->balloon_ms = sight->now_ms;
    else
        watch->last.balloon = balloon;
}

static enum watch_news judge(const struct watch *watch, const struct sight *sight,
                             bool is_inflating)
{
    uint64_t low = watch_low(sight->total);

    if (sight->available < (watch->distressed ? low + low / 2 : low))
        return WATCH_LOW;
    if (sight->available < watch->rate)
        return WATCH_FALLING;
    if (sight->stalled && sight->free < 2 * low && !is_inflating)
        return WATCH_STALL;
    return WATCH_NOTHING;
}

enum watch_news watch_look(struct watch *watch, const struct sight *sight)
{
    bool is_inflating = watch->last.now_ms && taken_by_host(&watch->last, sight) > 0;
    enum watch_news news;

    measure(watch, sight);
    news = judge(watch, sight, is_inflating);
    if (news != WATCH_NOTHING) {
        watch->worst_ms = sight->now_ms;
        if (!watch->distressed)
            watch->since_ms = sight->now_ms;
        watch->distressed = true;
        if (watch->said_ms &&
            sight->now_ms - watch->said_ms <
                (sight->now_ms - watch->since_ms < LONG_MS ? SAY_MS : SAY_LONG_MS))
            return WATCH_NOTHING;
        watch->said_ms = sight->now_ms;
        return news;
    }
    if (!watch->distressed || sight->now_ms - watch->worst_ms < CALM_MS)
        return WATCH_NOTHING;
    watch->distressed = false;
    return WATCH_OVER;
}

uint64_t watch_pause(const struct watch *watch, uint64_t cost_us)
{
    const struct sight *last = &watch->last;
    uint64_t room = less(last->available, watch_low(last->total));
    uint64_t pause = room * 1000 / 2 / FASTEST;
    bool is_near = pause <= PAUSE_LEAST_MS || watch->distressed || watch->rate > 0;

    pause = min(max(pause, PAUSE_LEAST_MS), PAUSE_MOST_MS);
    if (watch->rate > 0 && room / watch->rate < 3)
        pause = PAUSE_FALLING_MS;
    if (!is_near)
        return max(pause, min(cost_us * CALM_PART / 1000, CALM_SLOWER * pause));
    return max(pause, min(cost_us * NEAR_PART / 1000, PAUSE_NEAR_MOST_MS));
}
