/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes over time, and what else of a scenario only depends on the time. */
#include "hypervisor/sim.h"

/* The last point at or before at_ms; count if there is none. */
static size_t find_point(const struct mc_trace *trace, uint64_t at_ms)
{
    size_t low = 0, high = trace->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (trace->points[middle].at_ms <= at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : trace->count;
}

/* On the straight line between two points, in whole bytes. */
static uint64_t between(const struct mc_trace_point *from, const struct mc_trace_point *to,
                        uint64_t at_ms)
{
    __int128 way = (__int128)to->bytes - (__int128)from->bytes;
    uint64_t lasts = to->at_ms - from->at_ms;

    return (uint64_t)((__int128)from->bytes + way * (__int128)(at_ms - from->at_ms) / lasts);
}

uint64_t mc_trace_at(const struct mc_trace *trace, uint64_t at_ms)
{
    static const struct mc_trace_point origin;
    const struct mc_trace_point *from = &origin;
    size_t index, next = 0;

    if (trace->repeat_ms)
        at_ms %= trace->repeat_ms;
    index = find_point(trace, at_ms);
    if (index < trace->count) {
        from = &trace->points[index];
        next = index + 1;
    }
    if (next < trace->count && trace->points[next].line)
        return between(from, &trace->points[next], at_ms);
    return from->bytes;
}

bool mc_sim_has_fault(const struct mc_sim *sim, const struct mc_sim_guest *guest,
                      enum mc_sim_fault_kind kind)
{
    for (size_t i = 0; i < guest->config.fault_count; i++) {
        const struct mc_sim_fault *fault = &guest->config.faults[i];

        if (fault->kind == kind && sim->now_ms >= fault->from_ms && sim->now_ms < fault->to_ms)
            return true;
    }
    return false;
}

static void note_trace(const struct mc_trace *trace, uint64_t *last_ms)
{
    if (trace->count)
        *last_ms = mc_max_u64(*last_ms, trace->points[trace->count - 1].at_ms);
    *last_ms = mc_max_u64(*last_ms, trace->repeat_ms);
}

static void note_fault(const struct mc_sim_fault *fault, uint64_t *last_ms)
{
    bool ends = fault->to_ms != UINT64_MAX;

    *last_ms = mc_max_u64(*last_ms, ends ? fault->to_ms : fault->from_ms);
}

uint64_t mc_sim_last_event(const struct mc_sim *sim)
{
    uint64_t last_ms = 0;

    note_trace(&sim->host_used, &last_ms);
    note_trace(&sim->budget, &last_ms);
    for (size_t i = 0; i < sim->count; i++) {
        const struct mc_sim_guest_config *config = &sim->guests[i].config;

        note_trace(&config->working_set, &last_ms);
        note_trace(&config->cache, &last_ms);
        note_trace(&config->cold, &last_ms);
        last_ms = mc_max_u64(last_ms, mc_max_u64(config->start_ms, config->stop_ms));
        last_ms = mc_max_u64(last_ms, config->stuck_to_ms);
        for (size_t k = 0; k < config->fault_count; k++)
            note_fault(&config->faults[k], &last_ms);
    }
    return last_ms;
}
