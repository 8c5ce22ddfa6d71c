/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The metrics of every guest. They carry the labels domain and uuid, and nothing else that changes
 * from tick to tick: what does is a value, or a label of memctl_guest_info. So a guest has one
 * series of each family for as long as it runs.
 */
#include "metrics.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define GAUGE(field, name, help) FAMILY(mc_guest, field, KIND_COUNT, METRIC_GAUGE, name, help)
#define COUNTER(field, name, help) FAMILY(mc_guest, field, KIND_COUNT, METRIC_COUNTER, name, help)
#define FLAG(field, name, help) FAMILY(mc_guest, field, KIND_FLAG, METRIC_GAUGE, name, help)
#define STEP(field, name, help) FAMILY(mc_step, field, KIND_COUNT, METRIC_GAUGE, name, help)
#define WATCHED(field, name, help) FAMILY(watched, field, KIND_COUNT, METRIC_COUNTER, name, help)

static const struct family of_guest[] = {
    GAUGE(memory, "memctl_guest_memory_bytes", "Memory that the guest is configured with."),
    GAUGE(actual, "memctl_guest_actual_bytes", "What the balloon leaves the guest."),
    GAUGE(used, "memctl_guest_used_bytes", "What the guest cannot give up."),
    GAUGE(active, "memctl_guest_active_bytes", "What the guest works with."),
    GAUGE(held, "memctl_guest_held_bytes", "Guest memory that is resident on the host."),
    GAUGE(overhead, "memctl_guest_overhead_bytes", "QEMU's own memory."),
    GAUGE(terms.shares, "memctl_guest_shares", "The guest's shares."),
    GAUGE(terms.min, "memctl_guest_min_bytes", "The guest's reservation."),
    GAUGE(terms.max, "memctl_guest_max_bytes", "The guest's limit."),
    GAUGE(stats.available, "memctl_guest_balloon_available_bytes",
          "The guest's MemTotal, by its balloon driver."),
    GAUGE(stats.usable, "memctl_guest_balloon_usable_bytes",
          "The guest's MemAvailable, by its balloon driver."),
    GAUGE(stats.unused, "memctl_guest_balloon_unused_bytes",
          "The guest's MemFree, by its balloon driver."),
    GAUGE(stats.disk_caches, "memctl_guest_balloon_disk_caches_bytes",
          "The guest's page cache, by its balloon driver."),
    COUNTER(stats.swap_in, "memctl_guest_swap_in_bytes_total",
            "What the guest read back from its swap, by its balloon driver."),
    COUNTER(stats.swap_out, "memctl_guest_swap_out_bytes_total",
            "What the guest wrote to its swap, by its balloon driver."),
    COUNTER(stats.major_faults, "memctl_guest_major_faults_total",
            "Page faults of the guest that waited for a disk, by its balloon driver."),
    FLAG(answers, "memctl_guest_answers",
         "1 if its QEMU answers and no balloon command to it is under way."),
    FLAG(fresh, "memctl_guest_statistics_fresh", "1 if its statistics are recent and possible."),
    FLAG(agent.present, "memctl_guest_agent_up", "1 while the agent in the guest speaks."),
    FLAG(stuck, "memctl_guest_stuck", "1 while its balloon does not follow."),
    FLAG(foreign, "memctl_guest_foreign_hand",
         "1 while it is left alone because somebody else moved its balloon."),
    FAMILY(mc_guest, distress, KIND_TROUBLE, METRIC_GAUGE, "memctl_guest_distress",
           "1 while it shows that it has too little memory."),
};

static const struct family of_step[] = {
    STEP(wish, "memctl_guest_wish_bytes", "The policy's target."),
    STEP(target, "memctl_guest_target_bytes", "The target that the governor allowed."),
    STEP(reclaim, "memctl_guest_host_reclaim_bytes",
         "What the host is asked to take from the guest by itself now."),
};

static const struct family of_watched[] = {
    WATCHED(commands, "memctl_guest_balloon_commands_total",
            "Balloon targets that were set, in this run of the guest."),
    WATCHED(command_failures, "memctl_guest_balloon_command_failures_total",
            "Balloon targets that could not be set, in this run of the guest."),
    WATCHED(bytes_reclaimed, "memctl_guest_reclaim_requested_bytes_total",
            "Memory that it was told to give up, in this run of the guest."),
    WATCHED(bytes_granted, "memctl_guest_grant_bytes_total",
            "Memory that it was told it may take, in this run of the guest."),
    WATCHED(troubles, "memctl_guest_distress_events_total",
            "Times that it came into distress, in this run of the guest."),
};

#define LENGTH(table) (sizeof(table) / sizeof(*(table)))

/* Both labels at their longest, with every byte escaped. */
#define LABELS (2 * MC_NAME_TEXT + MC_UUID_TEXT + 32)

struct guests {
    const struct daemon *daemon;
    size_t count;
    char (*labels)[LABELS];
};

/* steps and watched entries have the order of the guests. */
static const void *at(const void *first, size_t size, size_t index)
{
    return (const char *)first + size * index;
}

