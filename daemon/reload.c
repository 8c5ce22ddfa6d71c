/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"

#include <string.h>

#include "log.h"
#include "options.h"

/* What is bound when the process starts cannot follow a reload. */
static void keep_bound(const struct config *old, struct config *new)
{
    if (strcmp(old->connect, new->connect) != 0 || strcmp(old->socket, new->socket) != 0 ||
        strcmp(old->socket_group, new->socket_group) != 0 ||
        strcmp(old->metrics, new->metrics) != 0 || strcmp(old->record, new->record) != 0 ||
        strcmp(config_store(old), config_store(new)) != 0 ||
        memcmp(&old->history, &new->history, sizeof(old->history)) != 0 ||
        old->dry_run != new->dry_run)
        log_warning("connect, socket, socket-group, metrics, record, store, [history] and dry-run "
                    "change only with a restart");
    memcpy(new->connect, old->connect, sizeof(new->connect));
    memcpy(new->socket, old->socket, sizeof(new->socket));
    memcpy(new->socket_group, old->socket_group, sizeof(new->socket_group));
    memcpy(new->metrics, old->metrics, sizeof(new->metrics));
    memcpy(new->record, old->record, sizeof(new->record));
    memcpy(new->store, old->store, sizeof(new->store));
    new->store_said = old->store_said;
    new->history = old->history;
    /* The engine was told of commands that nobody sent: it could not go on from there. */
    new->dry_run = old->dry_run;
}

int daemon_reload(struct daemon *daemon, const char *by, struct mc_error *err)
{
    struct mc_policy_input input = mc_engine_policy_input(daemon->engine, NULL);
    struct mc_policy_run *policy = NULL;
    struct config config;
    int rc = options_read_config(daemon->options, &config, err);

    if (rc == 0)
        rc = policies_load(&config, &policy, err);
    if (rc == 0)
        rc = mc_policy_try(policy, &input, err);
    if (rc < 0) {
        events_add(daemon->events, EVENT_RELOADED, NULL, "not reloaded (%s): %s", by, err->text);
        mc_policy_unload(policy);
        config_free(&config);
        return rc;
    }
    keep_bound(&daemon->config, &config);
    config_free(&daemon->config);
    daemon->config = config;
    policies_take(&daemon->policies, policy);
    mc_engine_configure(daemon->engine, &config.engine, policy);
    record_begin(daemon);
    tick_wake(daemon);
    events_add(daemon->events, EVENT_RELOADED, NULL, "configuration reloaded (%s), policy %.64s",
               by, mc_policy_of(policy)->name);
    return 0;
}
