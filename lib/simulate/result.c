/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "simulate/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void name_policy(struct mc_simulation *result, const struct mc_policy *policy,
                        const struct mc_simulate_config *config)
{
    size_t size = sizeof(result->policy);
    int length = snprintf(result->policy, size, "%s%s", config->raw ? "raw:" : "", policy->name);

    for (size_t i = 0; i < config->param_count && length > 0 && (size_t)length < size; i++)
        length +=
            snprintf(result->policy + length, size - (size_t)length, ":%s", config->params[i]);
}

struct mc_simulation *mc_result_begin(const struct mc_sim *sim, const struct mc_policy *policy,
                                      const struct mc_simulate_config *config)
{
    struct mc_simulation *result = calloc(1, sizeof(*result));

    if (!result)
        return NULL;
    result->guests = calloc(sim->count + 1, sizeof(*result->guests));
    if (!result->guests) {
        free(result);
        return NULL;
    }
    memcpy(result->title, sim->title, sizeof(sim->title));
    name_policy(result, policy, config);
    result->host_memory = sim->host_memory;
    result->count = sim->count;
    for (size_t i = 0; i < result->count; i++) {
        memcpy(result->guests[i].name, sim->guests[i].config.name, MC_NAME_TEXT);
        result->guests[i].memory = sim->guests[i].config.memory;
    }
    return result;
}

void mc_simulation_free(struct mc_simulation *simulation)
{
    if (!simulation)
        return;
    for (size_t i = 0; i < simulation->count; i++)
        free(simulation->guests[i].moments);
    free(simulation->guests);
    free(simulation->moments);
    free(simulation);
}
