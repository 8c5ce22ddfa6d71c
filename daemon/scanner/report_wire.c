/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A report on its way from memctl-scan to memctld, in packets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

/* Pairs in one packet; each is four numbers. */
#define PAIRS 512
#define PAIRS_MAX ((size_t)MC_DEDUPE_GUESTS_MAX * (MC_DEDUPE_GUESTS_MAX - 1) / 2)

/* The numbers of a structure, in one order for both sides. */
struct number {
    const char *key;
    size_t offset;
};

#define FIGURE(field)                                                                              \
    {                                                                                              \
#field, offsetof(struct mc_dedupe_figures, field)                                          \
    }

static const struct number figures[] = {
    FIGURE(present),  FIGURE(merged), FIGURE(swapped), FIGURE(scanned),
    FIGURE(huge),     FIGURE(zero),   FIGURE(inside),  FIGURE(across),
    FIGURE(changing), FIGURE(unique), FIGURE(saving),  FIGURE(error),
};

#define HEAD(field)                                                                                \
    {                                                                                              \
#field, offsetof(struct mc_dedupe_report, field)                                           \
    }

static const struct number heads[] = {
    HEAD(pass),        HEAD(took_ms),  HEAD(cpu_ms),    HEAD(cpu_all_ms),
    HEAD(table_bytes), HEAD(compared), HEAD(different),
};

#define LENGTH(table) (sizeof(table) / sizeof(*(table)))

static void put_numbers(json_t *object, const struct number *numbers, size_t count,
                        const void *structure)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value;

        memcpy(&value, (const char *)structure + numbers[i].offset, sizeof(value));
        json_object_set_new(object, numbers[i].key, json_integer((json_int_t)value));
    }
}

static bool take_number(const json_t *object, const char *key, uint64_t most, uint64_t *number)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > most)
        return false;
    *number = (uint64_t)json_integer_value(value);
    return true;
}

static bool take_numbers(const json_t *object, const struct number *numbers, size_t count,
                         void *structure)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value;

        if (!take_number(object, numbers[i].key, MC_SIZE_MAX, &value))
            return false;
        memcpy((char *)structure + numbers[i].offset, &value, sizeof(value));
    }
    return true;
}

static bool take_text(const json_t *object, const char *key, char *text, size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));

    if (!value || strlen(value) >= size)
        return false;
    memcpy(text, value, strlen(value) + 1);
    return true;
}

/* ---- sending ---- */

static json_t *head_message(const struct mc_dedupe_report *report)
{
    json_t *message =
        json_pack("{s:s, s:I, s:I, s:I, s:I}", "type", "report", "wall_s",
                  (json_int_t)report->wall_s, "sample", (json_int_t)report->sample, "guests",
                  (json_int_t)report->guest_count, "domains", (json_int_t)report->domain_count);

    put_numbers(message, heads, LENGTH(heads), report);
    return message;
}

static json_t *guest_message(const struct mc_dedupe_guest *guest)
{
    json_t *message = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:I}", "type", "guest", "uuid",
                                guest->uuid, "name", guest->name, "domain", guest->domain, "why",
                                guest->why, "state", (int)guest->state, "mergeable",
                                guest->mergeable, "passes", (json_int_t)guest->passes);

    put_numbers(message, figures, LENGTH(figures), &guest->figures);
    return message;
}

static json_t *domain_message(const struct mc_dedupe_domain *domain)
{
    return json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I}", "type", "domain", "name", domain->name,
                     "guests", (int)domain->guests, "scanned", (json_int_t)domain->scanned, "zero",
                     (json_int_t)domain->zero, "saving", (json_int_t)domain->saving, "error",
                     (json_int_t)domain->error);
}

static json_t *pairs_message(const struct mc_dedupe_pair *pairs, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("[I, I, I, I]", (json_int_t)pairs[i].a,
                                              (json_int_t)pairs[i].b, (json_int_t)pairs[i].shared,
                                              (json_int_t)pairs[i].error));
    return json_pack("{s:s, s:o}", "type", "pairs", "pairs", list);
}

