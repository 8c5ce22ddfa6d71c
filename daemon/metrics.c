/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /metrics. The tables here and in metrics_guests.c are where the metrics are defined;
 * docs/metrics.md lists them for people, and a test compares the two.
 */
#include "metrics.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agents.h"
#include "control.h"
#include "http.h"

#define COUNTER(field, name, help)                                                                 \
    FAMILY(daemon, counters.field, KIND_COUNT, METRIC_COUNTER, name, help)
#define PLAN(field, name, help) FAMILY(daemon, plan.field, KIND_COUNT, METRIC_GAUGE, name, help)
#define HOST(field, name, help)                                                                    \
    FAMILY(daemon, snapshot.host.field, KIND_COUNT, METRIC_GAUGE, name, help)
#define FLAG(field, name, help) FAMILY(daemon, field, KIND_FLAG, METRIC_GAUGE, name, help)

static const struct family always[] = {
    FLAG(link.up, "memctl_hypervisor_up", "1 while the hypervisor answers."),
    FLAG(config.dry_run, "memctl_dry_run", "1 if nothing is sent to any guest."),
    FLAG(pauses.all, "memctl_paused", "1 while an operator has paused all guests."),
    COUNTER(ticks, "memctl_ticks_total", "Passes from observation to plan."),
    COUNTER(ticks_late, "memctl_ticks_late_total",
            "Observations that were not back in time and were asked for again."),
    COUNTER(observe_failures, "memctl_observe_failures_total", "Observations that failed."),
    COUNTER(policy_failures, "memctl_policy_failures_total",
            "Answers of a policy that were not used, and passes without a plan."),
    COUNTER(commands, "memctl_balloon_commands_total", "Balloon targets set."),
    COUNTER(command_failures, "memctl_balloon_command_failures_total",
            "Balloon targets that could not be set."),
    COUNTER(bytes_reclaimed, "memctl_balloon_reclaim_requested_bytes_total",
            "Memory that guests were told to give up."),
    COUNTER(bytes_granted, "memctl_balloon_grant_bytes_total",
            "Memory that guests were told they may take."),
    COUNTER(stats_asks, "memctl_statistics_asks_total",
            "Times that a guest was asked for statistics out of turn."),
    COUNTER(host_reclaims, "memctl_host_reclaims_total",
            "Times that the host took memory from a guest by itself."),
    COUNTER(host_reclaimed, "memctl_host_reclaim_requested_bytes_total",
            "Memory that the host was asked to take from guests."),
    COUNTER(host_reclaim_failures, "memctl_host_reclaim_failures_total",
            "Times that the host could not take memory from a guest."),
    COUNTER(stops, "memctl_last_resort_stops_total",
            "Guests that were suspended or saved as a last resort."),
    COUNTER(continues, "memctl_last_resort_continues_total",
            "Guests that memctl let go on after the last resort."),
    COUNTER(resort_failures, "memctl_last_resort_failures_total",
            "Guests that could not be stopped, or did not go on."),
};

static const struct family with_plan[] = {
    HOST(total, "memctl_host_memory_bytes", "Memory of the host."),
    HOST(available, "memctl_host_memory_available_bytes",
         "Memory of the host that can be used without swapping."),
    HOST(swap_total, "memctl_host_swap_bytes", "Swap space of the host."),
    HOST(swap_free, "memctl_host_swap_free_bytes", "Swap space of the host that is free."),
    PLAN(budget, "memctl_budget_bytes", "What all guests may occupy, QEMU's own memory included."),
    PLAN(overheads, "memctl_overhead_bytes", "QEMU's own memory of the managed guests."),
    PLAN(exempt, "memctl_exempt_bytes", "What guests may take that memctl does not touch."),
    PLAN(reserve, "memctl_distress_reserve_bytes", "What is kept for guests in trouble."),
    PLAN(strict, "memctl_strict_bytes", "What the managed guests may really occupy."),
    PLAN(divided, "memctl_divided_bytes", "What is divided among the managed guests, elastic."),
    PLAN(held, "memctl_held_bytes", "Memory of managed guests that is resident."),
    PLAN(headroom, "memctl_headroom_bytes", "What managed guests can still take without harm."),
    PLAN(reclaim, "memctl_host_reclaim_bytes",
         "What the host is asked to take from guests by itself now."),
    PLAN(stopped, "memctl_last_resort_stopped",
         "Guests that memctl has suspended or saved, how many."),
    PLAN(min_free, "memctl_min_free_bytes", "The least that shall be free."),
    PLAN(promised, "memctl_promised_bytes", "What managed guests can take already."),
    PLAN(surplus, "memctl_surplus_bytes", "What the guests' limits leave unused."),
    PLAN(deficit, "memctl_deficit_bytes", "What the reservations exceed the divided memory by."),
};

#define LENGTH(table) (sizeof(table) / sizeof(*(table)))

