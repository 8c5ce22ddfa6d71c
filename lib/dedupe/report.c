/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/dedupe.h>

#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

void mc_dedupe_report_free(struct mc_dedupe_report *report)
{
    free(report->guests);
    free(report->pairs);
    free(report->domains);
    *report = (struct mc_dedupe_report){0};
}

const struct mc_dedupe_guest *mc_dedupe_report_find(const struct mc_dedupe_report *report,
                                                    const char *uuid)
{
    for (size_t i = 0; i < report->guest_count; i++)
        if (strcmp(report->guests[i].uuid, uuid) == 0)
            return &report->guests[i];
    return NULL;
}

const struct mc_dedupe_domain *mc_dedupe_report_domain(const struct mc_dedupe_report *report,
                                                       const char *name)
{
    for (size_t i = 0; i < report->domain_count; i++)
        if (strcmp(report->domains[i].name, name) == 0)
            return &report->domains[i];
    return NULL;
}

const char *mc_dedupe_state_name(enum mc_dedupe_state state)
{
    static const char *const names[] = {
        [MC_DEDUPE_WAITING] = "waiting",
        [MC_DEDUPE_SCANNED] = "scanned",
        [MC_DEDUPE_OFF] = "off",
        [MC_DEDUPE_FAILED] = "failed",
    };

    return names[state];
}

/* ---- as JSON ---- */

static void put_size(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *guest_json(const struct mc_dedupe_guest *guest)
{
    const struct mc_dedupe_figures *f = &guest->figures;
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:b, s:I}", "name", guest->name, "uuid", guest->uuid,
                  "trust_domain", guest->domain, "state", mc_dedupe_state_name(guest->state),
                  "mergeable", guest->mergeable, "passes", (json_int_t)guest->passes);
    const struct {
        const char *key;
        uint64_t value;
    } sizes[] = {
        {"present", f->present}, {"merged", f->merged}, {"swapped", f->swapped},
        {"scanned", f->scanned}, {"huge", f->huge},     {"zero", f->zero},
        {"inside", f->inside},   {"across", f->across}, {"volatile", f->changing},
        {"unique", f->unique},   {"saving", f->saving}, {"error", f->error},
    };

    if (guest->state == MC_DEDUPE_FAILED)
        json_object_set_new(object, "why", json_string(guest->why));
    for (size_t i = 0; guest->state == MC_DEDUPE_SCANNED && i < sizeof(sizes) / sizeof(*sizes); i++)
        put_size(object, sizes[i].key, sizes[i].value);
    return object;
}

static json_t *pair_json(const struct mc_dedupe_report *report, const struct mc_dedupe_pair *pair)
{
    return json_pack("{s:s, s:s, s:I, s:I}", "a", report->guests[pair->a].uuid, "b",
                     report->guests[pair->b].uuid, "shared", (json_int_t)pair->shared, "error",
                     (json_int_t)pair->error);
}

static json_t *domain_json(const struct mc_dedupe_domain *domain)
{
    return json_pack("{s:s, s:i, s:I, s:I, s:I, s:I}", "name", domain->name, "guests",
                     (int)domain->guests, "scanned", (json_int_t)domain->scanned, "zero",
                     (json_int_t)domain->zero, "saving", (json_int_t)domain->saving, "error",
                     (json_int_t)domain->error);
}

json_t *mc_dedupe_report_to_json(const struct mc_dedupe_report *report)
{
    json_t *guests = json_array(), *pairs = json_array(), *domains = json_array();

    for (size_t i = 0; i < report->guest_count; i++)
        json_array_append_new(guests, guest_json(&report->guests[i]));
    for (size_t i = 0; i < report->pair_count; i++)
        json_array_append_new(pairs, pair_json(report, &report->pairs[i]));
    for (size_t i = 0; i < report->domain_count; i++)
        json_array_append_new(domains, domain_json(&report->domains[i]));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:I, s:o, s:o, s:o}", "pass",
                     (json_int_t)report->pass, "wall_s", (json_int_t)report->wall_s, "took_ms",
                     (json_int_t)report->took_ms, "cpu_ms", (json_int_t)report->cpu_ms,
                     "cpu_all_ms", (json_int_t)report->cpu_all_ms, "sample", (int)report->sample,
                     "table_bytes", (json_int_t)report->table_bytes, "compared",
                     (json_int_t)report->compared, "different", (json_int_t)report->different,
                     "guests", guests, "pairs", pairs, "domains", domains);
}
