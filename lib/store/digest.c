/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the engine's passes to rows. One tally for each guest, in the order of the snapshot, and one
 * for the host. What a pass saw counts from then on until the next one, so the averages are over
 * time and not over passes, which come faster while memory moves.
 */
#include <memctl/history.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS INT64_C(60000)

/*
 * A raw row is made when a value moved by this much since the last one: 1 MiB, or 1 % of it; a
 * stall by 1 ms a second, which is 0.1 %.
 */
#define RAW_LEAST MC_MIB
#define RAW_PART 100
#define RAW_STALL_LEAST 1000

struct sum {
    unsigned __int128 weighed; /* value * ms */
    uint64_t span_ms;
    uint64_t low, high;
};

struct tally {
    char uuid[MC_UUID_TEXT];
    size_t values;
    uint64_t last[MC_HOST_VALUES]; /* of the last pass, which was at now_ms */
    uint64_t now_ms;

    uint64_t stored[MC_HOST_VALUES]; /* of the last raw row */
    int64_t stored_ms;

    int64_t minute_ms; /* which is being summed up */
    uint64_t span_ms;
    struct sum sums[MC_HOST_VALUES];

    struct mc_shape shape;
};

struct mc_digest {
    struct tally host;
    struct tally *list, *spare;
    size_t count, room;
};

struct mc_digest *mc_digest_new(void)
{
    return calloc(1, sizeof(struct mc_digest));
}

void mc_digest_free(struct mc_digest *digest)
{
    if (!digest)
        return;
    free(digest->list);
    free(digest->spare);
    free(digest);
}

/* ---- minutes ---- */

static struct mc_point point_of(const struct tally *tally, enum mc_tier tier, int64_t at_ms)
{
    struct mc_point point = {.tier = tier, .at_ms = at_ms};

    memcpy(point.uuid, tally->uuid, sizeof(point.uuid));
    for (size_t i = 0; i < MC_HOST_VALUES; i++)
        point.values[i] = (struct mc_range){MC_UNKNOWN, MC_UNKNOWN, MC_UNKNOWN};
    return point;
}

static void end_minute(struct tally *tally, struct mc_batch *batch)
{
    struct mc_point point = point_of(tally, MC_TIER_MINUTE, tally->minute_ms);

    if (!tally->span_ms)
        return;
    point.span_ms = tally->span_ms;
    for (size_t i = 0; i < tally->values; i++) {
        const struct sum *sum = &tally->sums[i];

        if (sum->span_ms)
            point.values[i] =
                (struct mc_range){sum->low, (uint64_t)(sum->weighed / sum->span_ms), sum->high};
    }
    mc_batch_add_point(batch, &point);
    tally->span_ms = 0;
    memset(tally->sums, 0, sizeof(tally->sums));
}

static void add_to_sum(struct sum *sum, uint64_t value, uint64_t span_ms)
{
    if (value == MC_UNKNOWN)
        return;
    sum->low = sum->span_ms ? mc_min_u64(sum->low, value) : value;
    sum->high = sum->span_ms ? mc_max_u64(sum->high, value) : value;
    sum->weighed += (unsigned __int128)value * span_ms;
    sum->span_ms += span_ms;
}

/* The values of the last pass held from one moment to another. */
static void add_piece(struct tally *tally, int64_t from_ms, int64_t to_ms, struct mc_batch *batch)
{
    while (from_ms < to_ms) {
        int64_t minute_ms = from_ms - from_ms % MINUTE_MS;
        int64_t until_ms = to_ms < minute_ms + MINUTE_MS ? to_ms : minute_ms + MINUTE_MS;

        if (minute_ms != tally->minute_ms)
            end_minute(tally, batch);
        tally->minute_ms = minute_ms;
        tally->span_ms += (uint64_t)(until_ms - from_ms);
        for (size_t i = 0; i < tally->values; i++)
            add_to_sum(&tally->sums[i], tally->last[i], (uint64_t)(until_ms - from_ms));
        if (until_ms == minute_ms + MINUTE_MS)
            end_minute(tally, batch);
        from_ms = until_ms;
    }
}

/* What was seen last counts up to now. */
static void hold(struct tally *tally, uint64_t now_ms, int64_t wall_ms, uint64_t hold_ms,
                 struct mc_batch *batch)
{
    uint64_t passed_ms = mc_less_u64(now_ms, tally->now_ms);
    int64_t from_ms = wall_ms - (int64_t)passed_ms;

    add_piece(tally, from_ms, from_ms + (int64_t)mc_min_u64(passed_ms, hold_ms), batch);
}

/* ---- raw rows ---- */