uint64_t family_value(const struct family *family, const void *structure)
{
    const char *at = (const char *)structure + family->offset;
    enum mc_distress distress;
    uint64_t value;
    bool flag;

    switch (family->kind) {
    case KIND_FLAG:
        memcpy(&flag, at, sizeof(flag));
        return flag;
    case KIND_TROUBLE:
        memcpy(&distress, at, sizeof(distress));
        return distress != MC_DISTRESS_NO;
    case KIND_COUNT:
        break;
    }
    memcpy(&value, at, sizeof(value));
    return value;
}

static void add_table(struct exposition *out, const struct family *families, size_t count,
                      const struct daemon *daemon)
{
    for (const struct family *family = families; family < families + count; family++) {
        exposition_family(out, family->name, family->type, family->help);
        exposition_count(out, family->name, "", family_value(family, daemon));
    }
}

static void add_gauge(struct exposition *out, const char *name, const char *help, double value)
{
    exposition_family(out, name, METRIC_GAUGE, help);
    exposition_number(out, name, "", value);
}

static void add_counter(struct exposition *out, const char *name, const char *help, uint64_t value)
{
    exposition_family(out, name, METRIC_COUNTER, help);
    exposition_count(out, name, "", value);
}

/* One label with a word for each of a few numbers. */
static void add_labelled(struct exposition *out, const char *name, const char *label,
                         const char *word, uint64_t value)
{
    char labels[64];

    exposition_label(labels, sizeof(labels), 0, label, word);
    exposition_count(out, name, labels, value);
}

static void add_build(struct exposition *out, const struct daemon *daemon)
{
    char labels[CONFIG_TEXT + 128];
    size_t length = exposition_label(labels, sizeof(labels), 0, "version", MEMCTL_VERSION);

    exposition_label(labels, sizeof(labels), length, "policy",
                     mc_policy_of(daemon->policies.current)->name);
    exposition_family(out, "memctl_build_info", METRIC_INFO,
                      "The version of memctld and its policy.");
    exposition_count(out, "memctl_build_info", labels, 1);
}

static void add_state(struct exposition *out, const struct daemon *daemon)
{
    add_build(out, daemon);
    add_gauge(out, "memctl_uptime_seconds", "Since memctld started.",
              (double)(clock_now_ms() - daemon->started_ms) / 1000);
    add_gauge(out, "memctl_interval_seconds", "Between two ticks while nothing moves.",
              (double)daemon->config.engine.interval_ms / 1000);
    add_gauge(out, "memctl_overcommit_limit_ratio",
              "How much of the budget may be promised at most.",
              daemon->config.engine.overcommit_percent / 100.0);
    add_gauge(out, "memctl_stuck_calls", "Calls to the hypervisor that do not come back.",
              lanes_stuck(daemon->lanes));
    add_gauge(out, "memctl_tick_lateness_seconds",
              "How long after its due time the last plan was made.",
              (double)daemon->tick.lateness_ms / 1000);
    exposition_family(out, "memctl_observe_seconds", METRIC_HISTOGRAM,
                      "How long observations of all guests took.");
    exposition_histogram(out, "memctl_observe_seconds", &daemon->counters.observe_seconds);
    exposition_family(out, "memctl_decide_seconds", METRIC_HISTOGRAM,
                      "How long the way from an observation to the commands took.");
    exposition_histogram(out, "memctl_decide_seconds", &daemon->counters.decide_seconds);
}

static void add_counts(struct exposition *out, const struct daemon *daemon)
{
    uint64_t counts[MC_EXEMPT_COUNT] = {0};
    size_t running = daemon->link.up ? daemon->snapshot.count : 0;

    for (size_t i = 0; i < running; i++)
        counts[daemon->snapshot.guests[i].exempt]++;
    add_gauge(out, "memctl_guests", "Running guests.", (double)running);
    exposition_family(out, "memctl_guests_by_exemption", METRIC_GAUGE,
                      "Running guests by why they are left alone; no: they are managed.");
    for (unsigned i = 0; i < MC_EXEMPT_COUNT; i++)
        add_labelled(out, "memctl_guests_by_exemption", "exempt", mc_exempt_name(i), counts[i]);
}

static void add_agents(struct exposition *out, const struct daemon *daemon)
{
    const struct agents_counters *counters = agents_counters(daemon->agents);
    const struct {
        const char *name, *help;
        uint64_t value;
    } families[] = {
        {"memctl_agent_messages_total", "Messages of guests' agents that were taken.",
         counters->messages},
        {"memctl_agent_ignored_total", "Lines from guests that were no message.",
         counters->ignored},
        {"memctl_agent_gaps_total", "Gaps in the sequence of agents' messages.", counters->gaps},
        {"memctl_agent_floods_total", "Times a guest was hung up for saying too much.",
         counters->floods},
        {"memctl_agent_distress_total", "Events of distress from guests.", counters->distress},
    };

    for (size_t i = 0; i < LENGTH(families); i++)
        add_counter(out, families[i].name, families[i].help, families[i].value);
}

