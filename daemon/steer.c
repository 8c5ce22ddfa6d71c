/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steer_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dedupe.h"
#include "log.h"

/* To part pages the host keeps this much beside. */
#define ROOM_KEPT (256 * MC_MIB)
/* What is under way when memctld stops may take so long. */
#define ORDERS_WITHIN_MS 3000

const char *steer_ksm_folder(void)
{
    const char *folder = secure_getenv("MEMCTL_KSM");

    return folder ? folder : MC_KSM_FOLDER;
}

static bool is_on(const struct steer *steer)
{
    return steer->daemon->config.dedupe.merge;
}

/* ---- the round ---- */

static void decide(struct steer *steer)
{
    const struct daemon *daemon = steer->daemon;
    const struct mc_steer_config *config = &daemon->config.dedupe.steer;
    uint64_t now = clock_now_ms();
    struct mc_steer_host host = {
        .now_ms = now,
        .pass = dedupe_report(daemon->dedupe)->pass,
        .state = daemon->has_plan ? daemon->plan.state : MC_HOST_HIGH,
        .spare = mc_less_u64(daemon->snapshot.host.available, ROOM_KEPT),
        .starting = daemon->snapshot.pledged > 0,
        .looked = steer->knows_strangers,
        .strangers = steer->strangers,
        .hands_off = steer->managed || now < steer->foreign_ms || daemon->pauses.all,
        .ksmd_us = steer->ksmd_us,
        .ksm = steer->ksm,
    };
    struct mc_steer_guest *decided =
        reallocarray(steer->decided, steer->count + 1, sizeof(*decided));

    if (!decided)
        return;
    for (size_t i = 0; i < steer->count; i++)
        decided[i] = steer->guests[i].guest;
    mc_steer_decide(config, &host, decided, steer->count, &steer->memory, &steer->plan);
    for (size_t i = 0; i < steer->count; i++)
        steer->guests[i].guest = decided[i];
    steer->decided = decided;
    steer->decided_count = steer->count;
}

static void tell_guest(struct steer *steer, struct steered *known)
{
    const struct mc_steer_guest *guest = &known->guest;
    const struct event_facts facts = {
        .uuid = guest->uuid, .name = guest->name, .reason = mc_steer_reason_name(guest->reason)};
    bool on = guest->looked && guest->mergeable && guest->mergeable >= guest->ram;
    char promised[MC_SIZE_TEXT];

    if (known->told == MC_STEER_REASONS && guest->reason != MC_STEER_PAYS)
        known->was_on = on; /* as it was started, and not by us */
    if (known->told == guest->reason && known->was_on == on)
        return;
    known->told = guest->reason;
    if (known->was_on != on)
        events_add(steer->daemon->events, EVENT_MERGE, &facts, "%s; promised are %s: %s",
                   on ? "KSM may merge it" : "KSM merges it no more",
                   mc_size_format(promised, guest->mind.promised),
                   mc_steer_reason_text(guest->reason));
    known->was_on = on;
}

static void tell(struct steer *steer)
{
    for (size_t i = 0; i < steer->count; i++)
        if (steer->guests[i].guest.looked)
            tell_guest(steer, &steer->guests[i]);
    if (steer->told_pace == steer->plan.pace &&
        strcmp(steer->told_domain, steer->plan.domain) == 0 &&
        (steer->plan.pace != MC_STEER_BLOCKED || strcmp(steer->told_why, steer->plan.why) == 0))
        return;
    memcpy(steer->told_why, steer->plan.why, sizeof(steer->told_why));
    steer->told_pace = steer->plan.pace;
    snprintf(steer->told_domain, sizeof(steer->told_domain), "%s", steer->plan.domain);
    events_add(steer->daemon->events, EVENT_KSM, NULL, "KSM %s%s%.64s: %s",
               mc_steer_pace_name(steer->plan.pace),
               *steer->plan.domain ? " for trust domain " : "", steer->plan.domain,
               steer->plan.why);
}

static void undo(struct steer *steer);