static void add_table(struct exposition *out, const struct guests *guests,
                      const struct family *families, size_t count, const void *first, size_t size)
{
    for (const struct family *family = families; family < families + count; family++) {
        exposition_family(out, family->name, family->type, family->help);
        for (size_t i = 0; i < guests->count; i++) {
            uint64_t value = family_value(family, at(first, size, i));

            if (value != MC_UNKNOWN) /* a sample that is not there says "unknown" */
                exposition_count(out, family->name, guests->labels[i], value);
        }
    }
}

/* How what it works with is known: what changes from tick to tick is no label. */
static void add_origins(struct exposition *out, const struct guests *guests)
{
    static const char window[] = "memctl_guest_active_window_seconds";
    static const char sure[] = "memctl_guest_active_confidence_ratio";
    static const char least[] = "memctl_guest_sample_least_bytes";
    static const char most[] = "memctl_guest_sample_most_bytes";
    const struct mc_guest *list = guests->daemon->snapshot.guests;

    exposition_family(out, window, METRIC_GAUGE,
                      "Over how long the source of the guest's active memory looks back.");
    for (size_t i = 0; i < guests->count; i++)
        exposition_number(out, window, guests->labels[i], (double)list[i].active_window_ms / 1000);
    exposition_family(out, sure, METRIC_GAUGE,
                      "How sure that source is that no more is active, 0 to 1.");
    for (size_t i = 0; i < guests->count; i++)
        exposition_number(out, sure, guests->labels[i], list[i].active_confidence / 100.0);
    exposition_family(out, least, METRIC_GAUGE,
                      "The least that the guest touches, as seen from the host.");
    for (size_t i = 0; i < guests->count; i++)
        if (list[i].sample.found_ms)
            exposition_count(out, least, guests->labels[i], list[i].sample.least);
    exposition_family(out, most, METRIC_GAUGE,
                      "The most that the guest touches, as seen from the host.");
    for (size_t i = 0; i < guests->count; i++)
        if (list[i].sample.found_ms)
            exposition_count(out, most, guests->labels[i], list[i].sample.most);
}

/* What its tasks lost, by its agent. */
static void add_stalls(struct exposition *out, const struct guests *guests)
{
    const char *name = "memctl_guest_memory_stall_ratio";

    exposition_family(out, name, METRIC_GAUGE,
                      "Part of the time in which some task in the guest waited for memory.");
    for (size_t i = 0; i < guests->count; i++) {
        const struct mc_agent_report *agent = &guests->daemon->snapshot.guests[i].agent;

        if (agent->present && agent->stall_us != MC_UNKNOWN)
            exposition_number(out, name, guests->labels[i], (double)agent->stall_us / 1e6);
    }
}

static void add_info(struct exposition *out, const struct guests *guests)
{
    const char *name = "memctl_guest_info";
    char labels[LABELS + 224];

    exposition_family(out, name, METRIC_INFO,
                      "The guest's state, why it is not managed, where its active memory comes "
                      "from, and the rule that decided its target.");
    for (size_t i = 0; i < guests->count; i++) {
        const struct mc_guest *guest = &guests->daemon->snapshot.guests[i];
        const struct mc_step *step = &guests->daemon->plan.steps[i];
        size_t length = strlen(guests->labels[i]);

        memcpy(labels, guests->labels[i], length + 1);
        length = exposition_label(labels, sizeof(labels), length, "state",
                                  mc_guest_state_name(guest->state));
        length = exposition_label(labels, sizeof(labels), length, "exempt",
                                  mc_exempt_name(guest->exempt));
        length = exposition_label(labels, sizeof(labels), length, "active_source",
                                  mc_source_name(guest->active_source));
        length = exposition_label(labels, sizeof(labels), length, "method", guest->active_method);
        exposition_label(labels, sizeof(labels), length, "reason",
                         mc_rule_name(mc_step_reason(step)));
        exposition_count(out, name, labels, 1);
    }
}

void add_guests(struct exposition *out, const struct daemon *daemon)
{
    size_t known = mc_min_u64(daemon->snapshot.count, daemon->plan.count);
    struct guests guests = {.daemon = daemon, .count = mc_min_u64(known, METRICS_GUESTS_MAX)};

    exposition_family(out, "memctl_guests_without_series", METRIC_GAUGE,
                      "Running guests that are too many to have series of their own.");
    exposition_count(out, "memctl_guests_without_series", "",
                     daemon->snapshot.count - guests.count);
    guests.labels = calloc(guests.count + 1, sizeof(*guests.labels));
    if (!guests.labels) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < guests.count; i++) {
        const struct mc_guest *guest = &daemon->snapshot.guests[i];
        size_t length = exposition_label(guests.labels[i], LABELS, 0, "domain", guest->name);

        exposition_label(guests.labels[i], LABELS, length, "uuid", guest->uuid);
    }
    add_table(out, &guests, of_guest, LENGTH(of_guest), daemon->snapshot.guests,
              sizeof(struct mc_guest));
    add_table(out, &guests, of_step, LENGTH(of_step), daemon->plan.steps, sizeof(struct mc_step));
    if (daemon->watch.count == daemon->snapshot.count)
        add_table(out, &guests, of_watched, LENGTH(of_watched), daemon->watch.list,
                  sizeof(struct watched));
    add_stalls(out, &guests);
    add_origins(out, &guests);
    add_info(out, &guests);
    free(guests.labels);
}
