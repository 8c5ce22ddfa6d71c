/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The metrics of the page-dedupe scanner; guests and trust domains as in its last pass. */
#include "metrics.h"

#include <stddef.h>
#include <string.h>

#include "dedupe.h"
#include "steer.h"

#define FIGURE(field, help)                                                                        \
    {                                                                                              \
        "memctl_dedupe_guest_" #field "_bytes", help, offsetof(struct mc_dedupe_figures, field)    \
    }

static const struct {
    const char *name, *help;
    size_t offset;
} figures[] = {
    FIGURE(scanned, "Memory that was read for equal pages."),
    FIGURE(merged, "Memory that the kernel shares already."),
    FIGURE(zero, "Pages of zeros."),
    FIGURE(inside, "Copies of pages that the guest has itself."),
    FIGURE(across, "Contents that another guest has as well."),
    FIGURE(changing, "Contents that were written since the last pass."),
    FIGURE(unique, "Contents that nobody else has."),
    FIGURE(saving, "The guest's part of what merging in its trust domain would save."),
};

static void add_guest(struct exposition *out, size_t figure, const struct mc_dedupe_guest *guest)
{
    char labels[1024];
    size_t length = exposition_label(labels, sizeof(labels), 0, "domain", guest->name);
    uint64_t value;

    exposition_label(labels, sizeof(labels), length, "uuid", guest->uuid);
    memcpy(&value, (const char *)&guest->figures + figures[figure].offset, sizeof(value));
    exposition_count(out, figures[figure].name, labels, value);
}

/* ---- merging ---- */

static uint64_t mergeable_of(const struct mc_steer_guest *guest)
{
    return guest->looked ? guest->mergeable : 0;
}

static uint64_t promised_of(const struct mc_steer_guest *guest)
{
    return mc_max_u64(guest->mind.promised, mc_steer_saved(guest));
}

static uint64_t saved_of(const struct mc_steer_guest *guest)
{
    return mc_steer_saved(guest);
}

static uint64_t foretold_of(const struct mc_steer_guest *guest)
{
    return guest->mind.foretold;
}

static const struct {
    const char *name, *help;
    uint64_t (*value)(const struct mc_steer_guest *guest);
} merged[] = {
    {"memctl_merge_guest_mergeable_bytes", "Memory of the guest that KSM may look at.",
     mergeable_of},
    {"memctl_merge_guest_promised_bytes", "What merging the guest saves, by the scanner.",
     promised_of},
    {"memctl_merge_guest_foretold_bytes",
     "What was promised when ksmd began to look; 0 if it has not.", foretold_of},
    {"memctl_merge_guest_saved_bytes", "What KSM has saved of it.", saved_of},
};

static void add_merged_guest(struct exposition *out, size_t figure,
                             const struct mc_steer_guest *guest)
{
    char labels[1024];
    size_t length = exposition_label(labels, sizeof(labels), 0, "domain", guest->name);

    exposition_label(labels, sizeof(labels), length, "uuid", guest->uuid);
    exposition_count(out, merged[figure].name, labels, merged[figure].value(guest));
}

static void add_merging(struct exposition *out, const struct daemon *daemon)
{
    const struct mc_steer_plan *plan = steer_plan(daemon->steer);
    bool on = daemon->config.dedupe.merge;
    double seconds = steer_ksmd_seconds(daemon->steer);
    const struct mc_steer_guest *guests;
    char labels[64];
    size_t count;

    guests = steer_guests(daemon->steer, &count);
    exposition_family(out, "memctl_merge_pace", METRIC_GAUGE, "1 for what ksmd is made to do.");
    for (unsigned i = 0; on && i < MC_STEER_PACES; i++) {
        exposition_label(labels, sizeof(labels), 0, "pace", mc_steer_pace_name(i));
        exposition_count(out, "memctl_merge_pace", labels, plan->pace == i);
    }
    exposition_family(out, "memctl_merge_promised_bytes", METRIC_GAUGE,
                      "What merging the guests saves that are to be merged.");
    if (on)
        exposition_count(out, "memctl_merge_promised_bytes", "", plan->promised);
    exposition_family(out, "memctl_merge_saved_bytes", METRIC_GAUGE, "What of that is saved.");
    if (on)
        exposition_count(out, "memctl_merge_saved_bytes", "", plan->saved);
    exposition_family(out, "memctl_merge_foretold_bytes", METRIC_GAUGE,
                      "What was promised when ksmd began to look; 0 if it has not.");
    if (on)
        exposition_count(out, "memctl_merge_foretold_bytes", "", plan->foretold);
    exposition_family(out, "memctl_merge_ksmd_pages_per_second", METRIC_GAUGE,
                      "Pages that ksmd looks at in a second of its processor time, as reckoned "
                      "with.");
    if (on)
        exposition_count(out, "memctl_merge_ksmd_pages_per_second", "", plan->pages_per_second);
    exposition_family(out, "memctl_merge_ksmd_cpu_seconds_total", METRIC_COUNTER,
                      "Processor time of ksmd since the host's boot.");
    if (on && seconds >= 0)
        exposition_number(out, "memctl_merge_ksmd_cpu_seconds_total", "", seconds);
    for (size_t i = 0; i < sizeof(merged) / sizeof(*merged); i++) {
        exposition_family(out, merged[i].name, METRIC_GAUGE, merged[i].help);
        for (size_t j = 0; j < count; j++)
            add_merged_guest(out, i, &guests[j]);
    }
}

void add_dedupe(struct exposition *out, const struct daemon *daemon)
{
    const struct mc_dedupe_report *report = dedupe_report(daemon->dedupe);
    const struct scanner_state *scanner = dedupe_scanner(daemon->dedupe);
    char labels[256];

    exposition_family(out, "memctl_dedupe_scanner_up", METRIC_GAUGE,
                      "1 while the page scanner runs.");
    exposition_count(out, "memctl_dedupe_scanner_up", "", scanner->running);
    exposition_family(out, "memctl_dedupe_scanner_kills_total", METRIC_COUNTER,
                      "Times the page scanner was ended because it misbehaved.");
    exposition_count(out, "memctl_dedupe_scanner_kills_total", "", scanner->kills);
    exposition_family(out, "memctl_dedupe_scanner_cpu_seconds_total", METRIC_COUNTER,
                      "Processor time of the page scanner.");
    exposition_number(out, "memctl_dedupe_scanner_cpu_seconds_total", "",
                      (double)scanner->cpu_us / 1e6);
    exposition_family(out, "memctl_dedupe_passes_total", METRIC_COUNTER, "Passes over all guests.");
    exposition_count(out, "memctl_dedupe_passes_total", "", report->pass);
    for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++) {
        exposition_family(out, figures[i].name, METRIC_GAUGE, figures[i].help);
        for (size_t j = 0; j < report->guest_count; j++)
            if (report->guests[j].state == MC_DEDUPE_SCANNED)
                add_guest(out, i, &report->guests[j]);
    }
    exposition_family(out, "memctl_dedupe_saving_bytes", METRIC_GAUGE,
                      "What merging a trust domain's guests would save, zero pages apart.");
    for (size_t i = 0; i < report->domain_count; i++) {
        exposition_label(labels, sizeof(labels), 0, "trust_domain", report->domains[i].name);
        exposition_count(out, "memctl_dedupe_saving_bytes", labels, report->domains[i].saving);
    }
    add_merging(out, daemon);
}
