/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happened, for the operator: counters, a line in the log when something changes, and the
 * lines of a recording if there is one.
 */
#include "daemon.h"

#include <string.h>

#include <memctl/replay.h>

#include "log.h"

/* The daemon's state changes are logged once, when they happen. */
void record_link(struct daemon *daemon, const struct mc_error *err)
{
    struct link_state *link = &daemon->link;

    if (!err) {
        if (!link->up)
            log_info("connected to %s", daemon->config.connect);
        link->up = true;
        link->last_error = (struct mc_error){0};
        return;
    }
    if (link->up || strcmp(link->last_error.text, err->text) != 0)
        log_warning("%s; trying again with growing pauses", err->text);
    link->up = false;
    link->last_error = *err;
}

void record_command(struct daemon *daemon, const char *name, uint64_t from, uint64_t to,
                    const struct mc_error *err)
{
    char a[MC_SIZE_TEXT], b[MC_SIZE_TEXT];

    if (err) {
        daemon->counters.command_failures++;
        log_warning("guest '%s': %s", name, err->text);
        return;
    }
    daemon->counters.commands++;
    if (to < from)
        daemon->counters.bytes_reclaimed += from - to;
    else
        daemon->counters.bytes_granted += to - from;
    log_debug("guest '%s': balloon %s -> %s", name, mc_size_format(a, from), mc_size_format(b, to));
}

/* One line for each command that goes out, with its reason. */
void record_plan(struct daemon *daemon)
{
    char a[MC_SIZE_TEXT], b[MC_SIZE_TEXT];

    for (size_t i = 0; i < daemon->plan.count; i++) {
        const struct mc_step *step = &daemon->plan.steps[i];

        if (step->send)
            log_info("guest '%s': %s -> %s (%s)", daemon->snapshot.guests[i].name,
                     mc_size_format(a, daemon->snapshot.guests[i].actual),
                     mc_size_format(b, step->target), mc_rule_name(mc_step_reason(step)));
    }
}

/* ---- the recording: what the engine was told and answered ---- */

void record_begin(struct daemon *daemon)
{
    if (daemon->recorder)
        recorder_write(daemon->recorder,
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

void record_unsettle(struct daemon *daemon)
{
    if (daemon->recorder)
        recorder_write(daemon->recorder, mc_recording_unsettle());
}
