/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How simulated guests behave. The constants are those of real ones: see docs/simulation.md.
 */
#include "hypervisor/sim.h"

#define STEP_MS 50

/* A driver stops that far above what the guest uses ("Out of puff"). */
#define PUFF_LEFT (48 * MC_MIB)

/* QEMU reports a balloon's movements at most once a second. */
#define REPORT_EVERY_MS 1000

#define WALL_CLOCK_START 1600000000

uint64_t mc_trace_at(const struct mc_trace *trace, uint64_t at_ms)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < trace->count && trace->points[i].at_ms <= at_ms; i++)
        bytes = trace->points[i].bytes;
    return bytes;
}

uint64_t mc_sim_need(const struct mc_sim *sim, const struct mc_sim_guest *guest)
{
    return guest->config.kernel + mc_trace_at(&guest->config.working_set, sim->now_ms);
}

static void start_or_stop(struct mc_sim *sim, struct mc_sim_guest *guest)
{
    const struct mc_sim_guest_config *config = &guest->config;
    bool run =
        sim->now_ms >= config->start_ms && (!config->stop_ms || sim->now_ms < config->stop_ms);

    if (run == guest->running)
        return;
    guest->running = run;
    if (!run)
        return;
    guest->run_id = ++sim->next_run_id;
    guest->target = guest->actual = guest->reported = config->memory;
    guest->held = config->kernel;
    guest->stats = (struct mc_balloon_stats){.swap_in = 0};
    guest->stats_period_s = 0;
}

static bool is_stuck(const struct mc_sim *sim, const struct mc_sim_guest *guest)
{
    return !guest->config.balloon ||
           (sim->now_ms >= guest->config.stuck_from_ms && sim->now_ms < guest->config.stuck_to_ms);
}

static void move_balloon(const struct mc_sim *sim, struct mc_sim_guest *guest, uint64_t used)
{
    uint64_t inflate = guest->config.inflate_per_s * STEP_MS / 1000 / MC_PAGE * MC_PAGE;
    uint64_t deflate = guest->config.deflate_per_s * STEP_MS / 1000 / MC_PAGE * MC_PAGE;

    if (is_stuck(sim, guest) || sim->now_ms < guest->target_since_ms + guest->config.lag_ms)
        return;
    if (guest->target > guest->actual) {
        guest->actual += mc_min_u64(deflate, guest->target - guest->actual);
    } else {
        uint64_t least = mc_max_u64(guest->target, used + PUFF_LEFT);

        guest->actual -= mc_min_u64(inflate, mc_less_u64(guest->actual, least));
    }
}

static void report(const struct mc_sim *sim, struct mc_sim_guest *guest, uint64_t used)
{
    uint64_t size = guest->config.deflate_on_oom ? guest->config.memory : guest->actual;

    guest->stats = (struct mc_balloon_stats){
        .available = mc_less_u64(size, guest->config.kernel),
        .usable = mc_less_u64(guest->actual, used),
        .unused = mc_less_u64(guest->actual, used),
        .last_update = WALL_CLOCK_START + sim->now_ms / 1000,
    };
}

static void step_guest(struct mc_sim *sim, struct mc_sim_guest *guest)
{
    uint64_t period_ms = guest->stats_period_s * UINT64_C(1000);
    uint64_t used;

    start_or_stop(sim, guest);
    if (!guest->running)
        return;
    used = mc_min_u64(mc_sim_need(sim, guest), guest->actual);
    move_balloon(sim, guest, used);
    if (guest->reported != guest->actual && sim->now_ms >= guest->reported_ms + REPORT_EVERY_MS) {
        guest->reported = guest->actual;
        guest->reported_ms = sim->now_ms;
    }
    guest->held = mc_min_u64(mc_max_u64(guest->held, used), guest->actual);
    if (period_ms && sim->now_ms % period_ms < STEP_MS)
        report(sim, guest, used);
}

void mc_sim_advance(struct mc_sim *sim, uint64_t until_ms)
{
    if (sim->next_run_id == 0) /* who is there from the beginning */
        for (size_t i = 0; i < sim->count; i++)
            start_or_stop(sim, &sim->guests[i]);
    while (sim->now_ms + STEP_MS <= until_ms) {
        sim->now_ms += STEP_MS;
        for (size_t i = 0; i < sim->count; i++)
            step_guest(sim, &sim->guests[i]);
    }
}
