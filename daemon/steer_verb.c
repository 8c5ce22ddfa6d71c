/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is told of the steering of page merging. */
#include "steer.h"

#include <string.h>

#include "daemon.h"

static const char *order_name(enum mc_steer_switch order)
{
    return order == MC_STEER_SWITCH_ON ? "on" : order == MC_STEER_SWITCH_OFF ? "off" : "leave";
}

static json_t *known_or_null(bool known, uint64_t value)
{
    return known ? json_integer((json_int_t)value) : json_null();
}

static json_t *one_json(const struct mc_steer_guest *guest)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I}", "name", guest->name,
                  "uuid", guest->uuid, "trust_domain", guest->domain, "reason",
                  mc_steer_reason_name(guest->reason), "why", mc_steer_reason_text(guest->reason),
                  "order", order_name(guest->order), "pays", guest->mind.pays, "promised",
                  (json_int_t)mc_max_u64(guest->mind.promised, mc_steer_saved(guest)), "saved",
                  (json_int_t)mc_steer_saved(guest), "splits", (json_int_t)guest->split, "cpu_ms",
                  (json_int_t)guest->cpu_ms);

    json_object_set_new(object, "foretold",
                        known_or_null(guest->mind.foretold, guest->mind.foretold));
    json_object_set_new(object, "dropped", json_integer((json_int_t)guest->dropped));
    json_object_set_new(object, "mergeable", known_or_null(guest->looked, guest->mergeable));
    json_object_set_new(object, "ram", known_or_null(guest->looked && guest->ram, guest->ram));
    json_object_set_new(object, "beside", known_or_null(guest->looked, guest->beside));
    return object;
}

static json_t *knobs_json(const struct mc_ksm_knobs *knobs)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        if (knobs->value[i] != MC_UNKNOWN)
            json_object_set_new(object, mc_ksm_knob_name(i),
                                json_integer((json_int_t)knobs->value[i]));
    return object;
}

json_t *steer_json(const struct daemon *daemon)
{
    const struct mc_steer_plan *plan = steer_plan(daemon->steer);
    double ksmd = steer_ksmd_seconds(daemon->steer);
    const struct mc_steer_guest *guests;
    json_t *list, *object;
    size_t count;

    if (!daemon->config.dedupe.merge)
        return json_null();
    list = json_array();
    guests = steer_guests(daemon->steer, &count);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, one_json(&guests[i]));
    object = json_pack("{s:s, s:s, s:s, s:I, s:I, s:i, s:o, s:o}", "trust_domain", plan->domain,
                       "pace", mc_steer_pace_name(plan->pace), "why", plan->why, "promised",
                       (json_int_t)plan->promised, "saved", (json_int_t)plan->saved, "cpu_percent",
                       (int)plan->cpu_percent, "knobs", knobs_json(&plan->knobs), "guests", list);
    json_object_set_new(object, "foretold", known_or_null(plan->foretold, plan->foretold));
    json_object_set_new(object, "pages_per_second",
                        json_integer((json_int_t)plan->pages_per_second));
    json_object_set_new(object, "speed_is_learned", json_boolean(plan->speed_is_learned));
    json_object_set_new(object, "ksmd_seconds", ksmd < 0 ? json_null() : json_real(ksmd));
    return object;
}

json_t *steer_guest_json(const struct daemon *daemon, const char *uuid)
{
    const struct mc_steer_guest *guest = steer_find(daemon->steer, uuid);

    return guest ? one_json(guest) : json_null();
}