static bool differs(size_t which, uint64_t a, uint64_t b)
{
    uint64_t way = a > b ? a - b : b - a;

    if (a == MC_UNKNOWN || b == MC_UNKNOWN)
        return a != b;
    if (which == MC_VALUE_STALL)
        return way >= RAW_STALL_LEAST;
    return way >= mc_max_u64(RAW_LEAST, b / RAW_PART);
}

static bool is_worth_a_row(const struct tally *tally, int64_t wall_ms)
{
    if (wall_ms < tally->stored_ms ||
        wall_ms - tally->stored_ms >= (int64_t)(MC_RAW_HOLDS_MS - MC_RAW_SLACK_MS))
        return true;
    for (size_t i = 0; i < tally->values; i++)
        if (differs(i, tally->last[i], tally->stored[i]))
            return true;
    return false;
}

static void add_raw(struct tally *tally, int64_t wall_ms, struct mc_batch *batch)
{
    struct mc_point point = point_of(tally, MC_TIER_RAW, wall_ms);

    for (size_t i = 0; i < tally->values; i++)
        point.values[i] = (struct mc_range){tally->last[i], tally->last[i], tally->last[i]};
    mc_batch_add_point(batch, &point);
    memcpy(tally->stored, tally->last, sizeof(tally->stored));
    tally->stored_ms = wall_ms;
}

/* ---- guests ---- */

static void see_guest(struct tally *tally, const struct mc_guest *guest, const struct mc_step *step)
{
    tally->last[MC_VALUE_USED] = guest->used;
    tally->last[MC_VALUE_ACTIVE] = guest->active;
    tally->last[MC_VALUE_HELD] = guest->held;
    tally->last[MC_VALUE_ACTUAL] = guest->actual;
    tally->last[MC_VALUE_TARGET] = guest->exempt == MC_EXEMPT_NO ? step->target : MC_UNKNOWN;
    tally->last[MC_VALUE_OVERHEAD] = guest->overhead;
    tally->last[MC_VALUE_STALL] = guest->agent.present ? guest->agent.stall_us : MC_UNKNOWN;
}

static void see_shape(struct tally *tally, const struct mc_guest *guest, int64_t wall_ms,
                      struct mc_batch *batch)
{
    const struct mc_shape *old = &tally->shape;
    bool same = old->at_ms && old->memory == guest->memory && old->exempt == guest->exempt &&
                old->terms.shares == guest->terms.shares && old->terms.min == guest->terms.min &&
                old->terms.max == guest->terms.max && old->terms.managed == guest->terms.managed &&
                strcmp(old->name, guest->name) == 0;

    if (same)
        return;
    tally->shape = (struct mc_shape){
        .at_ms = wall_ms, .memory = guest->memory, .terms = guest->terms, .exempt = guest->exempt};
    memcpy(tally->shape.uuid, guest->uuid, sizeof(tally->shape.uuid));
    memcpy(tally->shape.name, guest->name, sizeof(tally->shape.name));
    mc_batch_add_shape(batch, &tally->shape);
}

static void add_decision(const struct mc_guest *guest, const struct mc_step *step, int64_t wall_ms,
                         struct mc_batch *batch)
{
    struct mc_decision decision = {.at_ms = wall_ms,
                                   .actual = guest->actual,
                                   .wish = step->wish,
                                   .target = step->target,
                                   .reason = mc_step_reason(step)};
    size_t length = 0;

    memcpy(decision.uuid, guest->uuid, sizeof(decision.uuid));
    for (unsigned i = 0; i < step->change_count && length < sizeof(decision.rules); i++) {
        char size[MC_SIZE_TEXT];

        length += (size_t)snprintf(decision.rules + length, sizeof(decision.rules) - length,
                                   "%s%s %s", i ? ", " : "", mc_rule_name(step->changes[i].rule),
                                   mc_size_format(size, step->changes[i].to));
    }
    mc_batch_add_decision(batch, &decision);
}

static int make_room(struct mc_digest *digest, size_t count)
{
    struct tally *list, *spare;

    if (count <= digest->room)
        return 0;
    list = reallocarray(digest->list, count, sizeof(*list));
    if (!list)
        return -ENOMEM;
    digest->list = list;
    spare = reallocarray(digest->spare, count, sizeof(*spare));
    if (!spare)
        return -ENOMEM;
    digest->spare = spare;
    digest->room = count;
    return 0;
}

static void begin(struct tally *tally, const struct mc_guest *guest)
{
    memset(tally, 0, sizeof(*tally));
    memcpy(tally->uuid, guest->uuid, sizeof(tally->uuid));
    tally->values = MC_GUEST_VALUES;
}

