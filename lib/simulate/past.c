/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The history as a simulated host, so that the engine can be asked what it would have done if
 * something had been different.
 *
 * A guest needs what it used: of a minute's or an hour's row the most. What was resident beyond
 * that it would not miss. It runs when it ran. What a guest would have used with more memory than
 * it had cannot be known: one that was short then looks as if it had needed what it got.
 *
 * Everything begins a while earlier with what was there at the beginning, so that the balloons have
 * found their places when the measuring starts.
 */
#include <memctl/past.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay/recording.h"
#include "simulate/simulate.h"

#define WARM_UP_MS 600000
#define DURATION_MOST_MS (INT64_C(31) * 86400 * 1000)

/* Balloons as they were measured. */
#define INFLATE_PER_S (500 * MC_MIB)
#define DEFLATE_PER_S (1500 * MC_MIB)

#define AMOUNT_OF(bytes)                                                                           \
    {                                                                                              \
        .value = (bytes)                                                                           \
    }

struct builder {
    const struct mc_past *past;
    const struct mc_what_if *what_if;
    struct mc_sim sim;
};

/* The moment in the simulation. */
static uint64_t at(const struct builder *builder, int64_t wall_ms)
{
    int64_t ms = wall_ms - builder->past->since_ms;

    return ms <= 0 ? 0 : (uint64_t)ms + WARM_UP_MS;
}

typedef uint64_t point_value(const struct mc_point *point, const void *opaque);

static int make_trace(const struct builder *builder, const struct mc_point *points, size_t count,
                      point_value *value, const void *opaque, struct mc_trace *trace)
{
    trace->points = calloc(count + 1, sizeof(*trace->points));
    if (!trace->points)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        uint64_t ms = at(builder, points[i].at_ms), bytes = value(&points[i], opaque);
        struct mc_trace_point *last = trace->count ? &trace->points[trace->count - 1] : NULL;

        if (last && last->at_ms >= ms)
            last->bytes = bytes; /* before the beginning: the last one holds */
        else if (!last || last->bytes != bytes)
            trace->points[trace->count++] = (struct mc_trace_point){.at_ms = ms, .bytes = bytes};
    }
    /* The warm-up is spent with what comes first. */
    if (trace->count)
        trace->points[0].at_ms = 0;
    return 0;
}

/* ---- guests that were there ---- */

static uint64_t used_of(const struct mc_point *point, const void *opaque)
{
    uint64_t used = point->values[MC_VALUE_USED].high;

    (void)opaque;
    if (used == MC_UNKNOWN) /* without statistics, all that it has touched */
        used = point->values[MC_VALUE_HELD].high;
    return used == MC_UNKNOWN ? 0 : used;
}

static uint64_t cold_of(const struct mc_point *point, const void *opaque)
{
    uint64_t held = point->values[MC_VALUE_HELD].high;

    return held == MC_UNKNOWN ? 0 : mc_less_u64(held, used_of(point, opaque));
}

static uint64_t overhead_of(const struct mc_past_guest *guest)
{
    uint64_t most = 0;

    for (size_t i = 0; i < guest->count; i++)
        if (guest->points[i].values[MC_VALUE_OVERHEAD].high != MC_UNKNOWN)
            most = mc_max_u64(most, guest->points[i].values[MC_VALUE_OVERHEAD].high);
    return most;
}

/* A raw row holds until the next one, but not for ever; others for as long as they are. */
static int64_t end_of(const struct mc_past *past, const struct mc_point *point)
{
    return point->at_ms + (int64_t)mc_tier_span_ms(past->tier);
}

/* Where there are no rows, the guest did not run, and booted after that. */
static int add_pauses(const struct builder *builder, const struct mc_past_guest *guest,
                      struct mc_sim_guest_config *config)
{
    for (size_t i = 1; i < guest->count; i++) {
        int64_t end_ms = end_of(builder->past, &guest->points[i - 1]);
        struct mc_sim_fault *grown;

        if (guest->points[i].at_ms <= end_ms)
            continue;
        grown = reallocarray(config->faults, config->fault_count + 1, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        config->faults = grown;
        config->faults[config->fault_count++] =
            (struct mc_sim_fault){.kind = MC_SIM_REBOOT,
                                  .from_ms = at(builder, end_ms),
                                  .to_ms = at(builder, guest->points[i].at_ms)};
    }
    return 0;
}

static void set_life(const struct builder *builder, const struct mc_past_guest *guest,
                     struct mc_sim_guest_config *config)
{
    const struct mc_past *past = builder->past;
    int64_t begin_ms = guest->points[0].at_ms;
    int64_t end_ms = end_of(past, &guest->points[guest->count - 1]);

