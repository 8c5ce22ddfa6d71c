/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A loaded module: policy_module.c brings it in, policy.c asks it. */
#ifndef MEMCTL_POLICY_RUN_H
#define MEMCTL_POLICY_RUN_H

#include <memctl/model.h>
#include <memctl/policy.h>

struct mc_policy_run {
    char *name; /* as it was asked for */
    void *module;
    int fd; /* of the copy that was loaded; its number stands for it while it is loaded, else -1 */
    const struct mc_policy *policy;
    void *state;
    double params[MC_POLICY_PARAM_MAX];
};

/* What a policy may see of a guest, between these bounds. Sizes are rounded down to pages. */
struct mc_policy_guest mc_policy_view(const struct mc_guest *guest, uint64_t min, uint64_t max);

#endif
