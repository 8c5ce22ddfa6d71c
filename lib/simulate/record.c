/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "simulate/record.h"

#include <errno.h>
#include <stdlib.h>

int mc_record_begin(struct mc_record *record, struct mc_simulation *result, size_t samples)
{
    *record = (struct mc_record){.result = result};
    if (!samples)
        return 0;
    record->every_ms =
        mc_max_u64(result->duration_ms / samples / MC_SIM_STEP_MS, 1) * MC_SIM_STEP_MS;
    record->room = result->duration_ms / record->every_ms + 1;
    result->moments = calloc(record->room, sizeof(*result->moments));
    for (size_t i = 0; i < result->count; i++) {
        result->guests[i].moments = calloc(record->room, sizeof(*result->guests[i].moments));
        if (!result->guests[i].moments)
            return -ENOMEM;
    }
    return result->moments ? 0 : -ENOMEM;
}

void mc_record_step(struct mc_record *record, const struct mc_sim *sim, uint64_t budget,
                    uint64_t from_ms)
{
    struct mc_simulation *result = record->result;
    struct mc_host_moment *host;

    if (result->moment_count >= record->room || sim->now_ms - from_ms < record->next_ms)
        return;
    record->next_ms += record->every_ms;
    host = &result->moments[result->moment_count];
    *host = (struct mc_host_moment){
        .at_ms = sim->now_ms - from_ms,
        .budget = budget,
        .used = mc_trace_at(&sim->host_used, sim->now_ms),
    };
    for (size_t i = 0; i < sim->count; i++) {
        const struct mc_sim_guest *guest = &sim->guests[i];

        if (!guest->running)
            continue;
        result->guests[i].moments[result->moment_count] = (struct mc_guest_moment){
            .actual = guest->actual,
            .need = mc_min_u64(guest->need, guest->config.memory),
            .held = guest->held,
            .target = guest->target,
        };
        host->held += guest->held;
        host->actual += guest->actual;
        host->need += mc_min_u64(guest->need, guest->config.memory);
        host->overhead += guest->config.overhead;
    }
    result->moment_count++;
}
