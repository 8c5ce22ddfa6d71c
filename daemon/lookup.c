/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lookup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUP_WITHIN_MS 5000

/* So many may wait: clients that come, ask and go away must not make a long queue. */
#define LOOKUPS_MAX 16

struct lookup {
    struct job job;
    struct daemon *daemon;
    struct request *request; /* NULL once answered */
    json_t *args;
    lookup_found *then;
    struct mc_snapshot found;
    char *name;      /* NULL: all */
    uint64_t stores; /* when it was asked for */
};

static int run(struct job *job, struct mc_session *session)
{
    struct lookup *lookup = (struct lookup *)job;

    mc_snapshot_reset(&lookup->found); /* it may run twice */
    return mc_session_find(session, lookup->name, &lookup->found, &job->err);
}

static void late(struct job *job)
{
    struct lookup *lookup = (struct lookup *)job;
    struct mc_error err;

    mc_error_set(&err, -ETIMEDOUT, "the hypervisor does not answer; 'memctl status' tells more");
    request_fail(lookup->request, &err);
    lookup->request = NULL;
}

static void free_lookup(struct lookup *lookup)
{
    mc_snapshot_free(&lookup->found);
    json_decref(lookup->args);
    free(lookup->name);
    free(lookup);
}

static void done(struct job *job);

static void submit(struct lookup *lookup)
{
    lookup->job =
        (struct job){.run = run, .done = done, .late = late, .within_ms = LOOKUP_WITHIN_MS};
    lookup->stores = lookup->daemon->stores;
    lanes_submit(lookup->daemon->lanes, &lookup->job);
}

static void done(struct job *job)
{
    struct lookup *lookup = (struct lookup *)job;
    struct daemon *daemon = lookup->daemon;

    /* A change based on settings from before the last one would undo that. */
    if (lookup->request && job->rc == 0 && lookup->stores != daemon->stores) {
        submit(lookup);
        return;
    }
    daemon->lookups--;
    if (lookup->request && job->rc < 0) {
        request_fail(lookup->request, &job->err);
    } else if (lookup->request) {
        for (size_t i = 0; i < lookup->found.count; i++)
            observe_apply_config_to(&daemon->config, &lookup->found.guests[i]);
        lookup->then(lookup->request, daemon, &lookup->found, lookup->args);
    }
    free_lookup(lookup);
}

static struct lookup *lookup_new(const char *name, const json_t *args)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));

    if (!lookup)
        return NULL;
    lookup->args = json_deep_copy(args);
    lookup->name = name ? strdup(name) : NULL;
    if (lookup->args && (!name || lookup->name))
        return lookup;
    free_lookup(lookup);
    return NULL;
}

void lookup_start(struct request *request, struct daemon *daemon, const char *name,
                  const json_t *args, lookup_found *then)
{
    struct lookup *lookup = daemon->lookups < LOOKUPS_MAX ? lookup_new(name, args) : NULL;
    struct mc_error err;

    if (!lookup) {
        mc_error_set(&err, -EBUSY, "too many requests wait for the hypervisor; try again");
        request_fail(request, &err);
        return;
    }
    lookup->daemon = daemon;
    lookup->request = request;
    lookup->then = then;
    daemon->lookups++;
    submit(lookup);
}

void lookup_guest(struct request *request, struct daemon *daemon, const json_t *args,
                  void (*running)(struct request *, struct daemon *, struct mc_guest *,
                                  const json_t *),
                  lookup_found *found)
{
    const char *name = json_string_value(json_object_get(args, "guest"));
    struct mc_guest *guest = name ? mc_snapshot_find_named(&daemon->snapshot, name) : NULL;
    struct mc_error err;

    if (guest) {
        running(request, daemon, guest, args);
    } else if (name) {
        lookup_start(request, daemon, name, args, found);
    } else {
        mc_error_set(&err, -EINVAL, "the request names no guest");
        request_fail(request, &err);
    }
}
