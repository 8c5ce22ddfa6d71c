/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random hosts that become short and recover, with guests that consent to be stopped and guests
 * that do not, and operators who suspend and resume by hand. What host reclaim and the last resort
 * may never do is looked for at every step, and in the end everybody runs who was stopped by
 * memctl.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "property.h"

#define GUESTS_MAX 6
#define HISTORIES 1200
#define TICKS 120

/* Longer than it takes to let everybody go on, one after another. */
#define RECOVERY_TICKS 600

struct history {
    struct property *property;
    struct random *random;
    struct host host;
    size_t count;
    bool by_hand[GUESTS_MAX]; /* suspended by an operator, by the letter that is the name */
    uint64_t low_ms;          /* since when the host has been low, MC_UNKNOWN if it is not */
    uint64_t clear_ms;        /* the same: it has not been soft or worse */
    uint64_t deed_ms;         /* when a guest was stopped or continued last */
};

static struct mc_sim_guest *sim_guest(const struct history *history, const struct mc_guest *guest)
{
    return &history->host.sim->guests[guest->name[0] - 'a'];
}

static void give_evidence(const struct history *history)
{
    const struct host *host = &history->host;

    fprintf(stderr, "at %lu ms: %s, %luM of %luM available, swap %luM, stopped %lu\n",
            (unsigned long)host->now_ms, mc_host_state_name(host->plan.state),
            (unsigned long)(host->snapshot.host.available / MC_MIB),
            (unsigned long)(host->plan.min_free / MC_MIB),
            (unsigned long)(host->snapshot.host.swap_free / MC_MIB),
            (unsigned long)host->plan.stopped);
    for (size_t i = 0; i < host->plan.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];

        fprintf(stderr, "  %s %s %s, %s: held %luM active %luM min %luM, reclaim %luM, %s\n",
                guest->name, mc_guest_state_name(guest->state), mc_exempt_name(guest->exempt),
                mc_last_resort_name(guest->terms.last_resort),
                (unsigned long)(guest->held / MC_MIB), (unsigned long)(guest->active / MC_MIB),
                (unsigned long)(guest->terms.min / MC_MIB),
                (unsigned long)(host->plan.steps[i].reclaim / MC_MIB),
                mc_resort_step_name(host->plan.steps[i].resort));
    }
}

