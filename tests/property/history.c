/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing.h"

#define LASTS_MS UINT64_C(60000)

/* ---- at random ---- */

static void random_points(struct random *random, uint64_t most, struct script_point *points)
{
    size_t count = random_between(random, 1, SCRIPT_POINTS);

    for (size_t i = 0; i < count; i++)
        points[i] = (struct script_point){.at_ms = i * LASTS_MS / count,
                                          .bytes = random_scaled(random, 0, most)};
}

/* One fault in four lasts to the end, or begins with the guest. */
static struct mc_sim_fault random_fault(struct random *random)
{
    struct mc_sim_fault fault = {
        .kind = (enum mc_sim_fault_kind)random_below(random, MC_SIM_FAULT_COUNT),
        .from_ms = random_between(random, 0, LASTS_MS),
    };

    fault.to_ms = random_below(random, 4) == 3
                      ? UINT64_MAX
                      : fault.from_ms + random_scaled(random, 50, LASTS_MS);
    if (fault.kind == MC_SIM_LATE)
        fault.by_ms = random_scaled(random, 50, 20000);
    return fault;
}

/* Stuck again and again. */
static void make_intermittent(struct random *random, struct script_guest *guest)
{
    uint64_t at_ms = 0;

    for (size_t i = 0; i < SCRIPT_FAULTS; i++) {
        guest->faults[i].kind = MC_SIM_STUCK;
        guest->faults[i].from_ms = at_ms += random_scaled(random, 50, LASTS_MS / 4);
        guest->faults[i].to_ms = at_ms += random_scaled(random, 50, LASTS_MS / 4);
    }
}

static void random_faults(struct random *random, struct script_guest *guest)
{
    if (random_below(random, 8) == 7) {
        make_intermittent(random, guest);
        return;
    }
    for (size_t i = 0; i < SCRIPT_FAULTS && random_below(random, 3) == 2; i++)
        guest->faults[i] = random_fault(random);
}

static struct script_guest random_guest(struct random *random)
{
    uint64_t memory = random_between(random, 128, 4096) * MC_MIB;
    struct script_guest guest = {
        .memory = memory,
        .shares = (unsigned)random_scaled(random, 1, 100000),
        .min_percent = (unsigned)random_between(random, 0, 60),
        .inflate_per_s = random_scaled(random, 1, 2000) * MC_MIB,
        .deflate_per_s = random_scaled(random, 1, 4000) * MC_MIB,
        .lag_ms = random_scaled(random, 0, 3000),
        .deflates_on_oom = random_below(random, 2),
        .has_no_balloon = random_below(random, 8) == 7,
    };

    random_points(random, memory, guest.works_with);
    if (random_below(random, 2))
        guest.cache = random_scaled(random, 0, memory);
    if (random_below(random, 4) == 3)
        guest.start_ms = random_between(random, 0, LASTS_MS);
    if (random_below(random, 4) == 3)
        guest.stop_ms = guest.start_ms + random_between(random, 1, LASTS_MS);
    if (random_below(random, 8) == 7)
        guest.least = random_between(random, 0, memory / MC_PAGE) * MC_PAGE;
    if (random_below(random, 8) == 7)
        guest.most = random_between(random, 1, memory / MC_PAGE) * MC_PAGE;
    random_faults(random, &guest);
    return guest;
}

static struct script_step random_step(struct random *random, const struct script *script,
                                      uint64_t memory)
{
    struct script_step step = {.ms = random_between(random, 200, 2000)};

    if (random_below(random, 5) != 4)
        return step;
    step.act = (enum script_act)random_below(random, ACT_FILL);
    step.guest = (unsigned)random_below(random, script->count);
    switch (step.act) {
    case ACT_SHARES:
        step.value = random_scaled(random, 1, 100000);
        break;
    case ACT_MIN:
    case ACT_MAX:
        step.value = random_between(random, 0, 100);
        break;
    case ACT_BALLOON:
        step.value = random_between(random, 0, script->guests[step.guest].memory / MC_MIB);
        break;
    case ACT_BUDGET:
        step.value = random_between(random, memory / 4, memory * 5 / 4) / MC_MIB;
        break;
    case ACT_CRY: /* who has no agent is looked at instead */
        if (random_below(random, 2)) {
            step.act = ACT_FILL;
            step.value = random_between(random, 1, 500);
        }
        break;
    default:
        break;
    }
    return step;
}

