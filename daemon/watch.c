/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define TELL_MAX 6
#define TELL_WINDOW_MS 60000

/* A guest that showed no trouble for so long is out of it. */
#define RELIEVED_AFTER_MS 10000

void watch_free(struct watch *watch)
{
    free(watch->list);
    *watch = (struct watch){0};
}

static struct watched begin(const struct mc_guest *guest, bool again, struct events *events)
{
    struct watched watched = {.run_id = guest->run_id, .answers = true};
    char size[MC_SIZE_TEXT];

    memcpy(watched.uuid, guest->uuid, sizeof(watched.uuid));
    memcpy(watched.name, guest->name, sizeof(watched.name));
    events_add_guest(events, EVENT_SEEN, guest, NULL, again ? "began to run anew, %s" : "seen, %s",
                     mc_size_format(size, guest->memory));
    return watched;
}

static void end(const struct watched *watched, struct events *events)
{
    const struct event_facts facts = {.uuid = watched->uuid, .name = watched->name};

    events_add(events, EVENT_GONE, &facts, "gone");
}

/*
 * One guest must not push what happened to the others out of the memory. What it was not allowed to
 * tell is told later if it is still so.
 */
static bool may_tell(struct watched *watched)
{
    uint64_t now_ms = clock_now_ms();

    if (now_ms - watched->told_ms >= TELL_WINDOW_MS) {
        watched->told_ms = now_ms;
        watched->told = 0;
    }
    if (watched->told == TELL_MAX)
        return false;
    watched->told++;
    return true;
}

/*
 * An exemption is told when it begins and when it ends; nothing is said of a guest that has none,
 * and a pause, or the last resort, was told already.
 */
static void follow_exempt(struct watched *watched, const struct mc_guest *guest,
                          struct events *events)
{
    const char *name = mc_exempt_name(guest->exempt);

    if (guest->exempt == MC_EXEMPT_OPERATOR || guest->exempt == MC_EXEMPT_LAST_RESORT ||
        !guest->known || (watched->known && watched->exempt == guest->exempt))
        return;
    if (guest->exempt != MC_EXEMPT_NO)
        events_add_guest(events, EVENT_EXEMPT, guest, name, "left alone: %s", name);
    else if (watched->known)
        events_add_guest(events, EVENT_MANAGED, guest, NULL, "managed again");
    watched->known = true;
    watched->exempt = guest->exempt;
}

static void follow_agent(struct watched *watched, const struct mc_guest *guest,
                         struct events *events)
{
    if (watched->agent == guest->agent.present || !may_tell(watched))
        return;
    watched->agent = guest->agent.present;
    if (watched->agent)
        events_add_guest(events, EVENT_AGENT_SPEAKS, guest, NULL, "its agent speaks, version %s",
                         guest->agent.version);
    else
        events_add_guest(events, EVENT_AGENT_SILENT, guest, NULL, "its agent is silent");
}

static void follow_guest(struct watched *watched, const struct mc_guest *guest,
                         struct events *events)
{
    follow_exempt(watched, guest, events);
    follow_agent(watched, guest, events);
    if (watched->answers == guest->answers || !may_tell(watched))
        return;
    watched->answers = guest->answers;
    if (watched->answers)
        events_add_guest(events, EVENT_ANSWERS, guest, NULL, "its QEMU answers again");
    else
        events_add_guest(events, EVENT_SILENT, guest, NULL, "its QEMU does not answer");
}

/* A guest whose QEMU does not answer has none in the snapshot; the last ones are as old as before.
 */
static void follow_update(struct watched *watched, const struct mc_guest *guest, uint64_t now_ms)
{
    if (!guest->stats.last_update || guest->stats.last_update == watched->stats_update)
        return;
    watched->stats_update = guest->stats.last_update;
    watched->stats_seen_ms = now_ms;
}

/* Both are in the order of the UUIDs: one walk over them. */
void watch_follow(struct watch *watch, const struct mc_snapshot *snapshot, struct events *events)
{
    struct watched *list = calloc(snapshot->count + 1, sizeof(*list));
    size_t old = 0;

    for (size_t i = 0; list && i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];
        bool again;

        while (old < watch->count && strcmp(watch->list[old].uuid, guest->uuid) < 0)
            end(&watch->list[old++], events);
        again = old < watch->count && strcmp(watch->list[old].uuid, guest->uuid) == 0;
        if (again && watch->list[old].run_id == guest->run_id)
            list[i] = watch->list[old];
        else
            list[i] = begin(guest, again, events);
        old += again;
        follow_update(&list[i], guest, snapshot->now_ms);
        follow_guest(&list[i], guest, events);
    }
    while (list && old < watch->count)
        end(&watch->list[old++], events);
    free(watch->list);
    watch->list = list;
    watch->count = list ? snapshot->count : 0;
}

/* That they are good for the first time is what everybody expects. */
static void follow_statistics(struct watched *watched, const struct mc_guest *guest,
                              struct events *events)
{
    if (watched->fresh == guest->fresh || (watched->was_fresh && !may_tell(watched)))
        return;
    watched->fresh = guest->fresh;
    if (!watched->fresh)
        events_add_guest(events, EVENT_STALE, guest, NULL,
                         "its statistics are old, rare or impossible; not shrunk");
    else if (watched->was_fresh)
        events_add_guest(events, EVENT_FRESH, guest, NULL, "its statistics are good again");
    watched->was_fresh = true;
}

