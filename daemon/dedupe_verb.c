/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the page-dedupe scanner found, over the control socket. */
#include "control.h"

#include <errno.h>
#include <string.h>

#include "dedupe.h"
#include "steer.h"

static json_t *scanner_json(const struct daemon *daemon)
{
    const struct scanner_state *state = dedupe_scanner(daemon->dedupe);

    return json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s?}", "mode",
                     daemon->config.dedupe.merge  ? "merge"
                     : daemon->config.dedupe.scan ? "scan"
                                                  : "off",
                     "running", state->running, "service", state->is_service, "pid",
                     (json_int_t)state->pid, "starts", (json_int_t)state->starts, "kills",
                     (json_int_t)state->kills, "met", (json_int_t)state->met, "all",
                     (json_int_t)state->all, "cpu_ms", (json_int_t)(state->cpu_us / 1000), "memory",
                     (json_int_t)state->memory, "last_end",
                     *state->last_end ? state->last_end : NULL);
}

static json_t *brief_json(const struct daemon *daemon, const struct mc_dedupe_guest *guest)
{
    const struct mc_steer_guest *steered =
        daemon->config.dedupe.merge ? steer_find(daemon->steer, guest->uuid) : NULL;
    json_t *object =
        json_pack("{s:I, s:I, s:I}", "merged", (json_int_t)guest->figures.merged, "saving",
                  (json_int_t)guest->figures.saving, "error", (json_int_t)guest->figures.error);

    json_object_set_new(object, "saved",
                        steered ? json_integer((json_int_t)mc_steer_saved(steered)) : json_null());
    return object;
}

json_t *dedupe_brief_json(const struct daemon *daemon, const char *uuid, size_t place)
{
    const struct mc_dedupe_report *report = dedupe_report(daemon->dedupe);
    size_t count = report->guest_count, last = count ? count - 1 : 0;

    if (place > last)
        place = last;
    for (size_t i = 0; i < count; i++) {
        /* A report has no guests that the snapshot has not, so it is there or before. */
        const struct mc_dedupe_guest *guest = &report->guests[(place + count - i) % count];

        if (strcmp(guest->uuid, uuid) == 0)
            return guest->state == MC_DEDUPE_SCANNED ? brief_json(daemon, guest) : json_null();
    }
    return json_null();
}

void handle_dedupe(struct request *request, struct daemon *daemon, const json_t *args)
{
    const struct mc_dedupe_report *report = dedupe_report(daemon->dedupe);

    (void)args;
    request_reply(request,
                  json_pack("{s:o, s:o, s:o}", "scanner", scanner_json(daemon), "merging",
                            steer_json(daemon), "report",
                            report->pass ? mc_dedupe_report_to_json(report) : json_null()));
}

static json_t *sketch_json(const struct mc_dedupe_guest *guest, const struct mc_sketch *sketch)
{
    const struct mc_dedupe_figures *figures = &guest->figures;
    json_t *hashes = json_array();

    for (uint32_t i = 0; i < sketch->count; i++)
        json_array_append_new(hashes, json_integer((json_int_t)sketch->hashes[i]));
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "name", guest->name, "uuid", guest->uuid,
                     "scanned", (json_int_t)figures->scanned, "zero", (json_int_t)figures->zero,
                     "hashes", hashes);
}

/* The sketches of all guests, or of one: {"guest": name or UUID}. */
void handle_dedupe_sketch(struct request *request, struct daemon *daemon, const json_t *args)
{
    const char *wanted = json_string_value(json_object_get(args, "guest"));
    const struct mc_dedupe_report *report = dedupe_report(daemon->dedupe);
    json_t *guests = json_array();
    struct mc_error err;

    for (size_t i = 0; i < report->guest_count; i++) {
        const struct mc_dedupe_guest *guest = &report->guests[i];
        const struct mc_sketch *sketch = dedupe_sketch(daemon->dedupe, guest->uuid);

        if (sketch &&
            (!wanted || strcmp(wanted, guest->name) == 0 || strcmp(wanted, guest->uuid) == 0))
            json_array_append_new(guests, sketch_json(guest, sketch));
    }
    if (json_array_size(guests)) {
        request_reply(request, json_pack("{s:o}", "guests", guests));
        return;
    }
    json_decref(guests);
    if (!*daemon->config.dedupe.sketch_key)
        mc_error_set(&err, -EINVAL,
                     "there are no sketches; set sketch-key under [dedupe] in memctld.conf to a "
                     "file with a key");
    else
        mc_error_set(&err, -ENOENT,
                     "there is no sketch%s%.64s yet; one is taken with every pass of the scanner",
                     wanted ? " of " : "", wanted ? wanted : "");
    request_fail(request, &err);
}