/* An operator's choice of the governor's parameters, and what else runs on the host. */
static void random_config(struct random *random, struct script *script, uint64_t memory)
{
    if (random_below(random, 2) == 0)
        return;
    script->overcommit_percent = (unsigned)random_between(random, 100, 300);
    script->reserve = (unsigned)random_between(random, 0, 1000);
    script->shrink_percent = (unsigned)random_between(random, 1, 100);
    script->boot_grace_ms = random_scaled(random, 0, 30000);
    script->cooldown_ms = random_scaled(random, 1, 60000); /* 0 is without the rule */
    script->foreign_hold_ms = random_scaled(random, 0, 600000);
    script->host_memory = memory + random_between(random, 0, 4096) * MC_MIB;
    random_points(random, memory, script->host_used);
}

struct script random_script(struct random *random)
{
    static const char *const policies[] = {"shares", "idle-tax", "working-set", "pressure"};
    struct script script = {.count = (unsigned)random_between(random, 1, SCRIPT_GUESTS)};
    uint64_t memory = 0;

    for (size_t i = 0; i < script.count; i++) {
        script.guests[i] = random_guest(random);
        memory += script.guests[i].memory;
    }
    script.policy = policies[random_below(random, sizeof(policies) / sizeof(*policies))];
    script.budget = random_between(random, memory / 4, memory * 5 / 4);
    random_config(random, &script, memory);
    for (size_t i = 0; i < SCRIPT_STEPS; i++)
        script.steps[i] = random_step(random, &script, memory);
    script.sized_every = (unsigned)random_below(random, 4);
    return script;
}

/* ---- as the source of a test ---- */

static void print_number(const char *name, uint64_t number)
{
    if (number == UINT64_MAX)
        fprintf(stderr, " .%s = UINT64_MAX,", name);
    else if (number && number % MC_MIB == 0)
        fprintf(stderr, " .%s = %" PRIu64 " * MC_MIB,", name, number / MC_MIB);
    else if (number)
        fprintf(stderr, " .%s = %" PRIu64 ",", name, number);
}

static void print_points(const char *name, const struct script_point *points)
{
    fprintf(stderr, " .%s = {", name);
    for (size_t i = 0; i < SCRIPT_POINTS && (i == 0 || points[i].at_ms > points[i - 1].at_ms); i++)
        fprintf(stderr, "%s{%" PRIu64 ", %" PRIu64 "}", i ? ", " : "", points[i].at_ms,
                points[i].bytes);
    fprintf(stderr, "},");
}

static void print_faults(const struct mc_sim_fault *faults)
{
    static const char *const kinds[MC_SIM_FAULT_COUNT] = {
        [MC_SIM_STUCK] = "STUCK",   [MC_SIM_HUNG] = "HUNG",     [MC_SIM_LOST] = "LOST",
        [MC_SIM_LATE] = "LATE",     [MC_SIM_LYING] = "LYING",   [MC_SIM_IMPOSSIBLE] = "IMPOSSIBLE",
        [MC_SIM_VANISH] = "VANISH", [MC_SIM_REBOOT] = "REBOOT",
    };

    for (size_t i = 0; i < SCRIPT_FAULTS && faults[i].to_ms; i++) {
        fprintf(stderr, " .faults[%zu] = {.kind = MC_SIM_%s,", i, kinds[faults[i].kind]);
        print_number("from_ms", faults[i].from_ms);
        print_number("to_ms", faults[i].to_ms);
        print_number("by_ms", faults[i].by_ms);
        fprintf(stderr, "},");
    }
}

