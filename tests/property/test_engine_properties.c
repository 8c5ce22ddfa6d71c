/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random hosts with random guests: slow, lagging, stuck, coming and going, with demands that jump
 * and operators who change settings and move balloons by hand. At every step of every history the
 * governor's promises must hold. A history that fails is shrunk to a short one with few guests.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "property.h"

#define GUESTS_MAX 8
#define HISTORIES 2000
#define TICKS 60
/*
 * Longer than the engine's patience with a disobedient balloon, and than a guest that takes all it
 * gets needs to get it, a margin at a time.
 */
#define QUIET_TICKS 400

/* A step may exceed the divided memory by what QEMU's own memory is rounded by. */
#define TOLERANCE MC_MIB

struct history {
    struct property *property;
    struct random *random;
    struct host host;
    size_t count;
    uint64_t promised, divided;   /* at the step before */
    int runs;                     /* changes whenever a guest comes or goes */
    uint64_t targets[GUESTS_MAX]; /* of the step before, by the letter that is the name */
    bool foreign; /* a balloon was moved by another hand, which is not bound by our promises */
};

static void print_state(const struct history *history)
{
    const struct host *host = &history->host;

    fprintf(stderr, "at %lu ms: divided %luM, promised %luM\n", (unsigned long)host->now_ms,
            (unsigned long)(host->plan.divided / MC_MIB),
            (unsigned long)(host->plan.promised / MC_MIB));
    for (size_t i = 0; i < host->plan.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];
        const struct mc_step *step = &host->plan.steps[i];

        fprintf(stderr, "  %s %-10s actual %luM used %luM min %luM wish %luM target %luM%s %s\n",
                guest->name, mc_exempt_name(guest->exempt), (unsigned long)(guest->actual / MC_MIB),
                (unsigned long)(guest->used / MC_MIB), (unsigned long)(guest->terms.min / MC_MIB),
                (unsigned long)(step->wish / MC_MIB), (unsigned long)(step->target / MC_MIB),
                step->send ? " sent" : "", mc_rule_name(mc_step_reason(step)));
    }
}

/* The guests of the host, as a test of one history would describe them, and how it ended. */
static void give_evidence(const struct history *history, const char *guest)
{
    fprintf(stderr, "budget %luM, policy %s\n",
            (unsigned long)(history->host.config.budget.size.value / MC_MIB),
            mc_policy_of(history->host.policy)->name);
    for (size_t i = 0; i < history->count; i++) {
        const struct mc_sim_guest_config *config = &history->host.sim->guests[i].config;
        char shares[MC_SETTING_TEXT], min[MC_SETTING_TEXT];

        fprintf(stderr,
                "  %s: memory %luM, shares %s, min %s, moves %luM/s and %luM/s after %lu ms, runs "
                "%lu to %lu ms, stuck %lu to %lu ms%s%s, works with",
                config->name, (unsigned long)(config->memory / MC_MIB),
                mc_settings_text(&config->own, MC_SETTING_SHARES, shares),
                mc_settings_text(&config->own, MC_SETTING_MIN, min),
                (unsigned long)(config->inflate_per_s / MC_MIB),
                (unsigned long)(config->deflate_per_s / MC_MIB), (unsigned long)config->lag_ms,
                (unsigned long)config->start_ms, (unsigned long)config->stop_ms,
                (unsigned long)config->stuck_from_ms, (unsigned long)config->stuck_to_ms,
                config->deflate_on_oom ? ", deflates on OOM" : "",
                config->balloon ? "" : ", no balloon");
        for (size_t j = 0; j < config->working_set.count; j++)
            fprintf(stderr, " %luM at %lu ms",
                    (unsigned long)(config->working_set.points[j].bytes / MC_MIB),
                    (unsigned long)config->working_set.points[j].at_ms);
        fprintf(stderr, "\n");
    }
    print_state(history);
    fprintf(stderr, "guest %s:\n", guest);
}

#define CHECK(history, guest, condition)                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            if ((history)->property->shows)                                                        \
                give_evidence(history, guest);                                                     \
            property_broken((history)->property, #condition);                                      \
        }                                                                                          \
    } while (0)

static struct mc_trace random_trace(struct random *random, uint64_t memory)
{
    size_t count = random_between(random, 1, 5);
    struct mc_trace trace = {.points = calloc(count, sizeof(*trace.points)), .count = count};

    for (size_t i = 0; i < count; i++) {
        trace.points[i].at_ms = i * TICKS * 1000 / count;
        trace.points[i].bytes = random_scaled(random, 0, memory);
    }
    return trace;
}

static struct mc_sim_guest_config random_guest(struct random *random, size_t index)
{
    const char name[2] = {(char)('a' + index), 0};
    uint64_t memory = random_between(random, 128, 4096) * MC_MIB;
    struct mc_sim_guest_config config = host_guest(name, memory, 0);
    char text[32];