#define CHECK(history, condition)                                                                  \
    PROPERTY_CHECK((history)->property, condition, #condition, give_evidence(history))

static struct mc_trace random_trace(struct random *random, uint64_t low, uint64_t high)
{
    size_t count = random_between(random, 1, 5);
    struct mc_trace trace = {.points = calloc(count, sizeof(*trace.points)), .count = count};

    for (size_t i = 0; i < count; i++) {
        trace.points[i].at_ms = i * TICKS * 1000 / count;
        trace.points[i].bytes = random_between(random, low / MC_MIB, high / MC_MIB) * MC_MIB;
    }
    return trace;
}

static struct mc_sim_guest_config random_guest(struct random *random, size_t index)
{
    static const char *const resorts[] = {"none", "suspend", "save"};
    const char name[2] = {(char)('a' + index), 0};
    uint64_t memory = random_between(random, 256, 4096) * MC_MIB;
    struct mc_sim_guest_config config = host_guest(name, memory, 0);
    char text[32];

    free(config.working_set.points);
    config.working_set = random_trace(random, 0, memory);
    config.balloon = random_below(random, 4) != 3;
    if (random_below(random, 3) == 2)
        config.stuck_to_ms = random_between(random, 0, TICKS * 1000);
    mc_settings_say(&config.own, "last-resort", resorts[random_between(random, 0, 2)], NULL);
    if (random_below(random, 6) == 5)
        mc_settings_say(&config.own, "managed", "no", NULL);
    snprintf(text, sizeof(text), "%lu", (unsigned long)random_scaled(random, 1, 100000));
    mc_settings_say(&config.own, "shares", text, NULL);
    snprintf(text, sizeof(text), "%lu%%", (unsigned long)random_between(random, 0, 60));
    mc_settings_say(&config.own, "min", text, NULL);
    return config;
}

static void open_history(struct history *history, struct property *property)
{
    struct mc_sim_guest_config guests[GUESTS_MAX];
    struct host *host = &history->host;
    uint64_t memory = 0;

    *history = (struct history){.property = property, .random = &property->random};
    history->low_ms = history->clear_ms = MC_UNKNOWN;
    history->count = random_between(history->random, 1, GUESTS_MAX);
    for (size_t i = 0; i < history->count; i++) {
        guests[i] = random_guest(history->random, i);
        memory += guests[i].memory;
    }
    host_open(host, "idle-tax", memory, guests, history->count);
    host->config.resort_after_ms = random_between(history->random, 0, 10000);
    host->config.resort_pause_ms = random_between(history->random, 0, 10000);
    host->config.resort_undo_ms = random_between(history->random, 0, 20000);
    host->config.host_reclaim = random_below(history->random, 4) != 3;
    mc_engine_configure(host->engine, &host->config, host->policy);
    host->sim->host_memory = memory + 2 * MC_GIB;
    host->sim->host_swap =
        random_below(history->random, 3) == 2 ? 0 : random_scaled(history->random, 0, memory);
    free(host->sim->host_used.points);
    host->sim->host_used = random_trace(history->random, 0, memory + 2 * MC_GIB);
}

/* Somebody uses virsh suspend and resume, also on what memctl has suspended. */
static void disturb(struct history *history)
{
    struct host *host = &history->host;
    const struct mc_guest *guest;
    size_t letter;

    if (!host->snapshot.count || random_below(history->random, 12) != 11)
        return;
    guest = &host->snapshot.guests[random_between(history->random, 0, host->snapshot.count - 1)];
    letter = (size_t)(guest->name[0] - 'a');
    if (!sim_guest(history, guest)->running)
        return;
    if (sim_guest(history, guest)->suspended) {
        sim_guest(history, guest)->suspended = false;
        history->by_hand[letter] = false;
    } else {
        sim_guest(history, guest)->suspended = history->by_hand[letter] = true;
        sim_guest(history, guest)->stopped = (struct mc_stopped){0};
    }
}

static void check_reclaim(struct history *history, const struct mc_guest *guest,
                          const struct mc_step *step)
{
    const struct host *host = &history->host;
    uint64_t left = guest->held - step->reclaim;

    if (!step->reclaim)
        return;
    CHECK(history, host->config.host_reclaim && host->plan.state >= MC_HOST_HARD);
    CHECK(history, guest->terms.managed && guest->exempt != MC_EXEMPT_NOT_RUNNING);
    CHECK(history, guest->distress == MC_DISTRESS_NO);
    CHECK(history, step->reclaim <= 128 * MC_MIB);
    CHECK(history, step->reclaim <= guest->held && left >= guest->terms.min);
    CHECK(history, left >= guest->active || guest->active_source == MC_SOURCE_NONE ||
                       guest->exempt == MC_EXEMPT_LAST_RESORT);
}

static void check_resort(struct history *history, const struct mc_guest *guest,
                         const struct mc_step *step, unsigned *deeds)
{
    const struct host *host = &history->host;

    if (step->resort == MC_RESORT_LEAVE)
        return;
    (*deeds)++;
    if (step->resort == MC_RESORT_CONTINUE) {
        CHECK(history, !history->by_hand[guest->name[0] - 'a']);
        CHECK(history, host->now_ms - history->clear_ms >= host->config.resort_undo_ms);
        CHECK(history, host->snapshot.host.available + guest->held >=
                           guest->stopped.size + 2 * host->plan.min_free);
        return;
    }
    CHECK(history, guest->state == MC_GUEST_RUNNING && guest->terms.managed);
    CHECK(history,
          guest->terms.last_resort ==
              (step->resort == MC_RESORT_SAVE ? MC_LAST_RESORT_SAVE : MC_LAST_RESORT_SUSPEND));
    CHECK(history, host->now_ms - history->low_ms >= host->config.resort_after_ms);
}

static void check_step(struct history *history)
{
    const struct host *host = &history->host;
    unsigned deeds = host->plan.start_saved;
    uint64_t reclaimed = 0;

    if (host->plan.state != MC_HOST_LOW)
        history->low_ms = MC_UNKNOWN;
    else if (history->low_ms == MC_UNKNOWN)
        history->low_ms = host->now_ms;
    if (host->snapshot.host.available < host->plan.min_free / 100 * 64)
        history->clear_ms = MC_UNKNOWN;
    else if (history->clear_ms == MC_UNKNOWN)
        history->clear_ms = host->now_ms;
    for (size_t i = 0; i < host->plan.count; i++) {
        check_reclaim(history, &host->snapshot.guests[i], &host->plan.steps[i]);
        check_resort(history, &host->snapshot.guests[i], &host->plan.steps[i], &deeds);
        reclaimed += host->plan.steps[i].reclaim;
    }
    CHECK(history, reclaimed == host->plan.reclaim && reclaimed <= host->snapshot.host.swap_free);
    CHECK(history, deeds <= 1);
    CHECK(history, !deeds || !history->deed_ms ||
                       host->now_ms - history->deed_ms >= host->config.resort_pause_ms);
    CHECK(history, !host->plan.start_saved ||
                       (history->clear_ms != MC_UNKNOWN &&
                        host->now_ms - history->clear_ms >= host->config.resort_undo_ms));
    if (deeds)
        history->deed_ms = host->now_ms;
}

/* Nobody stands still who did not consent, or whose operator did not do it. */
static void check_who_stands_still(struct history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        const struct mc_sim_guest *guest = &history->host.sim->guests[i];
        struct mc_settings all = mc_settings_default();

        mc_settings_merge(&all, &guest->config.own);
        CHECK(history, !guest->suspended || history->by_hand[i] ||
                           (all.last_resort == MC_LAST_RESORT_SUSPEND && all.managed));
        CHECK(history, !guest->saved || (all.last_resort == MC_LAST_RESORT_SAVE && all.managed));
    }
}

