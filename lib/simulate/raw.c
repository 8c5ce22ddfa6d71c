/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "simulate/raw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/track.h"
#include "estimate/estimate.h"
#include "govern/govern.h"

/* As the engine: statistics that did not change for so many intervals are stale. */
#define STALE_INTERVALS 3

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

static uint64_t whole_pages(uint64_t bytes)
{
    return bytes / MC_PAGE * MC_PAGE;
}

static struct mc_policy_guest view(const struct mc_guest *guest)
{
    return (struct mc_policy_guest){
        .shares = guest->terms.shares,
        .min = whole_pages(guest->terms.min),
        .max = whole_pages(guest->terms.max),
        .current = whole_pages(guest->actual),
        .held = whole_pages(guest->held),
        .active = whole_pages(mc_min_u64(guest->active, guest->terms.max)),
        .stall_us = MC_UNKNOWN,
        .key = mc_policy_key(guest->uuid),
    };
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
        step->target = whole_pages(mc_min_u64(step->wish, guest->memory));
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
    mc_estimate(config, snapshot, &raw->tracks, STALE_INTERVALS * config->interval_ms);
    mc_budget_divide(config, snapshot, &raw->tracks, plan);
    plan->divided = plan->strict + plan->reserve;
    for (size_t i = 0; i < snapshot->count; i++) {
        if (snapshot->guests[i].exempt != MC_EXEMPT_NO)
            continue;
        /* A policy that acts now and then leaves it at what was said last. */
        raw->targets[input.count] =
            whole_pages(mc_track_standing(&raw->tracks.list[i], &snapshot->guests[i]));
        raw->guests[input.count++] = view(&snapshot->guests[i]);
    }
    input.budget = whole_pages(plan->divided);
    input.guests = raw->guests;
    rc = mc_policy_decide(raw->policy, &input, raw->targets, err);
    /* An answer that breaks the bounds of governed policies is a raw one's good right. */
    if (rc < 0 && rc != -EBADMSG)
        return rc;
    tell(raw, snapshot, plan);
    return 0;
}

static struct mc_track *find_track(struct mc_raw *raw, const char *uuid)
{
    for (size_t i = 0; i < raw->tracks.count; i++)
        if (strcmp(raw->tracks.list[i].uuid, uuid) == 0)
            return &raw->tracks.list[i];
    return NULL;
}

void mc_raw_done(struct mc_raw *raw, const char *uuid, uint64_t now_ms)
{
    struct mc_track *track = find_track(raw, uuid);

    if (track)
        mc_track_delivered(track, now_ms);
}

void mc_raw_failed(struct mc_raw *raw, const char *uuid, uint64_t now_ms)
{
    struct mc_track *track = find_track(raw, uuid);

    if (track)
        mc_track_lost(track, now_ms);
}