/* Only where a history is kept. */
static void add_history(struct exposition *out, const struct daemon *daemon)
{
    struct keeper_state state;

    if (!daemon->keeper)
        return;
    state = keeper_state(daemon->keeper);
    add_gauge(out, "memctl_history_up", "1 while the history can be written.", state.up);
    add_gauge(out, "memctl_history_size_bytes", "The history's file and its log.",
              (double)state.facts.size);
    add_counter(out, "memctl_history_rows_total", "Rows written to the history.", state.rows);
    add_counter(out, "memctl_history_dropped_total",
                "Rows that were lost because the history could not be written for too long.",
                state.dropped);
    add_counter(out, "memctl_history_failures_total",
                "Tries to open or write the history that failed.", state.failures);
    add_counter(out, "memctl_history_set_aside_total",
                "Damaged files that were set aside, and begun anew.", state.set_aside);
    exposition_family(out, "memctl_history_write_seconds_total", METRIC_COUNTER,
                      "Time spent writing the history, on a thread of its own.");
    exposition_number(out, "memctl_history_write_seconds_total", "", state.seconds);
}

static void add_clients(struct exposition *out, const struct daemon *daemon)
{
    const struct control_counts *control = control_counts(daemon->control);

    exposition_family(out, "memctl_control_requests_total", METRIC_COUNTER,
                      "Requests over the control socket.");
    add_labelled(out, "memctl_control_requests_total", "outcome", "done", control->done);
    add_labelled(out, "memctl_control_requests_total", "outcome", "failed", control->failed);
    add_labelled(out, "memctl_control_requests_total", "outcome", "denied", control->denied);
    add_counter(out, "memctl_control_delays_total",
                "Times that a client had to wait because it asks for too much.", control->delays);
    exposition_family(out, "memctl_http_requests_total", METRIC_COUNTER, "Answers over HTTP.");
    for (const struct http_count *count = http_counts(daemon); count->code; count++) {
        char code[8] = {(char)('0' + count->code / 100), (char)('0' + count->code / 10 % 10),
                        (char)('0' + count->code % 10)};

        add_labelled(out, "memctl_http_requests_total", "code", code, count->count);
    }
}

static void add_pressure(struct exposition *out, const struct mc_pressure *pressure)
{
    const char *name = "memctl_host_memory_stall_ratio";

    exposition_family(out, name, METRIC_GAUGE,
                      "Part of the last 10 s in which some or all tasks waited for memory.");
    if (!pressure->present)
        return;
    exposition_number(out, name, "kind=\"some\"", pressure->some_avg10 / 10000.0);
    exposition_number(out, name, "kind=\"full\"", pressure->full_avg10 / 10000.0);
}

static void add_plan(struct exposition *out, const struct daemon *daemon)
{
    add_table(out, with_plan, LENGTH(with_plan), daemon);
    add_pressure(out, &daemon->snapshot.host.pressure);
    exposition_family(out, "memctl_host_state", METRIC_GAUGE,
                      "1 for the state that the host is in, by how much memory is left.");
    for (unsigned state = MC_HOST_HIGH; state <= MC_HOST_LOW; state++)
        add_labelled(out, "memctl_host_state", "state", mc_host_state_name(state),
                     daemon->plan.state == state);
    exposition_family(out, "memctl_rule_changes_total", METRIC_COUNTER,
                      "Targets that a rule of the governor changed, guests times ticks.");
    for (unsigned rule = MC_RULE_POLICY + 1; rule < MC_RULE_COUNT; rule++)
        add_labelled(out, "memctl_rule_changes_total", "rule", mc_rule_name(rule),
                     daemon->counters.rule_changes[rule]);
    add_guests(out, daemon);
}

static void free_text(const void *text, size_t length, void *opaque)
{
    (void)text;
    (void)length;
    free(opaque);
}

void answer_metrics(struct exchange *exchange, const struct daemon *daemon)
{
    struct exposition out = {.format = exposition_choose(exchange_field(exchange, "Accept"))};
    struct evbuffer *body = evbuffer_new();

    add_state(&out, daemon);
    add_table(&out, always, LENGTH(always), daemon);
    add_counts(&out, daemon);
    add_agents(&out, daemon);
    add_clients(&out, daemon);
    add_history(&out, daemon);
    add_dedupe(&out, daemon);
    add_process(&out);
    /* Old numbers would look like present ones. */
    if (daemon->has_plan && daemon->link.up)
        add_plan(&out, daemon);
    exposition_end(&out);
    if (!body || out.failed ||
        evbuffer_add_reference(body, out.text, out.length, free_text, out.text) < 0) {
        free(out.text);
        exchange_fail(exchange, 503, "Service Unavailable: out of memory");
    } else {
        exchange_reply(exchange, exposition_content_type(out.format), body);
    }
    if (body)
        evbuffer_free(body);
}