static void print_guest(const struct script_guest *guest)
{
    fprintf(stderr, "        {");
    print_number("memory", guest->memory);
    print_number("shares", guest->shares);
    print_number("min_percent", guest->min_percent);
    print_number("inflate_per_s", guest->inflate_per_s);
    print_number("deflate_per_s", guest->deflate_per_s);
    print_number("lag_ms", guest->lag_ms);
    print_number("least", guest->least);
    print_number("most", guest->most);
    print_number("deflates_on_oom", guest->deflates_on_oom);
    print_number("has_no_balloon", guest->has_no_balloon);
    print_number("start_ms", guest->start_ms);
    print_number("stop_ms", guest->stop_ms);
    print_number("cache", guest->cache);
    print_points("works_with", guest->works_with);
    print_faults(guest->faults);
    fprintf(stderr, "},\n");
}

static void print_steps(const struct script_step *steps, size_t count)
{
    static const char *const acts[ACT_COUNT] = {
        [ACT_SHARES] = "SHARES",       [ACT_MIN] = "MIN",         [ACT_MAX] = "MAX",
        [ACT_UNMANAGED] = "UNMANAGED", [ACT_BALLOON] = "BALLOON", [ACT_CRY] = "CRY",
        [ACT_BUDGET] = "BUDGET",       [ACT_FILL] = "FILL",
    };

    fprintf(stderr, "    .steps = {");
    for (size_t i = 0; i < count && i < SCRIPT_STEPS && steps[i].ms; i++)
        if (steps[i].act)
            fprintf(stderr, "{%" PRIu64 ", ACT_%s, %u, %" PRIu64 "}, ", steps[i].ms,
                    acts[steps[i].act], steps[i].guest, steps[i].value);
        else
            fprintf(stderr, "{%" PRIu64 "}, ", steps[i].ms);
    fprintf(stderr, "},\n");
}

void script_print(const struct script *script, size_t steps)
{
    fprintf(stderr, "static const struct script script = {\n    .policy = \"%s\",", script->policy);
    print_number("budget", script->budget);
    print_number("count", script->count);
    print_number("sized_every", script->sized_every);
    print_number("rules_off", script->rules_off);
    fprintf(stderr, "\n");
    if (script->host_memory) {
        fprintf(stderr, "   ");
        print_number("host_memory", script->host_memory);
        print_points("host_used", script->host_used);
        print_number("overcommit_percent", script->overcommit_percent);
        print_number("reserve", script->reserve);
        print_number("shrink_percent", script->shrink_percent);
        print_number("boot_grace_ms", script->boot_grace_ms);
        print_number("cooldown_ms", script->cooldown_ms);
        print_number("foreign_hold_ms", script->foreign_hold_ms);
        fprintf(stderr, "\n");
    }
    fprintf(stderr, "    .guests = {\n");
    for (size_t i = 0; i < script->count; i++)
        print_guest(&script->guests[i]);
    fprintf(stderr, "    },\n");
    print_steps(script->steps, steps);
    fprintf(stderr, "};\n");
}

/* ---- on a simulated host ---- */

static struct mc_trace trace_of(const struct script_point *points)
{
    struct mc_trace trace = {.points = calloc(SCRIPT_POINTS, sizeof(*trace.points))};

    while (trace.count < SCRIPT_POINTS &&
           (trace.count == 0 || points[trace.count].at_ms > points[trace.count - 1].at_ms)) {
        trace.points[trace.count].at_ms = points[trace.count].at_ms;
        trace.points[trace.count].bytes = points[trace.count].bytes;
        trace.count++;
    }
    return trace;
}

static struct mc_sim_guest_config config_of(const struct script_guest *guest, size_t index)
{
    const char name[2] = {(char)('a' + index), 0};
    struct mc_sim_guest_config config = host_guest(name, guest->memory, 0);
    char text[MC_SETTING_TEXT];