    if (begin_ms > past->host[0].at_ms + (int64_t)mc_tier_span_ms(past->tier))
        config->start_ms = at(builder, begin_ms);
    if (end_ms < past->until_ms && end_ms < end_of(past, &past->host[past->host_count - 1]))
        config->stop_ms = at(builder, end_ms);
}

static struct mc_settings settings_of(const struct mc_shape *shape)
{
    return (struct mc_settings){
        .present = (1U << MC_SETTING_SHARES) | (1U << MC_SETTING_MIN) | (1U << MC_SETTING_MAX) |
                   (1U << MC_SETTING_MANAGED),
        .shares = shape->terms.shares,
        .min = AMOUNT_OF(shape->terms.min),
        .max = AMOUNT_OF(shape->terms.max),
        .managed = shape->terms.managed,
    };
}

static void set_balloon(struct mc_sim_guest_config *config, enum mc_exempt exempt)
{
    config->inflate_per_s = INFLATE_PER_S;
    config->deflate_per_s = DEFLATE_PER_S;
    /* What keeps memctl from touching it for a while does so no more; what it is stays. */
    config->balloon = exempt != MC_EXEMPT_NO_BALLOON && exempt != MC_EXEMPT_LOCKED &&
                      exempt != MC_EXEMPT_HUGE_PAGES && exempt != MC_EXEMPT_PASSTHROUGH;
}

static struct mc_sim_guest_config *new_guest(struct builder *builder)
{
    return &builder->sim.guests[builder->sim.count++].config;
}

static int add_guest(struct builder *builder, const struct mc_past_guest *guest)
{
    struct mc_sim_guest_config *config = new_guest(builder);
    int rc;

    memcpy(config->name, guest->shape.name, sizeof(config->name));
    memcpy(config->uuid, guest->shape.uuid, sizeof(config->uuid));
    config->memory = guest->shape.memory;
    config->overhead = overhead_of(guest);
    config->own = settings_of(&guest->shape);
    set_balloon(config, guest->shape.exempt);
    set_life(builder, guest, config);
    rc = make_trace(builder, guest->points, guest->count, used_of, NULL, &config->working_set);
    if (rc == 0)
        rc = make_trace(builder, guest->points, guest->count, cold_of, NULL, &config->cold);
    return rc < 0 ? rc : add_pauses(builder, guest, config);
}

/* ---- guests that were not there ---- */

/* One size as a part of another, of this much. */
struct scale {
    uint64_t part, whole;
};

static uint64_t scaled(uint64_t bytes, const struct scale *scale)
{
    return (uint64_t)((unsigned __int128)bytes * scale->part / mc_max_u64(scale->whole, 1));
}

static uint64_t used_scaled(const struct mc_point *point, const void *scale)
{
    return scaled(used_of(point, NULL), scale);
}

static uint64_t cold_scaled(const struct mc_point *point, const void *scale)
{
    return scaled(cold_of(point, NULL), scale);
}

/*
 * The memory of the managed guests, of which the host's rows have the sum of what is used; of one
 * that ran for a part of the time, that part.
 */
static uint64_t managed_memory(const struct mc_past *past)
{
    const struct mc_point *host = past->host;
    int64_t whole_ms = end_of(past, &host[past->host_count - 1]) - host[0].at_ms;
    uint64_t sum = 0;

    for (size_t i = 0; i < past->count; i++) {
        const struct mc_past_guest *guest = &past->guests[i];
        int64_t there_ms;

        if (!guest->count || guest->shape.exempt != MC_EXEMPT_NO)
            continue;
        there_ms = end_of(past, &guest->points[guest->count - 1]) - guest->points[0].at_ms;
        sum += (uint64_t)((unsigned __int128)guest->shape.memory * (uint64_t)there_ms /
                          (uint64_t)whole_ms);
    }
    return sum;
}

static int make_demand(struct builder *builder, const struct mc_added_guest *added,
                       struct mc_sim_guest_config *config, struct mc_error *err)
{
    const struct mc_past *past = builder->past;
    struct scale scale = {.part = added->memory, .whole = managed_memory(past)};
    const struct mc_point *points = past->host;
    size_t count = past->host_count;
    int rc;

