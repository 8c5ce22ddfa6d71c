/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the end of a pass to its report: guests, trust domains and the tally. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dedupe/scanner.h"
#include "dedupe/tally.h"

static struct mc_dedupe_domain *domain_of(struct mc_dedupe_report *report, const char *name)
{
    struct mc_dedupe_domain *domain;

    for (size_t i = 0; i < report->domain_count; i++)
        if (strcmp(report->domains[i].name, name) == 0)
            return &report->domains[i];
    domain = &report->domains[report->domain_count++];
    memcpy(domain->name, name, sizeof(domain->name));
    return domain;
}

static void take_met(const struct slot *slot, struct mc_dedupe_figures *figures)
{
    *figures = (struct mc_dedupe_figures){
        .present = slot->met.present * MC_PAGE,
        .merged = slot->met.merged * MC_PAGE,
        .swapped = slot->met.swapped * MC_PAGE,
        .scanned = (slot->met.zero + slot->met.nonzero) * MC_PAGE,
        .huge = slot->met.huge * MC_PAGE,
        .zero = slot->met.zero * MC_PAGE,
    };
}

/* Guests as the report and the tally want them; both by slot. */
static void prepare(struct mc_scanner *scanner, struct mc_dedupe_report *report,
                    struct mc_tally_guest *tallied, struct mc_dedupe_figures *figures)
{
    for (size_t i = 0; i < scanner->slot_count; i++) {
        struct slot *slot = &scanner->slots[i];
        struct mc_dedupe_domain *domain;

        if (!slot->whole || !mc_slot_is_read(slot))
            continue;
        slot->guest.state = MC_DEDUPE_SCANNED;
        take_met(slot, &figures[i]);
        domain = domain_of(report, slot->guest.domain);
        domain->guests++;
        domain->scanned += figures[i].scanned;
        domain->zero += figures[i].zero;
        tallied[i] = (struct mc_tally_guest){.counts = true,
                                             .domain = (unsigned)(domain - report->domains),
                                             .nonzero = slot->met.nonzero};
    }
}

static void add_guests(struct mc_scanner *scanner, struct mc_dedupe_report *report,
                       const struct mc_dedupe_figures *figures, uint32_t *index_of)
{
    for (size_t i = 0; i < scanner->slot_count; i++) {
        struct slot *slot = &scanner->slots[i];
        struct mc_dedupe_guest *guest = &report->guests[report->guest_count];

        if (!slot->used || slot->gone)
            continue;
        index_of[i] = (uint32_t)report->guest_count++;
        if (slot->whole)
            slot->figures = figures[i];
        snprintf(guest->uuid, sizeof(guest->uuid), "%s", slot->guest.uuid);
        snprintf(guest->name, sizeof(guest->name), "%s", slot->guest.name);
        snprintf(guest->domain, sizeof(guest->domain), "%s", slot->guest.domain);
        snprintf(guest->why, sizeof(guest->why), "%s", slot->guest.why);
        guest->state = slot->guest.state;
        guest->mergeable = slot->guest.mergeable;
        guest->passes = slot->passes;
        guest->figures = slot->figures;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct mc_dedupe_domain *)a)->name,
                  ((const struct mc_dedupe_domain *)b)->name);
}

static int fill(struct mc_scanner *scanner, struct mc_dedupe_report *report,
                struct mc_tally_guest *tallied, struct mc_dedupe_figures *figures,
                uint32_t *index_of)
{
    const struct mc_tally_input input = {
        .frames = &scanner->frames,
        .guests = tallied,
        .guest_count = scanner->slot_count,
        .shift = scanner->shift,
        .heavy = HEAVY_AT,
    };
    struct mc_tally_input counted = input;
    struct mc_tally_output output = {.guests = figures, .domains = report->domains};
    int rc;

    prepare(scanner, report, tallied, figures);
    counted.domain_count = report->domain_count;
    rc = mc_tally(&counted, &output);
    if (rc < 0)
        return rc;
    add_guests(scanner, report, figures, index_of);
    report->pairs = output.pairs;
    report->pair_count = output.pair_count;
    for (size_t i = 0; i < output.pair_count; i++) {
        report->pairs[i].a = index_of[output.pairs[i].a];
        report->pairs[i].b = index_of[output.pairs[i].b];
    }
    qsort(report->domains, report->domain_count, sizeof(*report->domains), by_name);
    return 0;
}

int mc_report_make(struct mc_scanner *scanner, struct mc_dedupe_report *report)
{
    size_t room = scanner->slot_count + 1;
    struct mc_tally_guest *tallied = calloc(room, sizeof(*tallied));
    struct mc_dedupe_figures *figures = calloc(room, sizeof(*figures));
    uint32_t *index_of = calloc(room, sizeof(*index_of));
    int rc = -ENOMEM;

    report->guests = calloc(room, sizeof(*report->guests));
    report->domains = calloc(room, sizeof(*report->domains));
    if (tallied && figures && index_of && report->guests && report->domains)
        rc = fill(scanner, report, tallied, figures, index_of);
    report->sample = scanner->shift < 32 ? UINT32_C(1) << scanner->shift : UINT32_MAX;
    report->table_bytes = scanner->frames.size * sizeof(struct mc_frame);
    report->compared = scanner->compared;
    report->different = scanner->different;
    free(tallied);
    free(figures);
    free(index_of);
    return rc;
}
