/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The model's values as JSON. Sizes are integers in bytes; what is unknown is null. */
#include <memctl/wire.h>

static json_t *number(uint64_t value)
{
    return value == MC_UNKNOWN ? json_null() : json_integer((json_int_t)value);
}

json_t *mc_settings_to_json(const struct mc_settings *settings)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < MC_SETTING_COUNT; i++) {
        char text[MC_SETTING_TEXT];

        if (mc_settings_text(settings, i, text))
            json_object_set_new(object, mc_setting_name(i), json_string(text));
    }
    return object;
}

static json_t *stats_to_json(const struct mc_balloon_stats *stats)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "available",
                     number(stats->available), "unused", number(stats->unused), "usable",
                     number(stats->usable), "disk_caches", number(stats->disk_caches), "swap_in",
                     number(stats->swap_in), "swap_out", number(stats->swap_out), "major_faults",
                     number(stats->major_faults), "minor_faults", number(stats->minor_faults),
                     "last_update", number(stats->last_update));
}

/* What the guest said about its working set; null if it said nothing. */
static json_t *working_set_to_json(const struct mc_working_set *set)
{
    if (!set->found_ms)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:i, s:f}", "method", set->method, "active",
                     number(set->active), "read_cache", number(set->read_cache), "kernel",
                     number(set->kernel), "window_ms", number(set->window_ms), "confidence",
                     (int)set->confidence, "cost", set->cost / 1e6);
}

static json_t *agent_to_json(const struct mc_agent_report *agent)
{
    if (!agent->present)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "version", agent->version, "working_set",
                     working_set_to_json(&agent->working_set), "total", number(agent->total),
                     "free", number(agent->free), "available", number(agent->available), "stall_us",
                     number(agent->stall_us));
}

/* What the host saw of it; null if it did not look. */
static json_t *sample_to_json(const struct mc_host_sample *sample)
{
    if (!sample->found_ms)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:i, s:i, s:f}", "method", sample->method, "active",
                     number(sample->active), "least", number(sample->least), "most",
                     number(sample->most), "window_ms", number(sample->window_ms), "confidence",
                     (int)sample->confidence, "pages", (int)sample->pages, "cost",
                     sample->cost / 1e6);
}

static json_t *step_to_json(const struct mc_step *step)
{
    json_t *changes = json_array();

    for (unsigned i = 0; i < step->change_count; i++)
        json_array_append_new(changes, json_pack("{s:s, s:o, s:o}", "rule",
                                                 mc_rule_name(step->changes[i].rule), "from",
                                                 number(step->changes[i].from), "to",
                                                 number(step->changes[i].to)));
    return json_pack("{s:o, s:o, s:b, s:s, s:o, s:o, s:s}", "wish", number(step->wish), "target",
                     number(step->target), "sent", step->send, "reason",
                     mc_rule_name(mc_step_reason(step)), "changes", changes, "host_reclaim",
                     number(step->reclaim), "last_resort", mc_resort_step_name(step->resort));
}

static json_t *stopped_to_json(const struct mc_stopped *stopped)
{
    if (stopped->how == MC_LAST_RESORT_NONE)
        return json_null();
    return json_pack("{s:s, s:o, s:o}", "how", mc_last_resort_name(stopped->how), "at_s",
                     number(stopped->at_s), "size", number(stopped->size));
}

json_t *mc_guest_to_json(const struct mc_guest *guest, const struct mc_step *step)
{
    json_t *object = json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:b, s:b, s:s, s:b, s:b}", "name",
                               guest->name, "uuid", guest->uuid, "id", guest->run_id, "pid",
                               (int)guest->pid, "state", mc_guest_state_name(guest->state),
                               "exempt", mc_exempt_name(guest->exempt), "answers", guest->answers,
                               "fresh", guest->fresh, "distress", mc_distress_name(guest->distress),
                               "stuck", guest->stuck, "foreign", guest->foreign);

    if (!object)
        return NULL;
    json_object_update_new(object,
                           json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "memory",
                                     number(guest->memory), "actual", number(guest->actual), "rss",
                                     number(guest->rss), "overhead", number(guest->overhead),
                                     "held", number(guest->held), "used", number(guest->used),
                                     "active", number(guest->active), "active_source",
                                     mc_source_name(guest->active_source)));
    json_object_update_new(
        object,
        json_pack("{s:I, s:o, s:o, s:b, s:s, s:o, s:b, s:s, s:o}", "shares",
                  (json_int_t)guest->terms.shares, "min", number(guest->terms.min), "max",
                  number(guest->terms.max), "managed", guest->terms.managed, "last_resort",
                  mc_last_resort_name(guest->terms.last_resort), "cooldown_ms",
                  number(guest->terms.cooldown_ms), "dedupe", guest->terms.dedupe, "trust_domain",
                  guest->terms.trust_domain, "settings", mc_settings_to_json(&guest->own)));
    json_object_update_new(
        object, json_pack("{s:s, s:o, s:i, s:o}", "active_method", guest->active_method,
                          "active_window_ms", number(guest->active_window_ms), "active_confidence",
                          (int)guest->active_confidence, "sample", sample_to_json(&guest->sample)));
    json_object_set_new(object, "stopped", stopped_to_json(&guest->stopped));
    json_object_set_new(object, "balloon", stats_to_json(&guest->stats));
    json_object_set_new(object, "agent_channel", json_boolean(*guest->agent_socket));
    json_object_set_new(object, "agent", agent_to_json(&guest->agent));
    json_object_set_new(object, "plan", step ? step_to_json(step) : json_null());
    return object;
}

json_t *mc_host_to_json(const struct mc_host *host)
{
    json_t *pressure = json_null();

    if (host->pressure.present)
        pressure = json_pack("{s:f, s:f}", "some_avg10", host->pressure.some_avg10 / 100.0,
                             "full_avg10", host->pressure.full_avg10 / 100.0);
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "total", number(host->total), "available",
                     number(host->available), "swap_total", number(host->swap_total), "swap_free",
                     number(host->swap_free), "pressure", pressure);
}

json_t *mc_plan_to_json(const struct mc_plan *plan)
{
    json_t *object = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "budget",
                               number(plan->budget), "overheads", number(plan->overheads), "exempt",
                               number(plan->exempt), "reserve", number(plan->reserve), "strict",
                               number(plan->strict), "divided", number(plan->divided), "promised",
                               number(plan->promised), "held", number(plan->held));

    json_object_update_new(
        object,
        json_pack("{s:o, s:o, s:o, s:o, s:s}", "headroom", number(plan->headroom), "min_free",
                  number(plan->min_free), "surplus", number(plan->surplus), "deficit",
                  number(plan->deficit), "state", mc_host_state_name(plan->state)));
    json_object_update_new(object, json_pack("{s:s, s:o, s:o}", "host_reclaim",
                                             mc_reclaim_verdict_name(plan->reclaim_verdict),
                                             "host_reclaim_bytes", number(plan->reclaim), "stopped",
                                             number(plan->stopped)));
    json_object_update_new(
        object, json_pack("{s:o, s:o, s:o, s:o, s:o}", "pledged", number(plan->pledged), "spare",
                          number(plan->spare), "givable", number(plan->givable), "reserved",
                          number(plan->reserved), "overrun", number(plan->overrun)));
    return object;
}
