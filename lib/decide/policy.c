/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking a policy, and not believing it: what a module answers is checked before anything acts on
 * it.
 */
#include "decide/policy_run.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include <memctl/units.h>

const struct mc_policy *mc_policy_of(const struct mc_policy_run *run)
{
    return run->policy;
}

const char *mc_policy_asked_for(const struct mc_policy_run *run)
{
    return run->name;
}

int mc_policy_restart(struct mc_policy_run *run)
{
    void *state = run->policy->open();

    if (!state)
        return -ENOMEM;
    run->policy->close(run->state);
    run->state = state;
    return 0;
}

const double *mc_policy_params(const struct mc_policy_run *run)
{
    return run->params;
}

uint64_t mc_policy_key(const char *uuid)
{
    return XXH3_64bits(uuid, strlen(uuid));
}

struct mc_policy_guest mc_policy_view(const struct mc_guest *guest, uint64_t min, uint64_t max)
{
    uint64_t least = mc_min_u64(mc_whole_pages(min), mc_whole_pages(max));

    return (struct mc_policy_guest){
        .shares = guest->terms.shares,
        .min = least,
        .reserved = mc_min_u64(mc_whole_pages(guest->terms.min), least),
        .max = mc_whole_pages(max),
        .current = mc_whole_pages(guest->actual),
        .held = mc_whole_pages(guest->held),
        .active = mc_whole_pages(mc_min_u64(guest->active, max)),
        .stall_us = guest->agent.present ? guest->agent.stall_us : MC_UNKNOWN,
        .key = mc_policy_key(guest->uuid),
    };
}

/* ---- parameters ---- */

static bool read_number(const struct mc_policy_param *param, const char *text, double *number)
{
    char *end;

    *number = strtod(text, &end);
    if (end == text || !isfinite(*number))
        return false;
    if (*end == '%' && param->type == MC_PARAM_RATIO) {
        *number /= 100;
        end++;
    }
    return *end == '\0';
}

static bool in_range(const struct mc_policy_param *param, double number)
{
    return number >= param->low &&
           (param->below_high ? number < param->high : number <= param->high);
}

int mc_policy_set_param(struct mc_policy_run *run, const char *name, const char *value,
                        struct mc_error *err)
{
    for (size_t i = 0; i < run->policy->param_count; i++) {
        const struct mc_policy_param *param = &run->policy->params[i];
        double number;

        if (strcmp(param->name, name) != 0)
            continue;
        if (!read_number(param, value, &number) || !in_range(param, number))
            return mc_error_set(err, -ERANGE,
                                "policy %s: %s '%.64s' is not a number from %g to %s%g",
                                run->policy->name, name, value, param->low,
                                param->below_high ? "less than " : "", param->high);
        run->params[i] = number;
        return 0;
    }
    return mc_error_set(err, -EINVAL,
                        "policy %s: has no parameter '%.64s'; 'memctl policy show %s' lists them",
                        run->policy->name, name, run->name);
}

/* ---- decisions ---- */

static int check_answer(const struct mc_policy *policy, const struct mc_policy_input *input,
                        const uint64_t *targets, struct mc_error *err)
{
    uint64_t sum = 0, sum_min = 0;

    for (size_t i = 0; i < input->count; i++) {
        const struct mc_policy_guest *guest = &input->guests[i];

        if (targets[i] < guest->min || targets[i] > guest->max)
            return mc_error_set(err, -EBADMSG,
                                "policy %s: answered %" PRIu64 " for a guest between %" PRIu64
                                " and %" PRIu64 "; its answer is not used",
                                policy->name, targets[i], guest->min, guest->max);
        sum += targets[i];
        sum_min += guest->min;
    }
    if (sum > mc_max_u64(input->budget, sum_min))
        return mc_error_set(err, -EBADMSG,
                            "policy %s: gave out %" PRIu64 " of %" PRIu64
                            " bytes; its answer is not used",
                            policy->name, sum, input->budget);
    return 0;
}

int mc_policy_decide(struct mc_policy_run *run, const struct mc_policy_input *input,
                     uint64_t *targets, struct mc_error *err)
{
    int rc = run->policy->decide(input, run->params, run->state, targets);

    if (rc < 0)
        return mc_error_set(err, rc, "policy %s: failed: %s", run->policy->name, strerror(-rc));
    return check_answer(run->policy, input, targets, err);
}

int mc_policy_try(const struct mc_policy_run *run, const struct mc_policy_input *input,
                  struct mc_error *err)
{
    struct mc_policy_run trial = *run;
    uint64_t *targets = calloc(input->count ? input->count : 1, sizeof(*targets));
    int rc = -ENOMEM;

    trial.state = run->policy->open();
    if (targets && trial.state)
        rc = mc_policy_decide(&trial, input, targets, err);
    else
        mc_error_set(err, rc, "policy %s: out of memory", run->policy->name);
    if (trial.state)
        run->policy->close(trial.state);
    free(targets);
    return rc;
}