static void follow_stuck(struct watched *watched, const struct mc_guest *guest, bool stuck,
                         struct events *events)
{
    if (watched->stuck == stuck || !may_tell(watched))
        return;
    watched->stuck = stuck;
    if (stuck)
        events_add_guest(events, EVENT_STUCK, guest, "stuck", "its balloon does not follow");
    else
        events_add_guest(events, EVENT_FOLLOWS, guest, NULL, "its balloon follows again");
}

/* A guest in trouble may look better for a moment; it is told once that it is out of it. */
static void follow_distress(struct watched *watched, const struct mc_guest *guest, uint64_t now_ms,
                            struct events *events)
{
    if (guest->distress != MC_DISTRESS_NO) {
        watched->troubles +=
            !watched->distress_ms || now_ms - watched->distress_ms >= RELIEVED_AFTER_MS;
        watched->distress_ms = now_ms;
    }
    if (guest->distress != MC_DISTRESS_NO && watched->distress == MC_DISTRESS_NO &&
        may_tell(watched)) {
        watched->distress = guest->distress;
        events_add_guest(events, EVENT_DISTRESS, guest, mc_distress_name(guest->distress),
                         "it has too little memory and gets more");
    } else if (watched->distress != MC_DISTRESS_NO &&
               now_ms - watched->distress_ms >= RELIEVED_AFTER_MS) {
        watched->distress = MC_DISTRESS_NO;
        events_add_guest(events, EVENT_RELIEVED, guest, NULL, "it has enough memory again");
    }
}

static void follow_foreign(struct watched *watched, const struct mc_guest *guest,
                           struct events *events)
{
    if (guest->foreign && !watched->foreign)
        events_add_guest(events, EVENT_FOREIGN_HAND, guest, "foreign-hand",
                         "somebody else moved its balloon; it is left alone for a while");
    watched->foreign = guest->foreign;
}

static void follow_host(struct watch *watch, const struct mc_plan *plan, struct events *events)
{
    char free[MC_SIZE_TEXT];

    if (plan->state != watch->host)
        events_add(events, EVENT_HOST_STATE, NULL, "host: %s -> %s, headroom %s",
                   mc_host_state_name(watch->host), mc_host_state_name(plan->state),
                   mc_size_format(free, plan->headroom));
    watch->host = plan->state;
}

void watch_plan(struct watch *watch, const struct mc_snapshot *snapshot, const struct mc_plan *plan,
                struct events *events)
{
    follow_host(watch, plan, events);
    for (size_t i = 0; i < watch->count && i < plan->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        /* With a command under way nothing is known; one that is silent was told already. */
        if (guest->answers)
            follow_statistics(&watch->list[i], guest, events);
        follow_stuck(&watch->list[i], guest, guest->stuck, events);
        follow_distress(&watch->list[i], guest, snapshot->now_ms, events);
        follow_foreign(&watch->list[i], guest, events);
    }
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

/* Shrinking goes by steps that follow each other within a tick or two. */
#define SHRINKS_APART_MS 60000

static void note_shrink(struct shrunk *shrunk, const struct mc_plan *plan,
                        const struct mc_guest *guest, const struct mc_step *step, uint64_t now_ms)
{
    if (step->target >= guest->actual) {
        shrunk->over = true;
        return;
    }
    if (!shrunk->commands || shrunk->over || now_ms - shrunk->sent_ms > SHRINKS_APART_MS)
        *shrunk = (struct shrunk){.from = guest->actual, .began_ms = now_ms};
    shrunk->commands++;
    shrunk->to = step->target;
    shrunk->sent_ms = now_ms;
    shrunk->reason = mc_step_reason(step);
    shrunk->wish = step->wish;
    shrunk->divided = plan->divided;
    shrunk->state = plan->state;
}

void watch_sent(struct watch *watch, const struct mc_plan *plan, const struct mc_guest *guest,
                const struct mc_step *step, uint64_t now_ms)
{
    struct watched *watched = watch_find(watch, guest->uuid);

    if (!watched)
        return;
    watched->last = outcome_of(guest, step, OUTCOME_SENT, now_ms);
    note_shrink(&watched->shrunk, plan, guest, step, now_ms);
}

/* The same thing is withheld in every pass: it is one command, and old. */
bool watch_withheld(struct watch *watch, const struct mc_guest *guest, const struct mc_step *step,
                    uint64_t now_ms)
{
    struct watched *watched = watch_find(watch, guest->uuid);

    if (!watched || (watched->last.state == OUTCOME_WITHHELD && watched->last.to == step->target))
        return false;
    watched->last = outcome_of(guest, step, OUTCOME_WITHHELD, now_ms);
    return true;
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
    watched->commands += !err;
    watched->command_failures += err != NULL;
    if (!err) {
        watched->bytes_reclaimed += mc_less_u64(watched->last.from, watched->last.to);
        watched->bytes_granted += mc_less_u64(watched->last.to, watched->last.from);
    }
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