static void play(struct history *history, unsigned ticks, bool disturbed)
{
    bool verbose = getenv("MEMCTL_TEST_VERBOSE");

    for (unsigned tick = 0; tick < ticks; tick++) {
        host_tick(&history->host, disturbed ? random_between(history->random, 200, 2000) : 1000);
        if (verbose)
            give_evidence(history);
        check_step(history);
        check_who_stands_still(history);
        if (disturbed)
            disturb(history);
    }
}

static void keeps_within_its_bounds(struct property *property)
{
    struct history history;

    open_history(&history, property);
    play(&history, TICKS, true);
    host_close(&history.host);
}

/* All that memctl did is undone when the host has memory; what others did stays. */
static void undoes_what_it_did(struct property *property)
{
    struct history history;

    open_history(&history, property);
    play(&history, TICKS, true);
    history.host.sim->host_memory *= 2;
    for (size_t i = 0; i < history.host.sim->host_used.count; i++)
        history.host.sim->host_used.points[i].bytes = 0;
    play(&history, RECOVERY_TICKS, false);
    CHECK(&history, history.host.plan.stopped == 0);
    for (size_t i = 0; i < history.count; i++) {
        const struct mc_sim_guest *guest = &history.host.sim->guests[i];

        CHECK(&history, guest->running && guest->suspended == history.by_hand[i]);
    }
    host_close(&history.host);
}

static void every_history_keeps_within_bounds(void **state)
{
    (void)state;
    property_holds(keeps_within_its_bounds, NULL, HISTORIES);
}

static void every_history_is_undone(void **state)
{
    (void)state;
    property_holds(undoes_what_it_did, NULL, HISTORIES / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_history_keeps_within_bounds),
        cmocka_unit_test(every_history_is_undone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
