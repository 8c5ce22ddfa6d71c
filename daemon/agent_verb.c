/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Giving a guest the channel that its agent needs. */
#include "control.h"

#include <errno.h>
#include <stdlib.h>

#include "lookup.h"

#define ENABLE_WITHIN_MS 10000

struct enable {
    struct job job;
    struct daemon *daemon;
    struct request *request; /* NULL once answered */
    struct mc_guest guest;   /* as it was when it was asked for */
    unsigned uid;            /* who asked */
    struct mc_agent_added added;
};

static int enable_run(struct job *job, struct mc_session *session)
{
    struct enable *enable = (struct enable *)job;

    return mc_session_add_agent(session, enable->guest.uuid, &enable->added, &job->err);
}

static void enable_late(struct job *job)
{
    struct enable *enable = (struct enable *)job;
    struct mc_error err;

    mc_error_set(&err, -ETIMEDOUT,
                 "guest '%.64s' does not answer; it may still get the channel, look with 'memctl "
                 "agent status' later",
                 enable->guest.name);
    request_fail(enable->request, &err);
    enable->request = NULL;
}

static void enable_done(struct job *job)
{
    struct enable *enable = (struct enable *)job;
    struct daemon *daemon = enable->daemon;

    if (job->rc == 0 && enable->added.any) {
        events_add_guest(daemon->events, EVENT_SETTINGS, &enable->guest, NULL,
                         "uid %u gave it the agent's channel", enable->uid);
        tick_wake(daemon);
    }
    if (enable->request && job->rc == 0) {
        request_reply(enable->request, json_pack("{s:s, s:b, s:b, s:b}", "guest",
                                                 enable->guest.name, "added", enable->added.any,
                                                 "running", enable->guest.state != MC_GUEST_STOPPED,
                                                 "lasts", enable->added.lasts));
    } else if (enable->request) {
        mc_error_prefix(&job->err, "guest '%.64s': ", enable->guest.name);
        request_fail(enable->request, &job->err);
    }
    free(enable);
}

static void enable_guest(struct request *request, struct daemon *daemon, struct mc_guest *guest,
                         const json_t *args)
{
    struct enable *enable = calloc(1, sizeof(*enable));
    struct mc_error err;

    (void)args;
    if (!enable) {
        mc_error_set(&err, -ENOMEM, "out of memory");
        request_fail(request, &err);
        return;
    }
    enable->job = (struct job){
        .run = enable_run, .done = enable_done, .late = enable_late, .within_ms = ENABLE_WITHIN_MS};
    enable->daemon = daemon;
    enable->request = request;
    enable->guest = *guest;
    enable->uid = request_uid(request);
    lanes_submit(daemon->lanes, &enable->job);
}

static void enable_found(struct request *request, struct daemon *daemon, struct mc_snapshot *found,
                         const json_t *args)
{
    enable_guest(request, daemon, &found->guests[0], args);
}

void handle_agent_enable(struct request *request, struct daemon *daemon, const json_t *args)
{
    struct mc_error err;

    if (daemon->config.dry_run) {
        mc_error_set(&err, -EACCES,
                     "memctld makes a dry run and changes no guest; start it without --dry-run to "
                     "add channels");
        request_fail(request, &err);
        return;
    }
    lookup_guest(request, daemon, args, enable_guest, enable_found);
}
