/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Carrying out a plan. Every command is a job on a lane; a guest has at most one under way, and one
 * whose command does not come back is left alone until it does.
 */
#include "daemon.h"

#include <stdlib.h>
#include <string.h>

#include "holds.h"
#include "log.h"

#define COMMAND_WITHIN_MS 2000

/* After a failure to turn statistics on, the next try. */
#define STATS_RETRY_MS 30000

struct command {
    struct job job;
    struct daemon *daemon;
    char uuid[MC_UUID_TEXT];
    char name[MC_NAME_TEXT];
    uint64_t from, to;     /* of the balloon */
    unsigned stats_period; /* instead, if not 0 */
    bool is_missed;        /* it was said that the guest does not take it */
    struct command *next;
};

struct act {
    struct command *under_way;
    struct holds stats_held; /* whose statistics could not be turned on */
};

struct act *act_new(void)
{
    return calloc(1, sizeof(struct act));
}

void act_free(struct act *act)
{
    if (!act)
        return;
    holds_free(&act->stats_held);
    free(act);
}

static bool is_busy(const struct act *act, const char *uuid)
{
    for (const struct command *command = act->under_way; command; command = command->next)
        if (strcmp(command->uuid, uuid) == 0)
            return true;
    return false;
}

void act_mark_busy(const struct act *act, struct mc_snapshot *snapshot)
{
    for (size_t i = 0; act->under_way && i < snapshot->count; i++)
        if (is_busy(act, snapshot->guests[i].uuid))
            snapshot->guests[i].answers = false;
}

/* ---- the job ---- */

static int run(struct job *job, struct mc_session *session)
{
    struct command *command = (struct command *)job;

    if (command->stats_period)
        return mc_session_set_stats_period(session, command->uuid, command->stats_period,
                                           &job->err);
    return mc_session_set_balloon(session, command->uuid, command->to, &job->err);
}

static struct event_facts facts_of(const struct command *command)
{
    return (struct event_facts){.uuid = command->uuid,
                                .name = command->name,
                                .from = command->from,
                                .to = command->to,
                                .sized = !command->stats_period};
}

static void late(struct job *job)
{
    struct command *command = (struct command *)job;

    const struct event_facts facts = facts_of(command);

    if (!job->began_ms)
        return; /* it waits for others: its guest was not asked yet */
    command->is_missed = true;
    watch_late(&command->daemon->watch, command->uuid);
    events_add(command->daemon->events, EVENT_COMMAND_LATE, &facts,
               "does not take a command; left alone until it answers");
}

static void note_outcome(struct daemon *daemon, const char *uuid, uint64_t now_ms, bool is_done)
{
    if (is_done)
        mc_engine_done(daemon->engine, uuid, now_ms);
    else
        mc_engine_failed(daemon->engine, uuid, now_ms);
    record_outcome(daemon, uuid, now_ms, is_done);
}

static void done(struct job *job)
{
    struct command *command = (struct command *)job;
    struct daemon *daemon = command->daemon;
    struct command **link = &daemon->act->under_way;
    const struct event_facts facts = facts_of(command);

    while (*link != command)
        link = &(*link)->next;
    *link = command->next;
    if (command->stats_period) {
        if (job->rc < 0) {
            holds_add(&daemon->act->stats_held, command->uuid, clock_now_ms() + STATS_RETRY_MS);
            log_warning("guest '%s': %s", command->name, job->err.text);
        }
    } else {
        note_outcome(daemon, command->uuid, clock_now_ms(), job->rc == 0);
        watch_ended(&daemon->watch, command->uuid, clock_now_ms(), job->rc < 0 ? &job->err : NULL);
        record_command(daemon, &facts, job->rc < 0 ? &job->err : NULL);
    }
    if (command->is_missed)
        events_add(daemon->events, EVENT_COMMAND_BACK, &facts, "a late command came back");
    free(command);
}

static struct command *command_for(struct daemon *daemon, const struct mc_guest *guest)
{
    struct command *command = calloc(1, sizeof(*command));

    if (!command)
        return NULL;
    command->job =
        (struct job){.run = run, .done = done, .late = late, .within_ms = COMMAND_WITHIN_MS};
    command->daemon = daemon;
    memcpy(command->uuid, guest->uuid, sizeof(command->uuid));
    memcpy(command->name, guest->name, sizeof(command->name));
    return command;
}

static void submit(struct daemon *daemon, struct command *command)
{
    command->next = daemon->act->under_way;
    daemon->act->under_way = command;
    lanes_submit(daemon->lanes, &command->job);
}

static void send_target(struct daemon *daemon, const struct mc_guest *guest,
                        const struct mc_step *step)
{
    struct command *command = command_for(daemon, guest);

    if (!command) {
        note_outcome(daemon, guest->uuid, daemon->snapshot.now_ms, false);
        return;
    }
    command->from = guest->actual;
    command->to = step->target;
    watch_sent(&daemon->watch, &daemon->plan, guest, step, clock_now_ms());
    submit(daemon, command);
}

/*
 * Without statistics a guest is never shrunk; so they are turned on where they are off or rare.
 * They come at moments of their own: with a period as long as the interval, a need would be seen up
 * to two intervals late.
 */
static void turn_on_stats(struct daemon *daemon, const struct mc_guest *guest)
{
    unsigned wanted = (unsigned)mc_max_u64(1, daemon->config.engine.interval_ms / 2000);
    struct command *command;

    if (daemon->config.dry_run || guest->exempt != MC_EXEMPT_NO || !guest->answers ||
        (guest->stats_period_s && guest->stats_period_s <= wanted) ||
        is_busy(daemon->act, guest->uuid) ||
        holds_has(&daemon->act->stats_held, guest->uuid, daemon->snapshot.now_ms))
        return;
    command = command_for(daemon, guest);
    if (!command)
        return;
    command->stats_period = wanted;
    submit(daemon, command);
}

/* The engine must not wait for a guest to do what it was not told. */
static void withhold(struct daemon *daemon, const struct mc_guest *guest,
                     const struct mc_step *step)
{
    if (watch_withheld(&daemon->watch, guest, step, clock_now_ms()))
        record_withheld(daemon, guest, step);
    mc_engine_withheld(daemon->engine, guest->uuid);
    record_kept_back(daemon, guest->uuid);
}

void act_run(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->plan.count; i++) {
        const struct mc_guest *guest = &daemon->snapshot.guests[i];

        if (daemon->config.dry_run && daemon->plan.steps[i].send)
            withhold(daemon, guest, &daemon->plan.steps[i]);
        else if (daemon->plan.steps[i].send)
            send_target(daemon, guest, &daemon->plan.steps[i]);
        else
            turn_on_stats(daemon, guest);
    }
}