static json_t *sketch_message(const char *uuid, const struct mc_sketch *sketch)
{
    json_t *hashes = json_array();

    /* JSON has signed numbers. */
    for (uint32_t i = 0; i < sketch->count; i++)
        json_array_append_new(hashes, json_integer((json_int_t)sketch->hashes[i]));
    return json_pack("{s:s, s:s, s:o}", "type", "sketch", "uuid", uuid, "hashes", hashes);
}

int scan_send_report(int fd, const struct mc_dedupe_report *report,
                     const struct mc_sketch *(*sketch)(const void *opaque, const char *uuid),
                     const void *opaque)
{
    int rc = scan_send(fd, head_message(report), NULL, 0);

    for (size_t i = 0; rc == 0 && i < report->guest_count; i++)
        rc = scan_send(fd, guest_message(&report->guests[i]), NULL, 0);
    for (size_t i = 0; rc == 0 && i < report->domain_count; i++)
        rc = scan_send(fd, domain_message(&report->domains[i]), NULL, 0);
    for (size_t i = 0; rc == 0 && i < report->pair_count; i += PAIRS)
        rc = scan_send(fd,
                       pairs_message(&report->pairs[i], mc_min_u64(PAIRS, report->pair_count - i)),
                       NULL, 0);
    for (size_t i = 0; rc == 0 && sketch && i < report->guest_count; i++) {
        const struct mc_sketch *taken = sketch(opaque, report->guests[i].uuid);

        if (taken)
            rc = scan_send(fd, sketch_message(report->guests[i].uuid, taken), NULL, 0);
    }
    return rc < 0 ? rc : scan_send(fd, json_pack("{s:s}", "type", "end"), NULL, 0);
}

/* ---- taking ---- */

void scan_inbox_free(struct scan_inbox *inbox)
{
    mc_dedupe_report_free(&inbox->report);
    free(inbox->sketches);
    *inbox = (struct scan_inbox){0};
}

static int take_head(struct scan_inbox *inbox, const json_t *message)
{
    struct mc_dedupe_report *report = &inbox->report;
    uint64_t guests, domains, wall_s, sample;

    scan_inbox_free(inbox);
    if (!take_numbers(message, heads, LENGTH(heads), report) ||
        !take_number(message, "guests", MC_DEDUPE_GUESTS_MAX, &guests) ||
        !take_number(message, "domains", guests, &domains) ||
        !take_number(message, "wall_s", INT64_MAX, &wall_s) ||
        !take_number(message, "sample", UINT32_MAX, &sample) || !sample)
        return -EPROTO;
    report->wall_s = (int64_t)wall_s;
    report->sample = (uint32_t)sample;
    report->guests = calloc(guests + 1, sizeof(*report->guests));
    report->domains = calloc(domains + 1, sizeof(*report->domains));
    inbox->sketches = calloc(guests + 1, sizeof(*inbox->sketches));
    if (!report->guests || !report->domains || !inbox->sketches)
        return -ENOMEM;
    inbox->begun = true;
    /* The counts are room until they are reached; the ends are marked by them. */
    inbox->guest_room = guests;
    inbox->domain_room = domains;
    return 0;
}

static int take_guest(struct scan_inbox *inbox, const json_t *message)
{
    struct mc_dedupe_guest *guest = &inbox->report.guests[inbox->report.guest_count];
    uint64_t state;

    if (inbox->report.guest_count == inbox->guest_room ||
        !take_text(message, "uuid", guest->uuid, sizeof(guest->uuid)) ||
        !take_text(message, "name", guest->name, sizeof(guest->name)) ||
        !take_text(message, "domain", guest->domain, sizeof(guest->domain)) ||
        !take_text(message, "why", guest->why, sizeof(guest->why)) ||
        !take_number(message, "state", MC_DEDUPE_FAILED, &state) ||
        !take_number(message, "passes", INT64_MAX, &guest->passes) ||
        !take_numbers(message, figures, LENGTH(figures), &guest->figures))
        return -EPROTO;
    guest->state = (enum mc_dedupe_state)state;
    guest->mergeable = json_is_true(json_object_get(message, "mergeable"));
    inbox->report.guest_count++;
    return 0;
}

