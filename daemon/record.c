/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happened, for the operator: counters, a line in the log when something changes, and the
 * lines of a recording if there is one, the history.
 */
#include "daemon.h"

#include <stdlib.h>
#include <string.h>

#include <memctl/replay.h>

#include "log.h"

/* The daemon's state changes are logged once, when they happen. */
void record_link(struct daemon *daemon, const struct mc_error *err)
{
    struct link_state *link = &daemon->link;

    if (!err) {
        if (!link->up)
            events_add(daemon->events, EVENT_LINK_BACK, NULL, "connected to %s",
                       daemon->config.connect);
        link->up = true;
        link->last_error = (struct mc_error){0};
        return;
    }
    if (link->up || strcmp(link->last_error.text, err->text) != 0)
        events_add(daemon->events, EVENT_LINK_LOST, NULL,
                   "hypervisor lost, trying again with growing pauses: %s", err->text);
    link->up = false;
    link->last_error = *err;
}

void record_command(struct daemon *daemon, const struct event_facts *facts,
                    const struct mc_error *err)
{
    uint64_t from = facts->from, to = facts->to;
    char a[MC_SIZE_TEXT], b[MC_SIZE_TEXT];

    if (err) {
        daemon->counters.command_failures++;
        events_add(daemon->events, EVENT_COMMAND_FAILED, facts, "command failed: %s", err->text);
        return;
    }
    daemon->counters.commands++;
    if (to < from)
        daemon->counters.bytes_reclaimed += from - to;
    else
        daemon->counters.bytes_granted += to - from;
    log_debug("guest '%s': balloon %s -> %s", facts->name, mc_size_format(a, from),
              mc_size_format(b, to));
}

/* A line for a command with its reason. To tell a guest what it has already is no event. */
static void note_target(struct daemon *daemon, const struct mc_guest *guest,
                        const struct mc_step *step, const char *how)
{
    const char *reason = mc_rule_name(mc_step_reason(step));
    const struct event_facts facts = {.uuid = guest->uuid,
                                      .name = guest->name,
                                      .from = guest->actual,
                                      .to = step->target,
                                      .sized = true,
                                      .reason = reason};
    char a[MC_SIZE_TEXT], b[MC_SIZE_TEXT];

    mc_size_format(a, guest->actual);
    mc_size_format(b, step->target);
    /* From 5.43G to 5.43G is a riddle. */
    if (strcmp(a, b) == 0) {
        snprintf(a, sizeof(a), "%.1fM", (double)guest->actual / MC_MIB);
        snprintf(b, sizeof(b), "%.1fM", (double)step->target / MC_MIB);
    }
    if (step->target == guest->actual)
        log_debug("guest '%s': %s%s -> %s (%s)", guest->name, how, a, b, reason);
    else
        events_add(daemon->events, EVENT_TARGET, &facts, "%s%s -> %s (%s)", how, a, b, reason);
}

void record_plan(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->plan.count; i++) {
        const struct mc_step *step = &daemon->plan.steps[i];

        for (unsigned change = 0; change < step->change_count; change++)
            daemon->counters.rule_changes[step->changes[change].rule]++;
        if (step->send && !daemon->config.dry_run)
            note_target(daemon, &daemon->snapshot.guests[i], step, "");
    }
}

void record_withheld(struct daemon *daemon, const struct mc_guest *guest,
                     const struct mc_step *step)
{
    note_target(daemon, guest, step, "would go ");
}

/* ---- the history ---- */

/* A value counts until the next pass; one that is late is waited for, as statistics are. */
#define HOLD_INTERVALS 3
#define HOLD_LEAST_MS 10000

void record_lessons(struct daemon *daemon)
{
    uint64_t now_ms = clock_now_ms();
    struct mc_lesson *lessons;
    size_t count;

    if (!keeper_take_lessons(daemon->keeper, &lessons, &count))
        return;
    if (count && mc_engine_teach(daemon->engine, lessons, count, now_ms) == 0) {
        log_info("margins that %zu guests' troubles have taught are remembered", count);
        if (daemon->recorder)
            recorder_write(daemon->recorder, mc_recording_teach(lessons, count, now_ms));
    }
    free(lessons);
}

static void tell_state(struct daemon *daemon)
{
    struct keeper_state state = keeper_state(daemon->keeper);

    if (state.changes == daemon->keeper_changes)
        return;
    /* That it is well at the start is no news. */
    if (!state.up)
        events_add(daemon->events, EVENT_STORE_LOST, NULL, "the history is not kept for now: %s",
                   state.why);
    else if (daemon->keeper_changes)
        events_add(daemon->events, EVENT_STORE_BACK, NULL, "the history is kept again");
    daemon->keeper_changes = state.changes;
}

void record_history(struct daemon *daemon)
{
    uint64_t interval_ms = daemon->config.engine.interval_ms;

    if (!daemon->keeper)
        return;
    record_lessons(daemon);
    keeper_pass(daemon->keeper, &daemon->snapshot, &daemon->plan, daemon->engine,
                mc_max_u64(HOLD_INTERVALS * interval_ms, HOLD_LEAST_MS));
    tell_state(daemon);
}

/* ---- the recording: what the engine was told and answered ---- */

void record_begin(struct daemon *daemon)
{
    if (daemon->recorder)
        recorder_write(daemon->recorder,
                       mc_recording_begin(&daemon->config.engine, daemon->policies.current));
    if (daemon->keeper)
        keeper_configure(daemon->keeper,
                         mc_recording_begin(&daemon->config.engine, daemon->policies.current));
}

void record_pass(struct daemon *daemon, bool planned)
{
    if (daemon->recorder)
        recorder_write(daemon->recorder,
                       mc_recording_step(&daemon->snapshot, planned ? &daemon->plan : NULL));
}

void record_outcome(struct daemon *daemon, const char *uuid, uint64_t now_ms, bool is_done)
{
    if (daemon->recorder)
        recorder_write(daemon->recorder, mc_recording_outcome(uuid, now_ms, is_done));
}

void record_kept_back(struct daemon *daemon, const char *uuid)
{
    if (daemon->recorder)
        recorder_write(daemon->recorder, mc_recording_withheld(uuid));
}

void record_unsettle(struct daemon *daemon)
{
    if (daemon->recorder)
        recorder_write(daemon->recorder, mc_recording_unsettle());
}