    if (added->use && !added->like) {
        config->working_set.points = calloc(1, sizeof(*config->working_set.points));
        if (!config->working_set.points)
            return mc_error_set(err, -ENOMEM, "out of memory");
        config->working_set.count = 1;
        config->working_set.points[0].bytes = added->memory / MC_AMOUNT_WHOLE * added->use;
        return 0;
    }
    for (size_t i = 0; added->like && i < past->count; i++)
        if (strcmp(past->guests[i].shape.uuid, added->like) == 0) {
            points = past->guests[i].points;
            count = past->guests[i].count;
            scale.whole = past->guests[i].shape.memory;
        }
    if (!scale.whole || !count)
        return mc_error_set(err, -ENODATA,
                            "no guest ran in that time that a new one could be like; say --use");
    rc = make_trace(builder, points, count, used_scaled, &scale, &config->working_set);
    if (rc == 0)
        rc = make_trace(builder, points, count, cold_scaled, &scale, &config->cold);
    return rc < 0 ? mc_error_set(err, rc, "out of memory") : 0;
}

static uint64_t typical_overhead(const struct mc_past *past)
{
    uint64_t sum = 0, count = 0;

    for (size_t i = 0; i < past->count; i++)
        if (past->guests[i].count) {
            sum += overhead_of(&past->guests[i]);
            count++;
        }
    return count ? sum / count : 0;
}

static int add_new(struct builder *builder, size_t which, struct mc_error *err)
{
    const struct mc_added_guest *added = &builder->what_if->added[which];
    struct mc_sim_guest_config *config = new_guest(builder);

    memcpy(config->name, added->name, sizeof(config->name));
    snprintf(config->uuid, sizeof(config->uuid), "ffffffff-0000-4000-8000-%012x", (unsigned)which);
    config->memory = added->memory;
    config->overhead = typical_overhead(builder->past);
    set_balloon(config, MC_EXEMPT_NO);
    return make_demand(builder, added, config, err);
}

/* ---- the host ---- */

static uint64_t others_of(const struct mc_point *point, const void *opaque)
{
    (void)opaque;
    return point->values[MC_VALUE_OTHERS].avg == MC_UNKNOWN ? 0
                                                            : point->values[MC_VALUE_OTHERS].avg;
}

static bool is_removed(const struct mc_what_if *what_if, const char *uuid)
{
    for (size_t i = 0; i < what_if->removed_count; i++)
        if (strcmp(what_if->removed[i], uuid) == 0)
            return true;
    return false;
}

static int build(struct builder *builder, struct mc_error *err)
{
    const struct mc_past *past = builder->past;
    const struct mc_what_if *what_if = builder->what_if;
    struct mc_sim *sim = &builder->sim;
    uint64_t total = past->host[past->host_count - 1].values[MC_VALUE_TOTAL].high;
    int rc;

    snprintf(sim->title, sizeof(sim->title), "%s", what_if->title ? what_if->title : "");
    sim->host_memory = what_if->host_memory ? what_if->host_memory : total;
    sim->duration_ms = (uint64_t)(past->until_ms - past->since_ms) + WARM_UP_MS;
    sim->guests = calloc(past->count + what_if->added_count + 1, sizeof(*sim->guests));
    rc = sim->guests
             ? make_trace(builder, past->host, past->host_count, others_of, NULL, &sim->host_used)
             : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < past->count; i++)
        if (past->guests[i].count && !is_removed(what_if, past->guests[i].shape.uuid))
            rc = add_guest(builder, &past->guests[i]);
    if (rc < 0)
        return mc_error_set(err, rc, "out of memory");
    for (size_t i = 0; rc == 0 && i < what_if->added_count; i++)
        rc = add_new(builder, i, err);
    return rc;
}

/* ---- the engine as it is configured ---- */

#define PARAMS_MAX 8

struct policy_said {
    char name[4096];
    char texts[PARAMS_MAX][96];
    const char *params[PARAMS_MAX];
    size_t count;
};

static void read_policy(const json_t *engine, struct policy_said *said)
{
    const char *name = json_string_value(json_object_get(engine, "policy")), *key;
    json_t *value;

    *said = (struct policy_said){0};
    snprintf(said->name, sizeof(said->name), "%s", name ? name : "idle-tax");
    json_object_foreach (json_object_get(engine, "params"), key, value) {
        if (said->count == PARAMS_MAX)
            break;
        snprintf(said->texts[said->count], sizeof(said->texts[0]), "%.31s=%.17g", key,
                 json_number_value(value));
        said->params[said->count] = said->texts[said->count];
        said->count++;
    }
}

static int read_engine(const struct mc_past *past, const struct mc_what_if *what_if,
                       struct mc_engine_config *config, struct mc_error *err)
{
    *config = mc_engine_config_default();
    if (past->engine && mc_recording_read_config(past->engine, config, err) < 0) {
        mc_error_prefix(err, "the configuration in the history: ");
        return -EINVAL;
    }
    if (what_if->budget) {
        config->budget.automatic = false;
        config->budget.size = (struct mc_amount)AMOUNT_OF(what_if->budget);
    }
    return 0;
}

static int check(const struct mc_past *past, struct mc_error *err)
{
    if (!past->host_count ||
        past->host[past->host_count - 1].values[MC_VALUE_TOTAL].high == MC_UNKNOWN)
        return mc_error_set(err, -ENODATA, "nothing was kept of the host in that time");
    if (past->until_ms - past->since_ms > DURATION_MOST_MS)
        return mc_error_set(err, -ERANGE, "more than 31 days; choose a shorter time");
    return 0;
}

int mc_replay_past(const struct mc_past *past, const struct mc_what_if *what_if,
                   struct mc_simulation **result, struct mc_error *err)
{
    struct builder builder = {.past = past, .what_if = what_if};
    struct mc_simulate_config config = {
        .samples = what_if->samples, .progress = what_if->progress, .opaque = what_if->opaque};
    struct mc_engine_config engine;
    struct policy_said policy;
    int rc = check(past, err);

    if (rc == 0)
        rc = read_engine(past, what_if, &engine, err);
    if (rc == 0)
        rc = build(&builder, err);
    if (rc < 0) {
        mc_sim_free(&builder.sim);
        return rc;
    }
    read_policy(past->engine, &policy);
    config.policy = policy.name;
    config.params = policy.params;
    config.param_count = policy.count;
    return mc_simulate_sim(&builder.sim, &engine, WARM_UP_MS, &config, result, err);
}
