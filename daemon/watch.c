/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void watch_free(struct watch *watch)
{
    free(watch->list);
    *watch = (struct watch){0};
}

static struct watched begin(const struct mc_guest *guest)
{
    struct watched watched = {.run_id = guest->run_id};

    memcpy(watched.uuid, guest->uuid, sizeof(watched.uuid));
    memcpy(watched.name, guest->name, sizeof(watched.name));
    return watched;
}

/* Both are in the order of the UUIDs: one walk over them. */
void watch_follow(struct watch *watch, const struct mc_snapshot *snapshot)
{
    struct watched *list = calloc(snapshot->count + 1, sizeof(*list));
    size_t old = 0;

    for (size_t i = 0; list && i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        while (old < watch->count && strcmp(watch->list[old].uuid, guest->uuid) < 0)
            old++;
        if (old < watch->count && strcmp(watch->list[old].uuid, guest->uuid) == 0 &&
            watch->list[old].run_id == guest->run_id)
            list[i] = watch->list[old];
        else
            list[i] = begin(guest);
        if (list[i].stats_update != guest->stats.last_update)
            list[i].stats_seen_ms = snapshot->now_ms;
        list[i].stats_update = guest->stats.last_update;
    }
    free(watch->list);
    watch->list = list;
    watch->count = list ? snapshot->count : 0;
}

static int by_uuid(const void *uuid, const void *watched)
{
    return strcmp(uuid, ((const struct watched *)watched)->uuid);
}

struct watched *watch_find(const struct watch *watch, const char *uuid)
{
    if (!watch->count)
        return NULL;
    return bsearch(uuid, watch->list, watch->count, sizeof(*watch->list), by_uuid);
}

/* ---- the last command ---- */

static struct outcome outcome_of(const struct mc_guest *guest, const struct mc_step *step,
                                 enum outcome_state state, uint64_t now_ms)
{
    return (struct outcome){.state = state,
                            .from = guest->actual,
                            .to = step->target,
                            .reason = mc_step_reason(step),
                            .sent_ms = now_ms};
}

void watch_sent(struct watch *watch, const struct mc_guest *guest, const struct mc_step *step,
                uint64_t now_ms)
{
    struct watched *watched = watch_find(watch, guest->uuid);

    if (watched)
        watched->last = outcome_of(guest, step, OUTCOME_SENT, now_ms);
}

/* The same thing is withheld in every pass: it is one command, and old. */
void watch_withheld(struct watch *watch, const struct mc_guest *guest, const struct mc_step *step,
                    uint64_t now_ms)
{
    struct watched *watched = watch_find(watch, guest->uuid);

    if (watched && (watched->last.state != OUTCOME_WITHHELD || watched->last.to != step->target))
        watched->last = outcome_of(guest, step, OUTCOME_WITHHELD, now_ms);
}

void watch_late(struct watch *watch, const char *uuid)
{
    struct watched *watched = watch_find(watch, uuid);

    if (watched && watched->last.state == OUTCOME_SENT)
        watched->last.late = true;
}

void watch_ended(struct watch *watch, const char *uuid, uint64_t now_ms, const struct mc_error *err)
{
    struct watched *watched = watch_find(watch, uuid);

    /* The guest may have begun another run meanwhile. */
    if (!watched || watched->last.state != OUTCOME_SENT)
        return;
    watched->last.state = err ? OUTCOME_FAILED : OUTCOME_TAKEN;
    watched->last.ended_ms = now_ms;
    if (err)
        snprintf(watched->last.error, sizeof(watched->last.error), "%.255s", err->text);
}

const char *outcome_name(enum outcome_state state)
{
    static const char *const names[] = {
        [OUTCOME_NONE] = "none",     [OUTCOME_SENT] = "sent",         [OUTCOME_TAKEN] = "taken",
        [OUTCOME_FAILED] = "failed", [OUTCOME_WITHHELD] = "withheld",
    };

    return names[state];
}
