/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"

#include <stdlib.h>
#include <time.h>

static int run(struct job *job, struct mc_session *session)
{
    struct observation *observation = (struct observation *)job;

    return mc_session_observe(session, clock_now_ms(), &observation->snapshot, &job->err);
}

static void done(struct job *job)
{
    struct observation *observation = (struct observation *)job;

    observation->snapshot.wall_s = time(NULL);
    observation->done(observation);
    mc_snapshot_free(&observation->snapshot);
    free(observation);
}

static void late(struct job *job)
{
    struct observation *observation = (struct observation *)job;

    observation->late(observation);
}

struct observation *observe_start(struct daemon *daemon, const struct job *when,
                                  void (*on_done)(struct observation *),
                                  void (*on_late)(struct observation *))
{
    struct observation *observation = calloc(1, sizeof(*observation));

    if (!observation)
        return NULL;
    observation->job = *when;
    observation->job.goes_first = true;
    observation->job.run = run;
    observation->job.done = done;
    observation->job.late = late;
    observation->daemon = daemon;
    observation->done = on_done;
    observation->late = on_late;
    lanes_submit(daemon->lanes, &observation->job);
    return observation;
}

void observe_apply_config_to(const struct config *config, struct mc_guest *guest)
{
    struct mc_settings settings = config_settings_for(config, guest->name, &guest->own);

    guest->terms = mc_settings_resolve(&settings, guest->memory);
    if (guest->terms.cooldown_ms == MC_UNKNOWN)
        guest->terms.cooldown_ms = config->engine.cooldown_ms;
    if (!guest->terms.managed && guest->exempt == MC_EXEMPT_NO)
        guest->exempt = MC_EXEMPT_UNMANAGED;
}

void observe_apply_config(const struct config *config, struct mc_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++)
        observe_apply_config_to(config, &snapshot->guests[i]);
}
