/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which policy decides. One that breaks its promise is set aside, and the one that decided well
 * before it goes on, until an operator chooses again.
 */
#ifndef MEMCTLD_POLICIES_H
#define MEMCTLD_POLICIES_H

#include <memctl/policy.h>

#include "config.h"

struct policies {
    struct mc_policy_run *current;
    struct mc_policy_run *good; /* decided well before current did; NULL if there is none */
    bool proven;                /* current has decided well */
    char refused[CONFIG_TEXT];  /* the name of the one that was set aside, "" for none */
    struct mc_error refusal;    /* and why */
};

/* Load the policy that the configuration names, with its parameters. */
int policies_load(const struct config *config, struct mc_policy_run **policy, struct mc_error *err);

/* Make this one decide from now on; takes it over. */
void policies_take(struct policies *policies, struct mc_policy_run *policy);

/*
 * The current one failed: go back to one that is good. Returns false if there is none. The caller
 * has to tell the engine.
 */
bool policies_fall_back(struct policies *policies, const struct mc_error *why);

void policies_free(struct policies *policies);

#endif
