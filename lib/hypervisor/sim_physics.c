/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How simulated guests behave. The constants are those of real ones: see docs/simulation.md.
 *
 * A guest fills its size in this order: what it cannot give up (kernel and programs), the page
 * cache that it works with, page cache that nobody misses. A balloon that grows takes in the
 * opposite order and stops at what cannot be given up; a guest that needs more than its size runs
 * with less than it needs, and pages.
 */
#include "hypervisor/sim.h"

/* A driver stops that far above what the guest cannot give up ("Out of puff"). */
#define PUFF_LEFT (48 * MC_MIB)

/* QEMU reports a balloon's movements at most once a second. */
#define REPORT_EVERY_MS 1000

#define WALL_CLOCK_START 1600000000

/* How fast page cache that nobody misses comes back from the disk. */
#define COLD_PER_S (100 * MC_MIB)

/* How fast free page reporting gives memory back to the host. */
#define REPORTING_PER_S (125 * MC_MIB)

/* A guest works through its memory once in this time, and its disk gives so much at most. */
#define REUSE_S 10
#define PAGING_PER_S (200 * MC_MIB)

static uint64_t per_step(uint64_t per_s)
{
    return mc_whole_pages(per_s * MC_SIM_STEP_MS / 1000);
}

/* Gone without a word: QEMU was killed, and does not come back. */
static bool has_vanished(const struct mc_sim *sim, const struct mc_sim_guest *guest)
{
    for (size_t i = 0; i < guest->config.fault_count; i++)
        if (guest->config.faults[i].kind == MC_SIM_VANISH &&
            sim->now_ms >= guest->config.faults[i].from_ms)
            return true;
    return false;
}

bool mc_sim_is_listed(const struct mc_sim *sim, const struct mc_sim_guest *guest)
{
    return guest->running || mc_sim_has_fault(sim, guest, MC_SIM_VANISH);
}

static void start_or_stop(struct mc_sim *sim, struct mc_sim_guest *guest)
{
    const struct mc_sim_guest_config *config = &guest->config;
    bool run =
        sim->now_ms >= config->start_ms && (!config->stop_ms || sim->now_ms < config->stop_ms);

    run = run && !guest->saved && !has_vanished(sim, guest) &&
          !mc_sim_has_fault(sim, guest, MC_SIM_REBOOT);
    if (run == guest->running)
        return;
    guest->running = run;
    if (!run)
        return;
    guest->run_id = ++sim->next_run_id;
    guest->began_ms = sim->now_ms;
    guest->target = guest->actual = guest->reported = config->memory;
    guest->need = guest->held = config->kernel;
    guest->cold = guest->paged_in = guest->paged_out = 0;
    guest->swapped = guest->fetched = 0;
    guest->suspended = false;
    guest->stats = (struct mc_balloon_stats){.swap_in = 0};
    guest->late_due_ms = 0;
    guest->stats_period_s = 0;
}

/* Programs take new memory at a speed, and drop it at once. */
static void follow_demand(const struct mc_sim *sim, struct mc_sim_guest *guest)
{
    const struct mc_sim_guest_config *config = &guest->config;
    uint64_t wanted = config->kernel + mc_trace_at(&config->working_set, sim->now_ms);

    if (config->touch_per_s)
        wanted = mc_min_u64(wanted, guest->need + per_step(config->touch_per_s));
    guest->need = wanted;
}

static bool is_stuck(const struct mc_sim *sim, const struct mc_sim_guest *guest)
{
    return !guest->config.balloon || mc_sim_has_fault(sim, guest, MC_SIM_STUCK) ||
           (sim->now_ms >= guest->config.stuck_from_ms && sim->now_ms < guest->config.stuck_to_ms);
}

/* firm: what it uses and cannot give up */
static void move_balloon(const struct mc_sim *sim, struct mc_sim_guest *guest, uint64_t firm)
{
    if (is_stuck(sim, guest) || sim->now_ms < guest->target_since_ms + guest->config.lag_ms)
        return;
    if (guest->target > guest->actual) {
        uint64_t most = guest->config.most ? guest->config.most : guest->config.memory;

        guest->actual += mc_min_u64(per_step(guest->config.deflate_per_s),
                                    mc_less_u64(mc_min_u64(guest->target, most), guest->actual));
    } else {
        uint64_t least =
            mc_max_u64(guest->target, mc_max_u64(guest->config.least, firm + PUFF_LEFT));

        guest->actual -=
            mc_min_u64(per_step(guest->config.inflate_per_s), mc_less_u64(guest->actual, least));
    }
}

/* What it works with and the host has swapped out comes back page by page, and it waits for it. */
static void fetch(struct mc_sim_guest *guest, uint64_t used)
{
    uint64_t missing = mc_min_u64(mc_less_u64(used, guest->held), guest->swapped);
    uint64_t fetched = mc_min_u64(missing, per_step(PAGING_PER_S));

    guest->held += fetched;
    guest->swapped -= fetched;
    guest->fetched += fetched;
}

