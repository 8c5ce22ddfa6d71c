/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /metrics in the Prometheus text format. The tables are where the metrics are defined;
 * docs/metrics.md lists them for people.
 *
 * Whoever can reach the port is a stranger. A connection is good for one request and its answer,
 * and ends after SILENCE_S without a byte; http_limit.h bounds how many there are. A page is only
 * made while what clients have not fetched yet is less than UNREAD_MAX.
 */
#include "daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "agents.h"
#include "dedupe.h"
#include "http_limit.h"

#define SILENCE_S 10
#define HEAD_MAX 4096
#define UNREAD_MAX ((size_t)32 * 1024 * 1024)

struct metrics {
    struct daemon *daemon;
    struct evhttp *http;
    struct http_limit *limit;
    size_t unread; /* bytes of the pages whose connections are still open */
};

/* A number of bytes or a count somewhere in a structure. */
struct family {
    const char *name, *type, *help;
    size_t offset;
};

#define COUNTER(field, name, help)                                                                 \
    {                                                                                              \
        name, "counter", help, offsetof(struct daemon, counters.field)                             \
    }
#define PLAN(field, name, help)                                                                    \
    {                                                                                              \
        name, "gauge", help, offsetof(struct daemon, plan.field)                                   \
    }
#define HOST(field, name, help)                                                                    \
    {                                                                                              \
        name, "gauge", help, offsetof(struct daemon, snapshot.host.field)                          \
    }

static const struct family always[] = {
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
};

static const struct family with_plan[] = {
    HOST(total, "memctl_host_memory_bytes", "Memory of the host."),
    HOST(available, "memctl_host_memory_available_bytes",
         "Memory of the host that can be used without swapping."),
    PLAN(budget, "memctl_budget_bytes", "What all guests may occupy, QEMU's own memory included."),
    PLAN(overheads, "memctl_overhead_bytes", "QEMU's own memory of the managed guests."),
    PLAN(exempt, "memctl_exempt_bytes", "What guests may take that memctl does not touch."),
    PLAN(reserve, "memctl_distress_reserve_bytes", "What is kept for guests in trouble."),
    PLAN(strict, "memctl_strict_bytes", "What the managed guests may really occupy."),
    PLAN(divided, "memctl_divided_bytes", "What is divided among the managed guests, elastic."),
    PLAN(held, "memctl_held_bytes", "Memory of managed guests that is resident."),
    PLAN(headroom, "memctl_headroom_bytes", "What managed guests can still take without harm."),
    PLAN(min_free, "memctl_min_free_bytes", "The least that shall be free."),
    PLAN(promised, "memctl_promised_bytes", "What managed guests can take already."),
    PLAN(surplus, "memctl_surplus_bytes", "What the guests' limits leave unused."),
    PLAN(deficit, "memctl_deficit_bytes", "What the reservations exceed the divided memory by."),
};

#define GUEST(field, name, help)                                                                   \
    {                                                                                              \
        name, "gauge", help, offsetof(struct mc_guest, field)                                      \
    }

static const struct family per_guest[] = {
    GUEST(memory, "memctl_guest_memory_bytes", "Memory that the guest is configured with."),
    GUEST(actual, "memctl_guest_actual_bytes", "What the balloon leaves the guest."),
    GUEST(used, "memctl_guest_used_bytes", "What the guest cannot give up."),
    GUEST(active, "memctl_guest_active_bytes", "What the guest works with."),
    GUEST(held, "memctl_guest_held_bytes", "Guest memory that is resident on the host."),
    GUEST(overhead, "memctl_guest_overhead_bytes", "QEMU's own memory."),
    GUEST(terms.shares, "memctl_guest_shares", "The guest's shares."),
    GUEST(terms.min, "memctl_guest_min_bytes", "The guest's reservation."),
    GUEST(terms.max, "memctl_guest_max_bytes", "The guest's limit."),
};

#define STEP(field, name, help)                                                                    \
    {                                                                                              \
        name, "gauge", help, offsetof(struct mc_step, field)                                       \
    }

static const struct family per_step[] = {
    STEP(wish, "memctl_guest_wish_bytes", "The policy's target."),
    STEP(target, "memctl_guest_target_bytes", "The target that the governor allowed."),
};

#define LENGTH(table) (sizeof(table) / sizeof(*(table)))

static uint64_t field(const void *structure, size_t offset)
{
    uint64_t value;

    memcpy(&value, (const char *)structure + offset, sizeof(value));
    return value;
}

