/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "simulate.h"

static json_t *number(uint64_t value)
{
    return value == MC_UNKNOWN ? json_null() : json_integer((json_int_t)value);
}

static void put_fare(json_t *object, const struct mc_fare *fare)
{
    json_object_set_new(object, "unmet_byte_seconds", number(fare->unmet));
    json_object_set_new(object, "squeezed_byte_seconds", number(fare->squeezed));
    json_object_set_new(object, "distress_ms", number(fare->distress_ms));
    json_object_set_new(object, "moved", number(fare->moved));
    json_object_set_new(object, "turns", number(fare->turns));
    json_object_set_new(object, "commands", number(fare->commands));
    json_object_set_new(object, "rises", number(fare->rises));
    json_object_set_new(object, "rises_never_met", number(fare->never));
    json_object_set_new(object, "met_after_ms_median", number(fare->median_ms));
    json_object_set_new(object, "met_after_ms_worst", number(fare->worst_ms));
}

static json_t *guest_moments(const struct mc_simulated_guest *guest, size_t count)
{
    json_t *moments = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(moments, json_pack("{s:I, s:I, s:I, s:I}", "actual",
                                                 (json_int_t)guest->moments[i].actual, "need",
                                                 (json_int_t)guest->moments[i].need, "held",
                                                 (json_int_t)guest->moments[i].held, "target",
                                                 (json_int_t)guest->moments[i].target));
    return moments;
}

static json_t *host_moments(const struct mc_simulation *run)
{
    json_t *moments = json_array();

    for (size_t i = 0; i < run->moment_count; i++) {
        const struct mc_host_moment *moment = &run->moments[i];

        json_array_append_new(
            moments,
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "at_ms", (json_int_t)moment->at_ms,
                      "budget", (json_int_t)moment->budget, "used", (json_int_t)moment->used,
                      "actual", (json_int_t)moment->actual, "need", (json_int_t)moment->need,
                      "held", (json_int_t)moment->held, "overhead", (json_int_t)moment->overhead));
    }
    return moments;
}

static json_t *guests_to_json(const struct mc_simulation *run)
{
    json_t *guests = json_array();

    for (size_t i = 0; i < run->count; i++) {
        json_t *guest = json_pack("{s:s, s:I}", "name", run->guests[i].name, "memory",
                                  (json_int_t)run->guests[i].memory);

        put_fare(guest, &run->guests[i].fare);
        if (run->moment_count)
            json_object_set_new(guest, "moments",
                                guest_moments(&run->guests[i], run->moment_count));
        json_array_append_new(guests, guest);
    }
    return guests;
}

json_t *simulate_to_json(const struct mc_simulation *run)
{
    json_t *object =
        json_pack("{s:s, s:s, s:I, s:I, s:I}", "title", run->title, "policy", run->policy,
                  "duration_ms", (json_int_t)run->duration_ms, "interval_ms",
                  (json_int_t)run->interval_ms, "host_memory", (json_int_t)run->host_memory);

    put_fare(object, &run->all);
    json_object_set_new(object, "overrun_byte_seconds", number(run->overrun));
    json_object_set_new(object, "overrun_most", number(run->overrun_most));
    json_object_set_new(object, "over_budget_byte_seconds", number(run->over_budget));
    json_object_set_new(object, "broken_promises", number(run->broken_promises));
    json_object_set_new(object, "guests", guests_to_json(run));
    if (run->moment_count)
        json_object_set_new(object, "moments", host_moments(run));
    return object;
}