/* What is counted on the host, in one pass over the guests. */
static void see_host(struct tally *tally, const struct mc_snapshot *snapshot,
                     const struct mc_plan *plan)
{
    const struct mc_host *host = &snapshot->host;
    uint64_t used = 0, active = 0, actual = 0, target = 0, qemu = 0;

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        qemu += guest->held + guest->overhead;
        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        used += guest->used == MC_UNKNOWN ? guest->held : guest->used;
        active += guest->active;
        actual += guest->actual;
        target += plan->steps[i].target;
    }
    tally->values = MC_HOST_VALUES;
    tally->last[MC_VALUE_USED] = used;
    tally->last[MC_VALUE_ACTIVE] = active;
    tally->last[MC_VALUE_HELD] = plan->held;
    tally->last[MC_VALUE_ACTUAL] = actual;
    tally->last[MC_VALUE_TARGET] = target;
    tally->last[MC_VALUE_OVERHEAD] = plan->overheads;
    /* Hundredths of a percent of the time. */
    tally->last[MC_VALUE_STALL] =
        host->pressure.present ? host->pressure.some_avg10 * UINT64_C(100) : MC_UNKNOWN;
    tally->last[MC_VALUE_TOTAL] = host->total;
    tally->last[MC_VALUE_AVAILABLE] = host->available;
    tally->last[MC_VALUE_BUDGET] = plan->budget;
    tally->last[MC_VALUE_STRICT] = plan->strict;
    tally->last[MC_VALUE_DIVIDED] = plan->divided;
    tally->last[MC_VALUE_PROMISED] = plan->promised;
    tally->last[MC_VALUE_OTHERS] = mc_less_u64(mc_less_u64(host->total, host->available), qemu);
}

static void note_raw(struct tally *tally, uint64_t now_ms, int64_t wall_ms, struct mc_batch *batch)
{
    tally->now_ms = now_ms;
    if (is_worth_a_row(tally, wall_ms))
        add_raw(tally, wall_ms, batch);
}

/* Keep the tallies of guests that are still there, end those of guests that are gone. */
static void follow(struct mc_digest *digest, const struct mc_snapshot *snapshot, int64_t wall_ms,
                   uint64_t hold_ms, struct mc_batch *batch)
{
    struct tally *old = digest->list;
    size_t seen = 0;

    for (size_t i = 0; i < digest->count; i++)
        hold(&old[i], snapshot->now_ms, wall_ms, hold_ms, batch);
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        for (; seen < digest->count && strcmp(old[seen].uuid, guest->uuid) < 0; seen++)
            end_minute(&old[seen], batch);
        if (seen < digest->count && strcmp(old[seen].uuid, guest->uuid) == 0)
            digest->spare[i] = old[seen++];
        else
            begin(&digest->spare[i], guest);
    }
    for (; seen < digest->count; seen++)
        end_minute(&old[seen], batch);
    digest->list = digest->spare;
    digest->spare = old;
    digest->count = snapshot->count;
}

int mc_digest_pass(struct mc_digest *digest, const struct mc_snapshot *snapshot,
                   const struct mc_plan *plan, int64_t wall_ms, uint64_t hold_ms,
                   struct mc_batch *batch)
{
    if (make_room(digest, mc_max_u64(snapshot->count, digest->count)) < 0)
        return -ENOMEM;
    follow(digest, snapshot, wall_ms, hold_ms, batch);
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        see_guest(&digest->list[i], guest, &plan->steps[i]);
        see_shape(&digest->list[i], guest, wall_ms, batch);
        note_raw(&digest->list[i], snapshot->now_ms, wall_ms, batch);
        if (plan->steps[i].send)
            add_decision(guest, &plan->steps[i], wall_ms, batch);
    }
    if (digest->host.now_ms)
        hold(&digest->host, snapshot->now_ms, wall_ms, hold_ms, batch);
    see_host(&digest->host, snapshot, plan);
    note_raw(&digest->host, snapshot->now_ms, wall_ms, batch);
    batch->clock_ms = wall_ms;
    return 0;
}

void mc_digest_renew(struct mc_digest *digest)
{
    for (size_t i = 0; i < digest->count; i++) {
        digest->list[i].shape = (struct mc_shape){0};
        digest->list[i].stored_ms = 0;
    }
    digest->host.stored_ms = 0;
}

void mc_digest_end(struct mc_digest *digest, struct mc_batch *batch)
{
    for (size_t i = 0; i < digest->count; i++)
        end_minute(&digest->list[i], batch);
    digest->count = 0;
    end_minute(&digest->host, batch);
    digest->host = (struct tally){0};
}