    free(config.working_set.points);
    config.working_set = trace_of(guest->works_with);
    config.cache = host_trace(guest->cache);
    config.inflate_per_s = guest->inflate_per_s;
    config.deflate_per_s = guest->deflate_per_s;
    config.lag_ms = guest->lag_ms;
    config.least = guest->least;
    config.most = guest->most;
    config.deflate_on_oom = guest->deflates_on_oom;
    config.balloon = !guest->has_no_balloon;
    config.start_ms = guest->start_ms;
    config.stop_ms = guest->stop_ms;
    config.faults = calloc(SCRIPT_FAULTS, sizeof(*config.faults));
    memcpy(config.faults, guest->faults, sizeof(guest->faults));
    while (config.fault_count < SCRIPT_FAULTS && guest->faults[config.fault_count].to_ms)
        config.fault_count++;
    snprintf(text, sizeof(text), "%u", guest->shares);
    mc_settings_say(&config.own, "shares", text, NULL);
    snprintf(text, sizeof(text), "%u%%", guest->min_percent);
    mc_settings_say(&config.own, "min", text, NULL);
    return config;
}

void script_open(const struct script *script, struct host *host)
{
    struct mc_sim_guest_config guests[SCRIPT_GUESTS];

    for (size_t i = 0; i < script->count; i++)
        guests[i] = config_of(&script->guests[i], i);
    host_open(host, script->policy, script->budget, guests, script->count);
    host->sim->sized_every = script->sized_every;
    host->config.rules_off = script->rules_off;
    mc_engine_configure(host->engine, &host->config, host->policy);
    if (!script->host_memory)
        return;
    host->config.overcommit_percent = script->overcommit_percent;
    host->config.distress_reserve = (struct mc_amount){.value = script->reserve, .percent = true};
    host->config.shrink_percent = script->shrink_percent;
    host->config.boot_grace_ms = script->boot_grace_ms;
    host->config.cooldown_ms = script->cooldown_ms;
    host->config.foreign_hold_ms = script->foreign_hold_ms;
    mc_engine_configure(host->engine, &host->config, host->policy);
    free(host->sim->host_used.points);
    host->sim->host_memory = script->host_memory;
    host->sim->host_used = trace_of(script->host_used);
}

static void set(struct host *host, const struct mc_guest *guest, enum script_act act,
                uint64_t value)
{
    static const char *const keys[ACT_COUNT] = {
        [ACT_SHARES] = "shares", [ACT_MIN] = "min", [ACT_MAX] = "max", [ACT_UNMANAGED] = "managed"};
    struct mc_settings own = guest->own;
    char text[MC_SETTING_TEXT];

    if (act == ACT_UNMANAGED)
        snprintf(text, sizeof(text), "%s", guest->terms.managed ? "no" : "yes");
    else
        snprintf(text, sizeof(text), "%" PRIu64 "%s", value, act == ACT_SHARES ? "" : "%");
    mc_settings_say(&own, keys[act], text, NULL);
    mc_session_save_settings(host->session, guest->uuid, &own, NULL);
    mc_engine_unsettle(host->engine);
}

static const struct mc_guest *find(const struct host *host, unsigned index)
{
    const char name[2] = {(char)('a' + index), 0};

    return mc_snapshot_find_named(&host->snapshot, name);
}

bool script_step(const struct script_step *step, struct host *host)
{
    const struct mc_guest *guest = find(host, step->guest);
    bool foreign = false;
    char crier[2] = {(char)('a' + step->guest), 0};

    host->cries = step->act == ACT_CRY ? crier : NULL;
    host->fills = step->act == ACT_FILL ? crier : NULL;
    host->fills_at = step->value * MC_MIB;
    if (step->act == ACT_BUDGET) {
        host->config.budget.size.value = step->value * MC_MIB;
        mc_engine_configure(host->engine, &host->config, host->policy);
    } else if (guest && step->act == ACT_BALLOON) {
        mc_session_set_balloon(host->session, guest->uuid, step->value * MC_MIB, NULL);
        foreign = true;
    } else if (guest && step->act && step->act != ACT_CRY && step->act != ACT_FILL) {
        set(host, guest, step->act, step->value);
    }
    host_tick(host, step->ms);
    host->cries = host->fills = NULL;
    return foreign;
}