    free(config.working_set.points);
    config.working_set = random_trace(random, memory);
    config.inflate_per_s = random_scaled(random, 1, 2000) * MC_MIB;
    config.deflate_per_s = random_scaled(random, 1, 4000) * MC_MIB;
    config.lag_ms = random_scaled(random, 0, 3000);
    config.deflate_on_oom = random_below(random, 2);
    config.balloon = random_below(random, 8) != 7;
    if (random_below(random, 4) == 3)
        config.start_ms = random_between(random, 0, TICKS * 1000);
    if (random_below(random, 4) == 3)
        config.stop_ms = config.start_ms + random_between(random, 1, TICKS * 1000);
    if (random_below(random, 4) == 3) {
        config.stuck_from_ms = random_between(random, 0, TICKS * 1000);
        config.stuck_to_ms = config.stuck_from_ms + random_between(random, 0, TICKS * 1000);
    }
    snprintf(text, sizeof(text), "%lu", (unsigned long)random_scaled(random, 1, 100000));
    mc_settings_say(&config.own, "shares", text, NULL);
    snprintf(text, sizeof(text), "%lu%%", (unsigned long)random_between(random, 0, 60));
    mc_settings_say(&config.own, "min", text, NULL);
    return config;
}

/* An operator's choice of the governor's parameters, and what else runs on the host. */
static void random_config(struct history *history, uint64_t memory)
{
    struct host *host = &history->host;
    struct mc_engine_config *config = &host->config;

    if (random_below(history->random, 2) == 0)
        return;
    config->overcommit_percent = (unsigned)random_between(history->random, 100, 300);
    config->distress_reserve =
        (struct mc_amount){.value = random_between(history->random, 0, 1000), .percent = true};
    config->shrink_percent = (unsigned)random_between(history->random, 1, 100);
    config->boot_grace_ms = random_scaled(history->random, 0, 30000);
    config->cooldown_ms = random_scaled(history->random, 0, 60000);
    config->foreign_hold_ms = random_scaled(history->random, 0, 600000);
    mc_engine_configure(host->engine, config, host->policy);
    free(host->sim->host_used.points);
    host->sim->host_memory = memory + random_between(history->random, 0, 4096) * MC_MIB;
    host->sim->host_used = random_trace(history->random, memory);
}

static void open_history(struct history *history, struct property *property)
{
    static const char *const policies[] = {"shares", "idle-tax", "working-set"};
    struct mc_sim_guest_config guests[GUESTS_MAX];
    uint64_t memory = 0;

    *history = (struct history){.property = property, .random = &property->random};
    history->count = random_between(history->random, 1, GUESTS_MAX);
    for (size_t i = 0; i < history->count; i++) {
        guests[i] = random_guest(history->random, i);
        memory += guests[i].memory;
    }
    host_open(&history->host, policies[random_between(history->random, 0, 2)],
              random_between(history->random, memory / 4, memory * 5 / 4), guests, history->count);
    random_config(history, memory);
}

/* An operator at work: other shares, or a balloon moved behind memctl's back. */
static void disturb(struct history *history)
{
    struct host *host = &history->host;
    const struct mc_guest *guest;
    char text[32];

    if (!host->snapshot.count || random_below(history->random, 5) != 4)
        return;
    guest = &host->snapshot.guests[random_between(history->random, 0, host->snapshot.count - 1)];
    if (random_below(history->random, 2) == 0) {
        struct mc_settings own = guest->own;

        snprintf(text, sizeof(text), "%lu",
                 (unsigned long)random_scaled(history->random, 1, 100000));
        mc_settings_say(&own, "shares", text, NULL);
        mc_session_save_settings(host->session, guest->uuid, &own, NULL);
        mc_engine_unsettle(host->engine);
    } else {
        mc_session_set_balloon(host->session, guest->uuid,
                               random_between(history->random, 0, guest->memory / MC_MIB) * MC_MIB,
                               NULL);
        history->foreign = true;
    }
}

static void check_step(struct history *history, const struct mc_guest *guest,
                       const struct mc_step *step)
{
    const struct mc_engine_config *config = &history->host.config;

    if (!step->send)
        return;
    CHECK(history, guest->name, guest->exempt == MC_EXEMPT_NO);
    CHECK(history, guest->name, step->target <= mc_max_u64(guest->terms.max, guest->actual));
    CHECK(history, guest->name,
          step->target >= guest->terms.min || step->target >= guest->actual ||
              mc_step_reason(step) == MC_RULE_SHRINK_FIRST);
    if (step->target < guest->actual) {
        CHECK(history, guest->name, guest->fresh);
        CHECK(history, guest->name,
              step->target >= guest->used + (history->host.plan.state >= MC_HOST_HARD
                                                 ? config->floor_margin / 4
                                                 : config->floor_margin));
    }
}