static void add_head(struct evbuffer *out, const char *name, const char *type, const char *help)
{
    evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_family(struct evbuffer *out, const struct family *family, const void *structure)
{
    add_head(out, family->name, family->type, family->help);
    evbuffer_add_printf(out, "%s %" PRIu64 "\n", family->name, field(structure, family->offset));
}

/* A label's value: backslash, quote and newline are escaped. */
static void add_label(struct evbuffer *out, const char *name, const char *value)
{
    evbuffer_add_printf(out, "%s=\"", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\\' || *p == '"')
            evbuffer_add_printf(out, "\\%c", *p);
        else if (*p == '\n')
            evbuffer_add_printf(out, "\\n");
        else
            evbuffer_add(out, p, 1);
    }
    evbuffer_add(out, "\"", 1);
}

static void add_guest_labels(struct evbuffer *out, const char *family, const struct mc_guest *guest)
{
    evbuffer_add_printf(out, "%s{", family);
    add_label(out, "domain", guest->name);
    evbuffer_add(out, ",", 1);
    add_label(out, "uuid", guest->uuid);
}

static void add_guest_family(struct evbuffer *out, const struct daemon *daemon,
                             const struct family *family, bool of_step)
{
    add_head(out, family->name, family->type, family->help);
    for (size_t i = 0; i < daemon->snapshot.count; i++) {
        const struct mc_guest *guest = &daemon->snapshot.guests[i];
        uint64_t value =
            of_step ? field(&daemon->plan.steps[i], family->offset) : field(guest, family->offset);

        if (value == MC_UNKNOWN)
            continue; /* a sample that is not there says "unknown" */
        add_guest_labels(out, family->name, guest);
        evbuffer_add_printf(out, "} %" PRIu64 "\n", value);
    }
}

static void add_guest_info(struct evbuffer *out, const struct daemon *daemon)
{
    add_head(
        out, "memctl_guest_info", "gauge",
        "Why the guest is not managed (exempt), its state and the source of its active memory.");
    for (size_t i = 0; i < daemon->snapshot.count; i++) {
        const struct mc_guest *guest = &daemon->snapshot.guests[i];

        add_guest_labels(out, "memctl_guest_info", guest);
        evbuffer_add_printf(out, ",state=\"%s\",exempt=\"%s\",active_source=\"%s\"} 1\n",
                            mc_guest_state_name(guest->state), mc_exempt_name(guest->exempt),
                            mc_source_name(guest->active_source));
    }
}

static void add_state(struct evbuffer *out, struct daemon *daemon)
{
    add_head(out, "memctl_build_info", "gauge", "The version of memctld and its policy.");
    evbuffer_add_printf(out, "memctl_build_info{version=\"%s\",policy=\"%s\"} 1\n", MEMCTL_VERSION,
                        mc_policy_of(daemon->policies.current)->name);
    add_head(out, "memctl_hypervisor_up", "gauge", "1 while the hypervisor answers.");
    evbuffer_add_printf(out, "memctl_hypervisor_up %d\n", daemon->link.up);
    add_head(out, "memctl_stuck_calls", "gauge", "Calls to the hypervisor that do not come back.");
    evbuffer_add_printf(out, "memctl_stuck_calls %u\n", lanes_stuck(daemon->lanes));
    add_head(out, "memctl_tick_lateness_seconds", "gauge",
             "How long after its due time the last plan was made.");
    evbuffer_add_printf(out, "memctl_tick_lateness_seconds %.3f\n",
                        (double)daemon->tick.lateness_ms / 1000);
    add_head(out, "memctl_dry_run", "gauge", "1 if nothing is sent to any guest.");
    evbuffer_add_printf(out, "memctl_dry_run %d\n", daemon->config.dry_run);
    add_head(out, "memctl_paused", "gauge", "1 while an operator has paused all guests.");
    evbuffer_add_printf(out, "memctl_paused %d\n", daemon->pauses.all);
    add_head(out, "memctl_guests", "gauge", "Running guests.");
    evbuffer_add_printf(out, "memctl_guests %zu\n", daemon->link.up ? daemon->snapshot.count : 0);
}

static void add_agents(struct evbuffer *out, const struct daemon *daemon)
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

    for (size_t i = 0; i < LENGTH(families); i++) {
        add_head(out, families[i].name, "counter", families[i].help);
        evbuffer_add_printf(out, "%s %" PRIu64 "\n", families[i].name, families[i].value);
    }
}

