/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing.h"

struct mc_trace host_trace(uint64_t bytes)
{
    struct mc_trace trace = {.points = calloc(1, sizeof(*trace.points)), .count = 1};

    trace.points[0].bytes = bytes;
    return trace;
}

struct mc_sim_guest_config host_guest(const char *name, uint64_t memory, uint64_t working_set)
{
    struct mc_sim_guest_config config = {
        .memory = memory,
        .overhead = 28 * MC_MIB,
        .kernel = 40 * MC_MIB,
        .working_set = host_trace(working_set),
        .inflate_per_s = 500 * MC_MIB,
        .deflate_per_s = 1500 * MC_MIB,
        .balloon = true,
    };

    snprintf(config.name, sizeof(config.name), "%s", name);
    snprintf(config.uuid, sizeof(config.uuid), "00000000-0000-0000-0000-%012lx",
             (unsigned long)strtoul(name, NULL, 36));
    return config;
}

void host_open(struct host *host, const char *policy, uint64_t budget,
               const struct mc_sim_guest_config *guests, size_t count)
{
    struct mc_sim sim = {.host_memory = 64 * MC_GIB, .count = count};
    struct mc_error err;

    setenv("MEMCTL_POLICY_PATH", BUILT_POLICIES, 0); /* so that a test runs alone as well */
    *host = (struct host){.config = mc_engine_config_default()};
    host->config.interval_ms = 1000;
    /* Most tests are about who gets what of an amount that does not change. */
    host->config.overcommit_percent = 100;
    host->config.distress_reserve = (struct mc_amount){.value = 0};
    host->config.boot_grace_ms = 0;
    host->config.budget.automatic = false;
    host->config.budget.size.value = budget;
    sim.guests = calloc(count + 1, sizeof(*sim.guests));
    sim.host_used = host_trace(MC_GIB);
    for (size_t i = 0; i < count; i++)
        sim.guests[i].config = guests[i];
    assert_int_equal(mc_sim_adopt(&sim, &host->hypervisor), 0);
    host->sim = mc_sim_of(host->hypervisor);
    assert_int_equal(mc_session_open(host->hypervisor, false, &host->session, &err), 0);
    if (mc_policy_load(policy, &host->policy, &err) < 0)
        fail_msg("%s", err.text);
    host->engine = mc_engine_new(&host->config, host->policy);
    assert_non_null(host->engine);
}

void host_close(struct host *host)
{
    mc_engine_free(host->engine);
    mc_policy_unload(host->policy);
    mc_session_close(host->session);
    mc_hypervisor_free(host->hypervisor);
    mc_snapshot_free(&host->snapshot);
    mc_plan_free(&host->plan);
}

static void apply_terms(struct mc_snapshot *snapshot, const char *busy)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        struct mc_guest *guest = &snapshot->guests[i];
        struct mc_settings settings = mc_settings_default();

        mc_settings_merge(&settings, &guest->own);
        guest->terms = mc_settings_resolve(&settings, guest->memory);
        if (!guest->terms.managed && guest->exempt == MC_EXEMPT_NO)
            guest->exempt = MC_EXEMPT_UNMANAGED;
        if (busy && strcmp(guest->name, busy) == 0)
            guest->answers = false;
    }
}

static void send_target(struct host *host, const struct mc_guest *guest, uint64_t target)
{
    if (host->undelivered && strcmp(guest->name, host->undelivered) == 0)
        return;
    if (mc_session_set_balloon(host->session, guest->uuid, target, NULL) == 0)
        mc_engine_done(host->engine, guest->uuid, host->now_ms);
    else
        mc_engine_failed(host->engine, guest->uuid, host->now_ms);
}

/* Guests that were saved are in no snapshot. */
static void note_saved(struct host *host)
{
    struct mc_snapshot found = {0};

    assert_int_equal(mc_session_find_stopped(host->session, &found, NULL), 0);
    mc_snapshot_note_saved(&host->snapshot, &found);
    mc_snapshot_free(&found);
}

/* What else than the balloon is done to a guest. */
static void press(struct host *host, const struct mc_guest *guest, const struct mc_step *step)
{
    struct mc_stopped stopped = {.how = MC_LAST_RESORT_SUSPEND,
                                 .at_s = (uint64_t)host->snapshot.wall_s,
                                 .size = guest->held};

    if (step->reclaim)
        mc_session_reclaim(host->session, guest->uuid, step->reclaim, NULL);
    if (step->resort == MC_RESORT_SAVE)
        stopped.how = MC_LAST_RESORT_SAVE;
    if (step->resort == MC_RESORT_CONTINUE)
        mc_session_continue(host->session, guest->uuid, NULL);
    else if (step->resort != MC_RESORT_LEAVE)
        mc_session_stop(host->session, guest->uuid, &stopped, NULL);
}

void host_tick(struct host *host, uint64_t ms)
{
    struct mc_error err;

    host->now_ms += ms;
    if (mc_session_observe(host->session, host->now_ms, &host->snapshot, &err) < 0)
        fail_msg("%s", err.text);
    host->snapshot.wall_s = (int64_t)(host->now_ms / 1000);
    note_saved(host);
    apply_terms(&host->snapshot, host->busy);
    host->snapshot.pledged = host->pledged;
    for (size_t i = 0; host->cries && i < host->snapshot.count; i++)
        if (strcmp(host->snapshot.guests[i].name, host->cries) == 0)
            host->snapshot.guests[i].agent.distress_ms = host->now_ms;
    for (size_t i = 0; host->fills && i < host->snapshot.count; i++)
        if (strcmp(host->snapshot.guests[i].name, host->fills) == 0) {
            host->snapshot.guests[i].filling_ms = host->now_ms;
            host->snapshot.guests[i].filling_rate = host->fills_at;
        }
    if (mc_engine_step(host->engine, &host->snapshot, &host->plan, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < host->plan.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];

        if (host->plan.steps[i].send)
            send_target(host, guest, host->plan.steps[i].target);
        if (!guest->stats_period_s)
            mc_session_set_stats_period(host->session, guest->uuid, 1, NULL);
        press(host, guest, &host->plan.steps[i]);
    }
    if (host->plan.start_saved)
        mc_session_continue(host->session, host->snapshot.resort.last.uuid, NULL);
}

void host_run(struct host *host, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++)
        host_tick(host, 1000);
}

uint64_t host_sum_held(const struct host *host)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < host->sim->count; i++)
        sum += host->sim->guests[i].held;
    return sum;
}

size_t host_index(const struct host *host, const char *name)
{
    const struct mc_guest *guest = mc_snapshot_find_named(&host->snapshot, name);

    if (!guest)
        fail_msg("guest '%s' does not run", name);
    return (size_t)(guest - host->snapshot.guests);
}

const struct mc_guest *host_see(const struct host *host, const char *name)
{
    return &host->snapshot.guests[host_index(host, name)];
}