void steer_follow(struct steer *steer)
{
    steer->follows = true;
    if (!is_on(steer)) {
        undo(steer);
        return;
    }
    if (steer->restoring)
        return;
    steer_follow_guests(steer);
    steer_begin_survey(steer);
    if (!steer->surveyed || !steer->fresh)
        return;
    decide(steer);
    tell(steer);
    if (!steer->writing && (steer->daemon->config.dry_run || !steer_write_knobs(steer)) &&
        !steer->looking)
        steer_order_one(steer);
}

static void on_restored(void *opaque)
{
    struct steer *steer = opaque;

    steer->restoring = false;
    if (!record_is_empty(&steer->record))
        steer->retry_ms = clock_now_ms() + STEER_FOREIGN_MS;
}

/* The mode is not merge: what was done before is undone. */
static void undo(struct steer *steer)
{
    if (record_is_empty(&steer->record) || steer->writing || steer->looking || steer->restoring ||
        steer->daemon->config.dry_run || clock_now_ms() < steer->retry_ms) {
        steer->decided_count = 0;
        return;
    }
    steer->restoring = true;
    steer->memory = (struct mc_steer_memory){0};
    steer->told_pace = MC_STEER_PACES;
    steer->surveyed = steer->fresh = false;
    steer->count = steer->decided_count = 0;
    events_add(steer->daemon->events, EVENT_KSM, NULL,
               "merging is not steered any more; KSM and guests are put back as they were");
    steer_restore_later(steer->daemon->lanes, &steer->record, on_restored, steer);
}

/* What is under way would undo what is put back. */
static void wait_for_orders(const struct steer *steer)
{
    const struct timeval within = {.tv_usec = 200000};
    uint64_t until = clock_now_ms() + ORDERS_WITHIN_MS;

    while ((steer->looking || steer->writing || steer->restoring) && clock_now_ms() < until) {
        event_base_loopexit(steer->daemon->base, &within);
        event_base_dispatch(steer->daemon->base);
    }
}

void steer_put_back(struct steer *steer)
{
    size_t left;

    /* One that never came to follow a guest, since another memctld runs, has changed nothing. */
    if (!steer || !steer->follows || steer->daemon->config.dry_run ||
        record_is_empty(&steer->record))
        return;
    wait_for_orders(steer);
    left = steer_restore(steer->daemon->base, steer->daemon->lanes, &steer->record, 10000);
    if (left)
        log_warning("%zu settings of page merging could not be put back; 'memctld --restore-ksm' "
                    "tries again",
                    left);
    else
        log_info("page merging is as it was before memctld steered it");
}

/* ---- for others ---- */

const struct mc_steer_plan *steer_plan(const struct steer *steer)
{
    return &steer->plan;
}

const struct mc_steer_guest *steer_guests(const struct steer *steer, size_t *count)
{
    *count = is_on(steer) ? steer->decided_count : 0;
    return steer->decided;
}

const struct mc_steer_guest *steer_find(const struct steer *steer, const char *uuid)
{
    size_t count;
    const struct mc_steer_guest *guests = steer_guests(steer, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(guests[i].uuid, uuid) == 0)
            return &guests[i];
    return NULL;
}

double steer_ksmd_seconds(const struct steer *steer)
{
    return steer->ksmd_us == MC_UNKNOWN ? -1 : (double)steer->ksmd_us / 1e6;
}

struct steer *steer_new(struct daemon *daemon)
{
    struct steer *steer = calloc(1, sizeof(*steer));
    char file[4096];

    if (!steer)
        return NULL;
    steer->daemon = daemon;
    steer->ksmd_us = MC_UNKNOWN;
    steer->told_pace = MC_STEER_PACES;
    steer_record_file(file, daemon->config.socket);
    if (record_load(&steer->record, file) == 0)
        return steer;
    free(steer);
    return NULL;
}

void steer_stop(struct steer *steer)
{
    if (steer)
        steer->stopped = true;
}

void steer_free(struct steer *steer)
{
    if (!steer)
        return;
    record_free(&steer->record);
    free(steer->guests);
    free(steer->decided);
    free(steer);
}
