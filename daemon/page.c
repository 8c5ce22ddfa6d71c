/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page for people, and what it asks for while it is open. The page itself is one file without
 * anything from elsewhere, put together from daemon/page when memctld is built; its policy names
 * its one script and its one style by their hashes, so nothing else runs in it. The JSON is the
 * page's own and changes with it; programs use the control socket or the metrics.
 */
#include "page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <memctl/wire.h>

#include "control.h"
#include "dedupe.h"
#include "http.h"
#include "http_header.h"

#define JSON_TYPE "application/json"

/* As many as have series of their own; a page with more is of no use to anybody. */
#define GUESTS_SHOWN 4096
#define EVENTS_SHOWN 120

void answer_page(struct exchange *exchange, const struct daemon *daemon)
{
    bool packed = http_quality(exchange_field(exchange, "Accept-Encoding"), "gzip") > 0;
    const struct page_form *form = packed ? &page_gzip : &page_plain;
    struct evbuffer *body;

    (void)daemon;
    exchange_set(exchange, "Content-Security-Policy", page_policy);
    exchange_set(exchange, "Vary", "Accept-Encoding");
    if (exchange_is_known(exchange, form->etag))
        return;
    body = evbuffer_new();
    if (!body || evbuffer_add_reference(body, form->bytes, form->length, NULL, NULL) < 0) {
        exchange_fail(exchange, 503, "Service Unavailable: out of memory");
    } else {
        if (packed)
            exchange_set(exchange, "Content-Encoding", "gzip");
        exchange_reply(exchange, "text/html; charset=utf-8", body);
    }
    if (body)
        evbuffer_free(body);
}

void page_reply_text(struct exchange *exchange, const char *text)
{
    struct evbuffer *body = text ? evbuffer_new() : NULL;

    if (body && evbuffer_add(body, text, strlen(text)) == 0)
        exchange_reply(exchange, JSON_TYPE, body);
    else
        exchange_fail(exchange, 503, "Service Unavailable: out of memory");
    if (body)
        evbuffer_free(body);
}

void page_reply(struct exchange *exchange, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    page_reply_text(exchange, text);
    free(text);
}

/* ---- the host, the guests, what happened ---- */

static json_t *number(uint64_t value)
{
    return value == MC_UNKNOWN ? json_null() : json_integer((json_int_t)value);
}

static json_t *row(const struct daemon *daemon, size_t index, const struct mc_step *step)
{
    const struct mc_guest *guest = &daemon->snapshot.guests[index];
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b}", "name", guest->name, "uuid", guest->uuid,
        "state", mc_guest_state_name(guest->state), "exempt", mc_exempt_name(guest->exempt),
        "distress", mc_distress_name(guest->distress), "stuck", guest->stuck, "foreign",
        guest->foreign, "answers", guest->answers, "agent", guest->agent.present);

    json_object_update_new(
        object, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "memory",
                          number(guest->memory), "actual", number(guest->actual), "used",
                          number(guest->used), "active", number(guest->active), "held",
                          number(guest->held), "min", number(guest->terms.min), "max",
                          number(guest->terms.max), "shares", number(guest->terms.shares)));
    json_object_set_new(object, "equal_pages", dedupe_brief_json(daemon, guest->uuid, index));
    if (step)
        json_object_update_new(object, json_pack("{s:o, s:s}", "target", number(step->target),
                                                 "reason", mc_rule_name(mc_step_reason(step))));
    return object;
}

static json_t *rows(const struct daemon *daemon)
{
    json_t *list = json_array();

    for (size_t i = 0; i < daemon->snapshot.count && i < GUESTS_SHOWN; i++) {
        bool planned = daemon->has_plan && i < daemon->plan.count;

        json_array_append_new(list, row(daemon, i, planned ? &daemon->plan.steps[i] : NULL));
    }
    return list;
}

static json_t *last_events(const struct daemon *daemon, const char *guest, uint64_t count)
{
    struct events_question question = {0};
    json_t *page, *list;

    snprintf(question.guest, sizeof(question.guest), "%s", guest);
    events_tail(daemon->events, &question, count);
    page = events_page(daemon->events, &question);
    list = json_incref(json_object_get(page, "events"));
    json_decref(page);
    return list;
}

static json_t *state_json(const struct daemon *daemon)
{
    const struct link_state *link = &daemon->link;
    char machine[256] = "";
    json_t *object;

    gethostname(machine, sizeof(machine) - 1);
    object = json_pack("{s:s, s:s, s:I, s:I, s:s, s:b, s:b, s:b, s:s?, s:I}", "version",
                       MEMCTL_VERSION, "machine", machine, "uptime_s",
                       (json_int_t)((clock_now_ms() - daemon->started_ms) / 1000), "interval_ms",
                       (json_int_t)daemon->config.engine.interval_ms, "policy",
                       mc_policy_of(daemon->policies.current)->name, "dry_run",
                       daemon->config.dry_run, "paused", daemon->pauses.all, "connected", link->up,
                       "error", link->up || !*link->last_error.text ? NULL : link->last_error.text,
                       "running", (json_int_t)daemon->snapshot.count);
    json_object_set_new(object, "overcommit_percent",
                        json_integer(daemon->config.engine.overcommit_percent));
    json_object_set_new(object, "policy_refused", policies_refused_json(daemon));
    json_object_set_new(object, "host",
                        daemon->has_plan ? mc_host_to_json(&daemon->snapshot.host) : json_null());
    json_object_set_new(object, "plan",
                        daemon->has_plan ? mc_plan_to_json(&daemon->plan) : json_null());
    json_object_set_new(object, "guests", rows(daemon));
    json_object_set_new(object, "events", last_events(daemon, "", EVENTS_SHOWN));
    json_object_set_new(object, "spans_ms", page_spans(daemon));
    return object;
}

/* Nothing of the state changes but in a tick, with an event, or by a pause. */
void answer_state(struct exchange *exchange, const struct daemon *daemon)
{
    char etag[64];
    json_t *object;

    snprintf(etag, sizeof(etag), "\"%llx-%llx-%llx-%d%d\"", (unsigned long long)daemon->started_ms,
             (unsigned long long)daemon->counters.ticks,
             (unsigned long long)events_last(daemon->events), daemon->link.up, daemon->has_plan);
    if (exchange_is_known(exchange, etag) || exchange_is_stored(exchange, etag))
        return;
    object = state_json(daemon);
    exchange_store(exchange, JSON_TYPE, etag, json_dumps(object, JSON_COMPACT));
    json_decref(object);
}

/* ---- one guest ---- */

void answer_guest(struct exchange *exchange, const struct daemon *daemon)
{
    char uuid[MC_UUID_TEXT];
    const struct mc_guest *guest = NULL;

    if (exchange_parameter(exchange, "uuid", uuid, sizeof(uuid)))
        guest = mc_snapshot_find(&daemon->snapshot, uuid);
    if (!guest)
        exchange_fail(exchange, 404, "Not Found: no guest with this UUID is running");
    else
        page_reply(exchange, json_pack("{s:o, s:o}", "guest", guest_json(daemon, guest), "events",
                                       last_events(daemon, guest->uuid, EVENTS_SHOWN)));
}
