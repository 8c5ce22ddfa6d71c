/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policies.h"

#include <stdio.h>
#include <string.h>

#include "log.h"

/* The simplest of those that come with memctl; when all else fails. */
#define LAST_RESORT "shares"

int policies_load(const struct config *config, struct mc_policy_run **policy, struct mc_error *err)
{
    int rc = mc_policy_load(config->policy, policy, err);

    for (size_t i = 0; rc == 0 && i < config->policy_param_count; i++) {
        rc = mc_policy_set_param(*policy, config->policy_params[i].name,
                                 config->policy_params[i].value, err);
        if (rc < 0) {
            mc_policy_unload(*policy);
            *policy = NULL;
        }
    }
    return rc;
}

void policies_take(struct policies *policies, struct mc_policy_run *policy)
{
    if (policies->proven) {
        mc_policy_unload(policies->good);
        policies->good = policies->current;
    } else {
        mc_policy_unload(policies->current);
    }
    policies->current = policy;
    policies->proven = false;
    policies->refused[0] = '\0';
}

bool policies_fall_back(struct policies *policies, const struct mc_error *why)
{
    const char *failed = mc_policy_of(policies->current)->name;
    struct mc_policy_run *other = policies->good;
    struct mc_error err;

    if (!other && (strcmp(failed, LAST_RESORT) == 0 || mc_policy_load(LAST_RESORT, &other, &err)))
        return false;
    snprintf(policies->refused, sizeof(policies->refused), "%s", failed);
    policies->refusal = *why;
    log_error("%s; policy %s decides instead, until 'memctl policy use' or a reload chooses again",
              why->text, mc_policy_of(other)->name);
    mc_policy_unload(policies->current);
    mc_policy_restart(other); /* what it remembers is of another time */
    policies->current = other;
    policies->good = NULL;
    policies->proven = false;
    return true;
}

void policies_free(struct policies *policies)
{
    mc_policy_unload(policies->current);
    mc_policy_unload(policies->good);
    *policies = (struct policies){0};
}