/* Of the page-dedupe scanner; guests as they were in its last pass. */
static void add_dedupe_guests(struct evbuffer *out, const struct mc_dedupe_report *report)
{
#define FIGURE(field, help)                                                                        \
    {                                                                                              \
        "memctl_dedupe_guest_" #field "_bytes", "gauge", help,                                     \
            offsetof(struct mc_dedupe_figures, field)                                              \
    }
    static const struct family families[] = {
        FIGURE(scanned, "Memory that was read for equal pages."),
        FIGURE(merged, "Memory that the kernel shares already."),
        FIGURE(zero, "Pages of zeros."),
        FIGURE(inside, "Copies of pages that the guest has itself."),
        FIGURE(across, "Contents that another guest has as well."),
        FIGURE(changing, "Contents that were written since the last pass."),
        FIGURE(unique, "Contents that nobody else has."),
        FIGURE(saving, "The guest's part of what merging in its trust domain would save."),
    };

    for (size_t i = 0; i < LENGTH(families); i++) {
        add_head(out, families[i].name, families[i].type, families[i].help);
        for (size_t j = 0; j < report->guest_count; j++) {
            const struct mc_dedupe_guest *guest = &report->guests[j];

            if (guest->state != MC_DEDUPE_SCANNED)
                continue;
            evbuffer_add_printf(out, "%s{", families[i].name);
            add_label(out, "domain", guest->name);
            evbuffer_add(out, ",", 1);
            add_label(out, "uuid", guest->uuid);
            evbuffer_add_printf(out, "} %" PRIu64 "\n", field(&guest->figures, families[i].offset));
        }
    }
}

static void add_dedupe(struct evbuffer *out, const struct daemon *daemon)
{
    const struct mc_dedupe_report *report = dedupe_report(daemon->dedupe);
    const struct scanner_state *scanner = dedupe_scanner(daemon->dedupe);

    add_head(out, "memctl_dedupe_scanner_up", "gauge", "1 while the page scanner runs.");
    evbuffer_add_printf(out, "memctl_dedupe_scanner_up %d\n", scanner->running);
    add_head(out, "memctl_dedupe_scanner_kills_total", "counter",
             "Times the page scanner was ended because it misbehaved.");
    evbuffer_add_printf(out, "memctl_dedupe_scanner_kills_total %" PRIu64 "\n", scanner->kills);
    add_head(out, "memctl_dedupe_scanner_cpu_seconds_total", "counter",
             "Processor time of the page scanner.");
    evbuffer_add_printf(out, "memctl_dedupe_scanner_cpu_seconds_total %.3f\n",
                        (double)scanner->cpu_us / 1e6);
    if (!report->pass)
        return;
    add_head(out, "memctl_dedupe_passes_total", "counter", "Passes over all guests.");
    evbuffer_add_printf(out, "memctl_dedupe_passes_total %" PRIu64 "\n", report->pass);
    add_dedupe_guests(out, report);
    add_head(out, "memctl_dedupe_saving_bytes", "gauge",
             "What merging a trust domain's guests would save, zero pages apart.");
    for (size_t i = 0; i < report->domain_count; i++) {
        evbuffer_add(out, "memctl_dedupe_saving_bytes{", 27);
        add_label(out, "trust_domain", report->domains[i].name);
        evbuffer_add_printf(out, "} %" PRIu64 "\n", report->domains[i].saving);
    }
}

static void add_history(struct evbuffer *out, const struct daemon *daemon)
{
    struct keeper_state state;

    if (!daemon->keeper)
        return;
    state = keeper_state(daemon->keeper);
    add_head(out, "memctl_history_up", "gauge", "1 while the history can be written.");
    evbuffer_add_printf(out, "memctl_history_up %d\n", state.up);
    add_head(out, "memctl_history_size_bytes", "gauge", "The history's file and its log.");
    evbuffer_add_printf(out, "memctl_history_size_bytes %" PRIu64 "\n", state.facts.size);
    add_head(out, "memctl_history_rows_total", "counter", "Rows written to the history.");
    evbuffer_add_printf(out, "memctl_history_rows_total %" PRIu64 "\n", state.rows);
    add_head(out, "memctl_history_dropped_total", "counter",
             "Rows that were lost because the history could not be written for too long.");
    evbuffer_add_printf(out, "memctl_history_dropped_total %" PRIu64 "\n", state.dropped);
    add_head(out, "memctl_history_failures_total", "counter",
             "Tries to open or write the history that failed.");
    evbuffer_add_printf(out, "memctl_history_failures_total %" PRIu64 "\n", state.failures);
    add_head(out, "memctl_history_set_aside_total", "counter",
             "Damaged files that were set aside, and begun anew.");
    evbuffer_add_printf(out, "memctl_history_set_aside_total %" PRIu64 "\n", state.set_aside);
    add_head(out, "memctl_history_write_seconds_total", "counter",
             "Time spent writing the history, on a thread of its own.");
    evbuffer_add_printf(out, "memctl_history_write_seconds_total %.6f\n", state.seconds);
}

