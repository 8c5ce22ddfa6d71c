/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/engine.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decide/policy_run.h"
#include "engine/track.h"
#include "estimate/estimate.h"
#include "govern/govern.h"

/* After a command, memory is taken to be on its way for so long. */
#define MOVE_LASTS_MS 4000

struct mc_engine {
    struct mc_engine_config config;
    struct mc_policy_run *policy;
    struct mc_tracks tracks;
    struct mc_host_track host;

    /* What the policy sees and answers: only guests that may be moved. index leads back. */
    struct mc_policy_guest *guests;
    struct mc_policy_input input;
    uint64_t *targets;
    size_t *index;
    size_t room;

    uint64_t last_command_ms;
    bool any_command;
    bool waited_for; /* a guest in trouble waits for what others give */
};

struct mc_engine_config mc_engine_config_default(void)
{
    return (struct mc_engine_config){
        .budget = {.automatic = true, .reserve_automatic = true},
        .interval_ms = 2000,
        .floor_margin = 64 * MC_MIB,
        .floor_percent = 5,
        .calm_bytes = 16 * MC_MIB,
        .calm_percent = 1,
        .overcommit_percent = 150,
        .distress_reserve = {.value = 200, .percent = true},
        .shrink_percent = 20,
        .boot_grace_ms = 10000,
        .foreign_hold_ms = 600000,
        .cooldown_ms = 60000,
        .active_fade_ms = 60000,
        .host_reclaim = true,
        .resort_after_ms = 10000,
        .resort_pause_ms = 30000,
        .resort_undo_ms = 60000,
    };
}

struct mc_engine *mc_engine_new(const struct mc_engine_config *config, struct mc_policy_run *policy)
{
    struct mc_engine *engine = calloc(1, sizeof(*engine));

    if (engine) {
        engine->config = *config;
        engine->policy = policy;
    }
    return engine;
}

void mc_engine_free(struct mc_engine *engine)
{
    if (!engine)
        return;
    mc_tracks_free(&engine->tracks);
    free(engine->guests);
    free(engine->targets);
    free(engine->index);
    free(engine);
}

void mc_engine_configure(struct mc_engine *engine, const struct mc_engine_config *config,
                         struct mc_policy_run *policy)
{
    engine->config = *config;
    engine->policy = policy;
    mc_engine_unsettle(engine);
}

void mc_engine_unsettle(struct mc_engine *engine)
{
    for (size_t i = 0; i < engine->tracks.count; i++)
        engine->tracks.list[i].moving = true;
}

static uint64_t hold_ms(const struct mc_engine_config *config)
{
    return config->rules_off & (1U << MC_RULE_FOREIGN_HAND) ? 0 : config->foreign_hold_ms;
}

static int make_room(struct mc_engine *engine, size_t count)
{
    struct mc_policy_guest *guests;
    uint64_t *targets;
    size_t *index;

    if (count <= engine->room)
        return 0;
    guests = reallocarray(engine->guests, count, sizeof(*guests));
    if (!guests)
        return -ENOMEM;
    engine->guests = guests;
    targets = reallocarray(engine->targets, count, sizeof(*targets));
    if (!targets)
        return -ENOMEM;
    engine->targets = targets;
    index = reallocarray(engine->index, count, sizeof(*index));
    if (!index)
        return -ENOMEM;
    engine->index = index;
    engine->room = count;
    return 0;
}

/*
 * The policy divides above what a guest cannot give up, so that the rest is divided by its own rule
 * and not by whoever comes first. A guest that stays where it is whatever the answer is has no
 * choice; one of which nothing is known gives nothing. But where nobody has turned its statistics
 * on that is no answer: they will come, or it is a dry run, which is to show what would be.
 */
static struct mc_policy_guest bounded_view(const struct mc_engine_config *config,
                                           const struct mc_guest *guest,
                                           const struct mc_track *track, const struct mc_plan *plan,
                                           uint64_t now_ms)
{
    bool held = mc_track_is_held(track, now_ms);
    uint64_t max = held ? guest->actual : guest->terms.max;
    uint64_t floor = held ? max : mc_floor(config, guest, track, plan);
    uint64_t bound = held ? max : mc_bound(config, guest, track, plan, floor, now_ms);
    bool gives = guest->fresh || !guest->stats_period_s;

    return mc_policy_view(guest, gives ? bound : mc_max_u64(bound, guest->actual), max);
}

static int decide(struct mc_engine *engine, const struct mc_snapshot *snapshot,
                  struct mc_plan *plan, struct mc_error *err)
{
    struct mc_policy_input *input = &engine->input;
    uint64_t sum_min = 0, sum_max = 0;
    int rc;

    *input = (struct mc_policy_input){.now_ms = snapshot->now_ms,
                                      .budget = mc_whole_pages(plan->divided),
                                      .guests = engine->guests};
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        plan->steps[i].wish = guest->actual;
        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        sum_min += guest->terms.min;
        sum_max += guest->terms.max;
        engine->index[input->count] = i;
        engine->guests[input->count++] =
            bounded_view(&engine->config, guest, &engine->tracks.list[i], plan, snapshot->now_ms);
    }
    plan->deficit = mc_less_u64(sum_min, plan->divided);
    plan->surplus = mc_less_u64(plan->divided, sum_max);
    rc = mc_policy_decide(engine->policy, input, engine->targets, err);
    for (size_t i = 0; rc == 0 && i < input->count; i++)
        plan->steps[engine->index[i]].wish = engine->targets[i];
    return rc;
}