static void check_promises(struct history *history)
{
    const struct host *host = &history->host;
    uint64_t sum = 0, worst = 0;
    bool grows = false;
    int runs = 0;

    for (size_t i = 0; i < host->snapshot.count; i++) {
        const struct mc_guest *guest = &host->snapshot.guests[i];
        const struct mc_step *step = &host->plan.steps[i];

        check_step(history, guest, step);
        runs += guest->run_id * guest->run_id + 1;
        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        sum += host->sim->guests[guest->name[0] - 'a'].actual; /* not what is reported of it */
        worst += mc_max_u64(guest->actual, step->target);
        grows = grows || (step->send && step->target > guest->actual &&
                          step->target > history->targets[guest->name[0] - 'a']);
        history->targets[guest->name[0] - 'a'] = step->target;
    }
    /* Whatever the guests do with what they were told, it fits; or nobody was given more. */
    CHECK(history, "all", worst <= host->plan.divided + host->plan.reserve + TOLERANCE || !grows);
    if (!history->foreign) {
        /* What is really taken was promised, although what is seen of it lags. */
        CHECK(history, "all", sum <= host->plan.promised + TOLERANCE);
        /* What is promised only falls while it is too much, unless guests came. */
        if (history->runs == runs && history->divided == host->plan.divided)
            CHECK(history, "all",
                  host->plan.promised <=
                      mc_max_u64(history->promised, host->plan.divided + host->plan.reserve) +
                          TOLERANCE);
    }
    history->promised = host->plan.promised;
    history->divided = host->plan.divided;
    history->runs = runs;
}

static void keeps_the_promises(struct property *property)
{
    bool verbose = getenv("MEMCTL_TEST_VERBOSE");
    struct history history;

    open_history(&history, property);
    for (int tick = 0; tick < TICKS; tick++) {
        host_tick(&history.host, random_between(history.random, 200, 2000));
        if (verbose)
            print_state(&history);
        check_promises(&history);
        disturb(&history);
    }
    host_close(&history.host);
}

static void every_history_keeps_the_promises(void **state)
{
    (void)state;
    property_holds(keeps_the_promises, NULL, HISTORIES);
}

/* Nothing is stuck for ever, and no balloon takes for ever. */
static void let_it_finish(struct history *history)
{
    uint64_t lasting = 0;

    for (size_t i = 0; i < history->count; i++) {
        struct mc_sim_guest_config *config = &history->host.sim->guests[i].config;

        config->inflate_per_s = mc_max_u64(config->inflate_per_s, 200 * MC_MIB);
        config->deflate_per_s = mc_max_u64(config->deflate_per_s, 200 * MC_MIB);
        lasting = mc_max_u64(lasting, config->stuck_to_ms);
    }
    for (int tick = 0; tick < TICKS; tick++)
        host_tick(&history->host, 1000);
    host_tick(&history->host, mc_less_u64(lasting, history->host.now_ms) + 2 * TICKS * 1000);
}

/* How far the balloons went up and down since everything should be at rest. */
struct swing {
    uint64_t up, down;
};

static void check_rest(struct history *history, const uint64_t *before, struct swing *swings)
{
    for (size_t i = 0; i < history->host.plan.count; i++) {
        const struct mc_guest *guest = &history->host.snapshot.guests[i];
        uint64_t target = history->host.plan.steps[i].target;

        swings[i].up += mc_less_u64(guest->actual, before[i]);
        swings[i].down += mc_less_u64(before[i], guest->actual);
        /* Margins that were learned fade, and that goes one way. */
        CHECK(history, guest->name, mc_min_u64(swings[i].up, swings[i].down) <= 20 * MC_MIB);
        CHECK(history, guest->name,
              guest->exempt != MC_EXEMPT_NO || history->host.plan.state >= MC_HOST_HARD ||
                  guest->actual <= target + 64 * MC_MIB);
    }
}

/* After the last change everything comes to rest, and what could be reclaimed was. */
static void comes_to_rest(struct property *property)
{
    bool verbose = getenv("MEMCTL_TEST_VERBOSE");
    struct swing swings[GUESTS_MAX] = {0};
    struct history history;

    open_history(&history, property);
    let_it_finish(&history);
    for (int tick = 0; tick < QUIET_TICKS + 10; tick++) {
        uint64_t before[GUESTS_MAX] = {0};

        for (size_t i = 0; i < history.host.plan.count; i++)
            before[i] = history.host.snapshot.guests[i].actual;
        host_tick(&history.host, 1000);
        if (verbose)
            print_state(&history);
        if (tick >= QUIET_TICKS)
            check_rest(&history, before, swings);
    }
    host_close(&history.host);
}

static void every_history_comes_to_rest(void **state)
{
    (void)state;
    property_holds(comes_to_rest, NULL, HISTORIES / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_history_keeps_the_promises),
        cmocka_unit_test(every_history_comes_to_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