static int take_domain(struct scan_inbox *inbox, const json_t *message)
{
    struct mc_dedupe_domain *domain = &inbox->report.domains[inbox->report.domain_count];
    uint64_t guests;

    if (inbox->report.domain_count == inbox->domain_room ||
        !take_text(message, "name", domain->name, sizeof(domain->name)) ||
        !take_number(message, "guests", MC_DEDUPE_GUESTS_MAX, &guests) ||
        !take_number(message, "scanned", MC_SIZE_MAX, &domain->scanned) ||
        !take_number(message, "zero", MC_SIZE_MAX, &domain->zero) ||
        !take_number(message, "saving", MC_SIZE_MAX, &domain->saving) ||
        !take_number(message, "error", MC_SIZE_MAX, &domain->error))
        return -EPROTO;
    domain->guests = (uint32_t)guests;
    inbox->report.domain_count++;
    return 0;
}

static int take_pair(const struct scan_inbox *inbox, const json_t *item,
                     struct mc_dedupe_pair *pair)
{
    json_int_t a, b, shared, error;

    if (json_unpack((json_t *)item, "[I, I, I, I]", &a, &b, &shared, &error) < 0 || a < 0 ||
        b <= a || (uint64_t)b >= inbox->report.guest_count || shared < 0 || error < 0)
        return -EPROTO;
    *pair = (struct mc_dedupe_pair){(uint32_t)a, (uint32_t)b, (uint64_t)shared, (uint64_t)error};
    return 0;
}

static int take_pairs(struct scan_inbox *inbox, const json_t *message)
{
    const json_t *list = json_object_get(message, "pairs");
    struct mc_dedupe_report *report = &inbox->report;
    size_t count = json_array_size(list);

    if (count > PAIRS_MAX - report->pair_count)
        return -EPROTO;
    if (report->pair_count + count > inbox->pair_room) {
        size_t room = 2 * (report->pair_count + count);
        struct mc_dedupe_pair *pairs = reallocarray(report->pairs, room, sizeof(*pairs));

        if (!pairs)
            return -ENOMEM;
        report->pairs = pairs;
        inbox->pair_room = room;
    }
    for (size_t i = 0; i < count; i++)
        if (take_pair(inbox, json_array_get(list, i), &report->pairs[report->pair_count++]) < 0)
            return -EPROTO;
    return 0;
}

static int take_sketch(struct scan_inbox *inbox, const json_t *message)
{
    const json_t *hashes = json_object_get(message, "hashes");
    const char *uuid = json_string_value(json_object_get(message, "uuid"));
    const struct mc_dedupe_guest *guest = uuid ? mc_dedupe_report_find(&inbox->report, uuid) : NULL;
    struct mc_sketch *sketch;

    if (!guest || json_array_size(hashes) > MC_SKETCH_SIZE)
        return -EPROTO;
    sketch = &inbox->sketches[guest - inbox->report.guests];
    sketch->count = (uint32_t)json_array_size(hashes);
    for (uint32_t i = 0; i < sketch->count; i++) {
        sketch->hashes[i] = (uint64_t)json_integer_value(json_array_get(hashes, i));
        if (i && sketch->hashes[i] <= sketch->hashes[i - 1])
            return -EPROTO;
    }
    return 0;
}

static int take_end(struct scan_inbox *inbox, const json_t *message)
{
    (void)message;
    return inbox->report.guest_count == inbox->guest_room &&
                   inbox->report.domain_count == inbox->domain_room
               ? 1
               : -EPROTO;
}

int scan_take_part(struct scan_inbox *inbox, const json_t *message)
{
    static const struct {
        const char *type;
        int (*take)(struct scan_inbox *inbox, const json_t *message);
    } parts[] = {
        {"report", take_head}, {"guest", take_guest},   {"domain", take_domain},
        {"pairs", take_pairs}, {"sketch", take_sketch}, {"end", take_end},
    };
    const char *type = json_string_value(json_object_get(message, "type"));

    for (size_t i = 0; type && i < LENGTH(parts); i++)
        if (strcmp(type, parts[i].type) == 0)
            return i == 0 || inbox->begun ? parts[i].take(inbox, message) : -EPROTO;
    return -EPROTO;
}