/* Page cache that nobody misses fills what is left; what the host sees follows. */
static void fill(const struct mc_sim *sim, struct mc_sim_guest *guest, uint64_t used)
{
    uint64_t room = mc_less_u64(guest->actual, used);
    uint64_t cold = mc_min_u64(mc_trace_at(&guest->config.cold, sim->now_ms), room);
    uint64_t touched;

    guest->cold = mc_min_u64(cold, guest->cold + per_step(COLD_PER_S));
    touched = used + guest->cold;
    if (guest->config.reporting && guest->held > touched)
        guest->held -= mc_min_u64(per_step(REPORTING_PER_S), guest->held - touched);
    guest->held += mc_less_u64(touched, guest->held + guest->swapped);
    fetch(guest, used);
    guest->held = mc_min_u64(guest->held, guest->actual);
    guest->swapped = mc_min_u64(guest->swapped, guest->actual - guest->held);
}

/* What is missing of the working set is fetched from the disk over and over. */
static void page(struct mc_sim_guest *guest, uint64_t soft)
{
    uint64_t missing = mc_less_u64(guest->need, guest->actual);
    uint64_t paged =
        mc_whole_pages(mc_min_u64(missing / REUSE_S, PAGING_PER_S) * MC_SIM_STEP_MS / 1000);

    guest->paged_in += paged;
    if (missing > soft) /* page cache is dropped, programs' memory has to be written */
        guest->paged_out += paged;
}

static struct mc_balloon_stats take_stats(const struct mc_sim *sim, struct mc_sim_guest *guest,
                                          uint64_t used, uint64_t firm)
{
    uint64_t size = guest->config.deflate_on_oom ? guest->config.memory : guest->actual;
    struct mc_balloon_stats stats = {
        .available = mc_less_u64(size, guest->config.kernel),
        .usable = mc_less_u64(guest->actual, firm),
        .unused = mc_less_u64(guest->actual, used + guest->cold),
        .disk_caches = used - firm + guest->cold,
        .swap_in = guest->paged_out ? guest->paged_in : 0,
        .swap_out = guest->paged_out,
        .major_faults = guest->paged_in / MC_PAGE,
    };

    if (mc_sim_has_fault(sim, guest, MC_SIM_LYING))
        stats.usable = stats.unused = stats.disk_caches = 0;
    if (mc_sim_has_fault(sim, guest, MC_SIM_IMPOSSIBLE))
        stats.usable = stats.available + guest->config.memory;
    return stats;
}

static uint64_t lateness(const struct mc_sim *sim, const struct mc_sim_guest *guest)
{
    for (size_t i = 0; i < guest->config.fault_count; i++) {
        const struct mc_sim_fault *fault = &guest->config.faults[i];

        if (fault->kind == MC_SIM_LATE && sim->now_ms >= fault->from_ms &&
            sim->now_ms < fault->to_ms)
            return fault->by_ms;
    }
    return 0;
}

/* QEMU notes when statistics arrive, not when they were taken. */
static void deliver(const struct mc_sim *sim, struct mc_sim_guest *guest,
                    const struct mc_balloon_stats *stats)
{
    guest->stats = *stats;
    guest->stats.last_update = WALL_CLOCK_START + sim->now_ms / 1000;
}

static void report(const struct mc_sim *sim, struct mc_sim_guest *guest, uint64_t used,
                   uint64_t firm)
{
    uint64_t period_ms = guest->stats_period_s * UINT64_C(1000);
    uint64_t late_ms = lateness(sim, guest);
    struct mc_balloon_stats stats;

    if (guest->late_due_ms && sim->now_ms >= guest->late_due_ms) {
        deliver(sim, guest, &guest->late_stats);
        guest->late_due_ms = 0;
    }
    if (!period_ms || sim->now_ms % period_ms >= MC_SIM_STEP_MS || guest->late_due_ms ||
        mc_sim_has_fault(sim, guest, MC_SIM_LOST))
        return;
    stats = take_stats(sim, guest, used, firm);
    if (late_ms) {
        guest->late_stats = stats;
        guest->late_due_ms = sim->now_ms + late_ms;
    } else {
        deliver(sim, guest, &stats);
    }
}

static void step_guest(struct mc_sim *sim, struct mc_sim_guest *guest)
{
    uint64_t used, soft, firm;

    start_or_stop(sim, guest);
    if (!guest->running || guest->suspended || mc_sim_has_fault(sim, guest, MC_SIM_HUNG))
        return;
    follow_demand(sim, guest);
    soft = mc_min_u64(mc_trace_at(&guest->config.cache, sim->now_ms),
                      guest->need - guest->config.kernel);
    firm = mc_min_u64(guest->need - soft, guest->actual);
    move_balloon(sim, guest, firm);
    used = mc_min_u64(guest->need, guest->actual);
    firm = mc_min_u64(firm, guest->actual);
    if (guest->reported != guest->actual && sim->now_ms >= guest->reported_ms + REPORT_EVERY_MS) {
        guest->reported = guest->actual;
        guest->reported_ms = sim->now_ms;
    }
    fill(sim, guest, used);
    page(guest, soft);
    report(sim, guest, used, firm);
}

void mc_sim_advance(struct mc_sim *sim, uint64_t until_ms)
{
    if (sim->next_run_id == 0) /* who is there from the beginning */
        for (size_t i = 0; i < sim->count; i++)
            start_or_stop(sim, &sim->guests[i]);
    while (sim->now_ms + MC_SIM_STEP_MS <= until_ms) {
        sim->now_ms += MC_SIM_STEP_MS;
        for (size_t i = 0; i < sim->count; i++)
            step_guest(sim, &sim->guests[i]);
    }
}