struct mc_policy_input mc_engine_policy_input(const struct mc_engine *engine, const size_t **index)
{
    if (index)
        *index = engine->index;
    return engine->input;
}

/*
 * Has a guest come so near to what it uses that it shall have more, and is cut short because others
 * have to shrink before? It is in no trouble yet, and may be when it has to wait a full interval.
 */
static bool waits_for_room(const struct mc_engine_config *config, const struct mc_guest *guest,
                           const struct mc_track *track, const struct mc_plan *plan,
                           const struct mc_step *step)
{
    uint64_t floor;

    if (!mc_is_managed(guest) || !guest->answers || !guest->fresh ||
        mc_step_reason(step) != MC_RULE_SHRINK_FIRST)
        return false;
    floor = mc_min_u64(mc_floor(config, guest, track, plan), guest->terms.max);
    return step->target + MC_ARRIVED < floor;
}

/* Does a guest get less than it needs, and is there something on its way? */
static bool is_waited_for(const struct mc_engine *engine, const struct mc_snapshot *snapshot,
                          const struct mc_plan *plan)
{
    bool waits = false, comes = false;

    for (size_t i = 0; i < plan->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        const struct mc_track *track = &engine->tracks.list[i];
        const struct mc_step *step = &plan->steps[i];

        waits |= mc_waits_in_trouble(guest, track, step->target, snapshot->now_ms) ||
                 waits_for_room(&engine->config, guest, track, plan, step);
        comes |=
            mc_is_managed(guest) && guest->answers && step->target + MC_ARRIVED < guest->actual;
    }
    return waits && comes;
}

int mc_engine_step(struct mc_engine *engine, struct mc_snapshot *snapshot, struct mc_plan *plan,
                   struct mc_error *err)
{
    int rc;

    engine->input = (struct mc_policy_input){0};
    if (mc_plan_reset(plan, snapshot->count) < 0 || make_room(engine, snapshot->count) < 0 ||
        mc_tracks_follow(&engine->tracks, snapshot, hold_ms(&engine->config)) < 0)
        return mc_error_set(err, -ENOMEM, "out of memory for %zu guests", snapshot->count);

    mc_estimate(&engine->config, snapshot, &engine->tracks);
    mc_budget_divide(&engine->config, snapshot, &engine->tracks, plan);
    mc_host_state_update(&engine->config, snapshot, &engine->host, plan);
    mc_promise_update(&engine->config, snapshot, &engine->tracks, &engine->host, plan);
    mc_admission_update(&engine->config, snapshot, &engine->tracks, plan);
    rc = decide(engine, snapshot, plan, err);
    if (rc < 0)
        return rc;
    mc_govern(&engine->config, snapshot, &engine->tracks, plan);
    mc_reclaim_plan(&engine->config, snapshot, &engine->tracks, plan);
    mc_last_resort_plan(&engine->config, snapshot, &engine->tracks, &engine->host, plan);
    engine->waited_for = is_waited_for(engine, snapshot, plan);
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->steps[i].send || plan->steps[i].reclaim) {
            engine->any_command = true;
            engine->last_command_ms = snapshot->now_ms;
        }
    }
    return 0;
}

void mc_engine_done(struct mc_engine *engine, const char *uuid, uint64_t now_ms)
{
    struct mc_track *track = mc_tracks_find(&engine->tracks, uuid);

    if (track)
        mc_track_delivered(track, now_ms);
}

void mc_engine_failed(struct mc_engine *engine, const char *uuid, uint64_t now_ms)
{
    struct mc_track *track = mc_tracks_find(&engine->tracks, uuid);

    if (track)
        mc_track_refused(track, now_ms);
}

void mc_engine_withheld(struct mc_engine *engine, const char *uuid)
{
    struct mc_track *track = mc_tracks_find(&engine->tracks, uuid);

    if (track)
        mc_track_withheld(track);
}

size_t mc_engine_lessons(const struct mc_engine *engine, uint64_t now_ms, struct mc_lesson *lessons,
                         size_t room)
{
    const struct mc_tracks *tracks = &engine->tracks;
    size_t count = 0;

    for (size_t i = 0; i < tracks->count + tracks->lesson_count; i++) {
        struct mc_lesson lesson;

        if (i < tracks->count) {
            lesson = mc_track_lesson(&tracks->list[i], now_ms);
        } else {
            const struct mc_kept_lesson *kept = &tracks->lessons[i - tracks->count];

            lesson = kept->lesson;
            mc_lesson_age(&lesson, now_ms - kept->at_ms);
        }
        if (!lesson.learned)
            continue;
        if (count < room)
            lessons[count] = lesson;
        count++;
    }
    return count;
}

int mc_engine_teach(struct mc_engine *engine, const struct mc_lesson *lessons, size_t count,
                    uint64_t now_ms)
{
    for (size_t i = 0; i < count; i++) {
        struct mc_track *track = mc_tracks_find(&engine->tracks, lessons[i].uuid);

        if (lessons[i].learned < MC_LESSON_LEAST)
            continue;
        if (track)
            mc_track_learn(track, &lessons[i], now_ms);
        else if (mc_tracks_keep_lesson(&engine->tracks, &lessons[i], now_ms) < 0)
            return -ENOMEM;
    }
    return 0;
}

enum mc_urgency mc_engine_urgency(const struct mc_engine *engine, uint64_t now_ms)
{
    if (!engine->any_command || now_ms - engine->last_command_ms >= MOVE_LASTS_MS)
        return MC_URGENCY_NONE;
    return engine->waited_for ? MC_URGENCY_WAITING : MC_URGENCY_MOVING;
}