static void add_pressure(struct evbuffer *out, const struct mc_pressure *pressure)
{
    if (!pressure->present)
        return;
    add_head(out, "memctl_host_memory_stall_ratio", "gauge",
             "Part of the last 10 s in which some or all tasks waited for memory.");
    evbuffer_add_printf(out,
                        "memctl_host_memory_stall_ratio{kind=\"some\"} %.4f\n"
                        "memctl_host_memory_stall_ratio{kind=\"full\"} %.4f\n",
                        pressure->some_avg10 / 10000.0, pressure->full_avg10 / 10000.0);
}

static void write_page(struct evbuffer *out, struct daemon *daemon)
{
    add_state(out, daemon);
    for (size_t i = 0; i < LENGTH(always); i++)
        add_family(out, &always[i], daemon);
    add_agents(out, daemon);
    add_dedupe(out, daemon);
    add_history(out, daemon);
    /* Old numbers would look like present ones. */
    if (!daemon->has_plan || !daemon->link.up)
        return;
    for (size_t i = 0; i < LENGTH(with_plan); i++)
        add_family(out, &with_plan[i], daemon);
    add_pressure(out, &daemon->snapshot.host.pressure);
    for (size_t i = 0; i < LENGTH(per_guest); i++)
        add_guest_family(out, daemon, &per_guest[i], false);
    for (size_t i = 0; i < LENGTH(per_step); i++)
        add_guest_family(out, daemon, &per_step[i], true);
    add_guest_info(out, daemon);
}

/* ---- serving it ---- */

struct page {
    struct metrics *metrics;
    size_t length;
};

static void on_closed(struct evhttp_connection *connection, void *opaque)
{
    struct page *page = opaque;

    (void)connection;
    page->metrics->unread -= page->length;
    free(page);
}

static void send_page(struct evhttp_request *request, struct metrics *metrics, struct page *page,
                      struct evbuffer *body)
{
    struct evkeyvalq *fields = evhttp_request_get_output_headers(request);

    write_page(body, metrics->daemon);
    *page = (struct page){.metrics = metrics, .length = evbuffer_get_length(body)};
    metrics->unread += page->length;
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_closed, page);
    evhttp_add_header(fields, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    evhttp_add_header(fields, "Connection", "close");
    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
        evbuffer_drain(body, page->length); /* evhttp would send it */
    evhttp_send_reply(request, HTTP_OK, "OK", body);
}

static void on_scrape(struct evhttp_request *request, void *opaque)
{
    struct metrics *metrics = opaque;
    struct evbuffer *body = metrics->unread < UNREAD_MAX ? evbuffer_new() : NULL;
    struct page *page = body ? malloc(sizeof(*page)) : NULL;

    if (page)
        send_page(request, metrics, page, body);
    else
        evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
    if (body)
        evbuffer_free(body);
}

/* where: "127.0.0.1:9633" or "[::1]:9633" */
static int listen_at(struct metrics *metrics, const char *where, struct mc_error *err)
{
    struct evhttp_bound_socket *socket;
    char address[CONFIG_TEXT];
    char *colon, *host = address;

    strcpy(address, where);
    colon = strrchr(address, ':');
    *colon = '\0';
    if (*host == '[') {
        host++;
        host[strcspn(host, "]")] = '\0';
    }
    errno = 0;
    socket =
        evhttp_bind_socket_with_handle(metrics->http, host, (uint16_t)strtoul(colon + 1, NULL, 10));
    if (!socket)
        return mc_error_set(err, errno ? -errno : -EADDRNOTAVAIL,
                            "cannot serve metrics at %s: %s; choose another 'metrics' or off",
                            where, errno ? strerror(errno) : "there is no such address");
    metrics->limit = http_limit_new(metrics->daemon->base, metrics->http, socket);
    return metrics->limit ? 0 : mc_error_set(err, -ENOMEM, "cannot listen at %s", where);
}

struct metrics *metrics_start(struct daemon *daemon, struct mc_error *err)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));

    if (metrics)
        metrics->http = evhttp_new(daemon->base);
    if (!metrics || !metrics->http) {
        mc_error_set(err, -ENOMEM, "out of memory");
        free(metrics);
        return NULL;
    }
    metrics->daemon = daemon;
    evhttp_set_allowed_methods(metrics->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(metrics->http, HEAD_MAX);
    evhttp_set_max_body_size(metrics->http, 0);
    evhttp_set_timeout(metrics->http, SILENCE_S);
    evhttp_set_cb(metrics->http, "/metrics", on_scrape, metrics);
    if (listen_at(metrics, daemon->config.metrics, err) < 0) {
        metrics_stop(metrics);
        return NULL;
    }
    return metrics;
}

void metrics_revive(struct metrics *metrics)
{
    if (metrics)
        http_limit_revive(metrics->limit);
}

void metrics_stop(struct metrics *metrics)
{
    if (!metrics)
        return;
    http_limit_free(metrics->limit);
    evhttp_free(metrics->http);
    free(metrics);
}
