/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "simulate/raw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decide/policy_run.h"
#include "engine/track.h"
#include "estimate/estimate.h"
#include "govern/govern.h"

struct mc_raw {
    struct mc_policy_run *policy;
    struct mc_tracks tracks;
    struct mc_policy_guest *guests;
    uint64_t *targets;
    size_t room;
};

struct mc_raw *mc_raw_new(struct mc_policy_run *policy)
{
    struct mc_raw *raw = calloc(1, sizeof(*raw));

    if (raw)
        raw->policy = policy;
    return raw;
}

void mc_raw_free(struct mc_raw *raw)
{
    if (!raw)
        return;
    mc_tracks_free(&raw->tracks);
    free(raw->guests);
    free(raw->targets);
    free(raw);
}

static int make_room(struct mc_raw *raw, size_t count)
{
    struct mc_policy_guest *guests;
    uint64_t *targets;

    if (count <= raw->room)
        return 0;
    guests = reallocarray(raw->guests, count, sizeof(*guests));
    if (!guests)
        return -ENOMEM;
    raw->guests = guests;
    targets = reallocarray(raw->targets, count, sizeof(*targets));
    if (!targets)
        return -ENOMEM;
    raw->targets = targets;
    raw->room = count;
    return 0;
}

static void tell(struct mc_raw *raw, const struct mc_snapshot *snapshot, struct mc_plan *plan)
{
    size_t next = 0;

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        struct mc_track *track = &raw->tracks.list[i];
        struct mc_step *step = &plan->steps[i];

        step->wish = step->target = guest->actual;
        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        step->wish = raw->targets[next++];
        step->target = mc_whole_pages(mc_min_u64(step->wish, guest->memory));
        step->send = guest->answers && step->target != mc_track_standing(track, guest);
        if (step->send)
            mc_track_sent(track, guest, step->target, snapshot->now_ms);
    }
}

int mc_raw_step(struct mc_raw *raw, const struct mc_engine_config *config,
                struct mc_snapshot *snapshot, struct mc_plan *plan, struct mc_error *err)
{
    struct mc_policy_input input = {.now_ms = snapshot->now_ms};
    int rc;

    if (mc_plan_reset(plan, snapshot->count) < 0 || make_room(raw, snapshot->count) < 0 ||
        mc_tracks_follow(&raw->tracks, snapshot, 0) < 0)
        return mc_error_set(err, -ENOMEM, "out of memory for %zu guests", snapshot->count);
    mc_estimate(config, snapshot, &raw->tracks);
    mc_budget_divide(config, snapshot, &raw->tracks, plan);
    plan->divided = plan->strict + plan->reserve;
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        /* A policy that acts now and then leaves it at what was said last. */
        raw->targets[input.count] = mc_whole_pages(mc_track_standing(&raw->tracks.list[i], guest));
        raw->guests[input.count++] = mc_policy_view(guest, guest->terms.min, guest->terms.max);
    }
    input.budget = mc_whole_pages(plan->divided);
    input.guests = raw->guests;
    rc = mc_policy_decide(raw->policy, &input, raw->targets, err);
    /* An answer that breaks the bounds of governed policies is a raw one's good right. */
    if (rc < 0 && rc != -EBADMSG)
        return rc;
    tell(raw, snapshot, plan);
    return 0;
}

void mc_raw_done(struct mc_raw *raw, const char *uuid, uint64_t now_ms)
{
    struct mc_track *track = mc_tracks_find(&raw->tracks, uuid);

    if (track)
        mc_track_delivered(track, now_ms);
}

void mc_raw_failed(struct mc_raw *raw, const char *uuid, uint64_t now_ms)
{
    struct mc_track *track = mc_tracks_find(&raw->tracks, uuid);

    if (track)
        mc_track_lost(track, now_ms);
}
