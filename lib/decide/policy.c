/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loading policy modules, and not believing them: what a module answers is checked before anything
 * acts on it.
 */
#include <memctl/policy.h>

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

struct mc_policy_run {
    void *module;
    const struct mc_policy *policy;
    void *state;
    double params[MC_POLICY_PARAM_MAX];
};

static int find_module(const char *name, char *path, size_t size, struct mc_error *err)
{
    const char *folder = secure_getenv("MEMCTL_POLICY_PATH");
    int length;

    if (strchr(name, '/'))
        length = snprintf(path, size, "%s", name);
    else
        length = snprintf(path, size, "%s/%s.so", folder ? folder : MEMCTL_POLICY_DIR, name);
    if (length < 0 || (size_t)length >= size)
        return mc_error_set(err, -ENAMETOOLONG, "policy '%.64s...': the name is too long", name);
    return 0;
}

static int check_module(const struct mc_policy *policy, const char *path, struct mc_error *err)
{
    if (policy->abi != MC_POLICY_ABI)
        return mc_error_set(err, -EINVAL,
                            "policy %s: made for interface version %" PRIu32
                            ", this memctl has %d; build it against the installed headers",
                            path, policy->abi, MC_POLICY_ABI);
    if (!policy->name || !policy->description || !policy->decide || !policy->open ||
        !policy->close || policy->param_count > MC_POLICY_PARAM_MAX)
        return mc_error_set(err, -EINVAL,
                            "policy %s: its table lacks a name, a description, open, close or "
                            "decide, or has more than %d parameters",
                            path, MC_POLICY_PARAM_MAX);
    return 0;
}

static int bind_module(struct mc_policy_run *run, const char *path, struct mc_error *err)
{
    int rc;

    run->module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!run->module)
        return mc_error_set(err, -ENOENT, "policy cannot be loaded: %s", dlerror());
    run->policy = dlsym(run->module, MC_POLICY_SYMBOL);
    if (!run->policy)
        return mc_error_set(err, -EINVAL, "policy %s: exports no symbol '%s'", path,
                            MC_POLICY_SYMBOL);
    rc = check_module(run->policy, path, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < run->policy->param_count; i++)
        run->params[i] = run->policy->params[i].fallback;
    run->state = run->policy->open();
    if (!run->state)
        return mc_error_set(err, -ENOMEM, "policy %s: out of memory", path);
    return 0;
}

int mc_policy_load(const char *name, struct mc_policy_run **run, struct mc_error *err)
{
    char path[4096];
    struct mc_policy_run *loaded;
    int rc = find_module(name, path, sizeof(path), err);

    if (rc < 0)
        return rc;
    loaded = calloc(1, sizeof(*loaded));
    if (!loaded)
        return mc_error_set(err, -ENOMEM, "policy '%s': out of memory", name);
    rc = bind_module(loaded, path, err);
    if (rc < 0) {
        mc_policy_unload(loaded);
        return rc;
    }
    *run = loaded;
    return 0;
}

void mc_policy_unload(struct mc_policy_run *run)
{
    if (!run)
        return;
    if (run->state)
        run->policy->close(run->state);
    if (run->module)
        dlclose(run->module);
    free(run);
}

const struct mc_policy *mc_policy_of(const struct mc_policy_run *run)
{
    return run->policy;
}

int mc_policy_set_param(struct mc_policy_run *run, const char *name, const char *value,
                        struct mc_error *err)
{
    for (size_t i = 0; i < run->policy->param_count; i++) {
        const struct mc_policy_param *param = &run->policy->params[i];
        char *end;
        double number;

        if (strcmp(param->name, name) != 0)
            continue;
        number = strtod(value, &end);
        if (end != value && strcmp(end, "%") == 0) {
            number /= 100;
            end++;
        }
        if (end == value || *end || !isfinite(number) || number < param->low ||
            number > param->high)
            return mc_error_set(err, -ERANGE, "policy %s: %s '%s' is not a number from %g to %g",
                                run->policy->name, name, value, param->low, param->high);
        run->params[i] = number;
        return 0;
    }
    return mc_error_set(err, -EINVAL, "policy %s: has no parameter '%s'", run->policy->name, name);
}

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
