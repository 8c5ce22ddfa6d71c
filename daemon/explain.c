/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verb explain: all that decided about one guest in the last pass, as values. The sentences are
 * the client's.
 */
#include "control.h"

#include <memctl/wire.h>

#include "lookup.h"
#include "steer.h"

static json_t *last_json(const struct daemon *daemon, const struct mc_guest *guest, uint64_t now_ms)
{
    const struct watched *watched = watch_find(&daemon->watch, guest->uuid);
    const struct outcome *last = watched ? &watched->last : NULL;
    json_t *object;

    if (!last || last->state == OUTCOME_NONE)
        return json_null();
    object = json_pack("{s:s, s:b, s:I, s:I, s:s, s:I, s:s?}", "state", outcome_name(last->state),
                       "late", last->late, "from", (json_int_t)last->from, "to",
                       (json_int_t)last->to, "reason", mc_rule_name(last->reason), "age_ms",
                       (json_int_t)mc_less_u64(now_ms, last->sent_ms), "error",
                       *last->error ? last->error : NULL);
    json_object_set_new(object, "took_ms",
                        last->ended_ms
                            ? json_integer((json_int_t)mc_less_u64(last->ended_ms, last->sent_ms))
                            : json_null());
    return object;
}

static json_t *shrunk_json(const struct daemon *daemon, const struct mc_guest *guest,
                           uint64_t now_ms)
{
    const struct watched *watched = watch_find(&daemon->watch, guest->uuid);
    const struct shrunk *shrunk = watched ? &watched->shrunk : NULL;

    if (!shrunk || !shrunk->commands)
        return json_null();
    return json_pack("{s:I, s:I, s:i, s:I, s:I, s:s, s:I, s:I, s:s}", "from",
                     (json_int_t)shrunk->from, "to", (json_int_t)shrunk->to, "commands",
                     (int)shrunk->commands, "began_age_ms",
                     (json_int_t)mc_less_u64(now_ms, shrunk->began_ms), "age_ms",
                     (json_int_t)mc_less_u64(now_ms, shrunk->sent_ms), "reason",
                     mc_rule_name(shrunk->reason), "wish", (json_int_t)shrunk->wish, "divided",
                     (json_int_t)shrunk->divided, "state", mc_host_state_name(shrunk->state));
}

/* Among whom the policy divides. */
static json_t *rivals_json(const struct mc_snapshot *snapshot)
{
    json_int_t guests = 0, shares = 0, min = 0, max = 0;

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct mc_guest *guest = &snapshot->guests[i];

        if (guest->exempt != MC_EXEMPT_NO)
            continue;
        guests++;
        shares += (json_int_t)guest->terms.shares;
        min += (json_int_t)guest->terms.min;
        max += (json_int_t)guest->terms.max;
    }
    return json_pack("{s:I, s:I, s:I, s:I}", "guests", guests, "shares", shares, "min", min, "max",
                     max);
}

/* What the host took from it by itself, or could not. */
static json_t *took_json(const struct daemon *daemon, const struct mc_guest *guest, uint64_t now_ms)
{
    const struct watched *watched = watch_find(&daemon->watch, guest->uuid);

    if (!watched || !watched->took.last_ms)
        return json_null();
    return json_pack("{s:I, s:I, s:s?}", "bytes", (json_int_t)watched->took.bytes, "age_ms",
                     (json_int_t)mc_less_u64(now_ms, watched->took.last_ms), "error",
                     *watched->took.error ? watched->took.error : NULL);
}

static json_t *limits_json(const struct mc_engine_config *config)
{
    return json_pack(
        "{s:I, s:I, s:i, s:I, s:i, s:i}", "interval_ms", (json_int_t)config->interval_ms,
        "floor_margin", (json_int_t)config->floor_margin, "floor_percent",
        (int)config->floor_percent, "calm", (json_int_t)config->calm_bytes, "calm_percent",
        (int)config->calm_percent, "overcommit_percent", (int)config->overcommit_percent);
}

/* The guest's own clock is not asked. */
static json_t *statistics_age_json(const struct daemon *daemon, const struct mc_guest *guest,
                                   uint64_t now_ms)
{
    const struct watched *watched = watch_find(&daemon->watch, guest->uuid);

    if (!watched || !watched->stats_update)
        return json_null();
    return json_integer((json_int_t)mc_less_u64(now_ms, watched->stats_seen_ms));
}

static void explain_running(struct request *request, struct daemon *daemon, struct mc_guest *guest,
                            const json_t *args)
{
    uint64_t now_ms = clock_now_ms();
    uint64_t age_ms = mc_less_u64(now_ms, daemon->snapshot.now_ms);
    json_t *result = json_pack(
        "{s:o, s:I, s:b, s:b, s:b, s:s, s:o, s:o}", "guest", guest_json(daemon, guest), "age_ms",
        (json_int_t)age_ms, "connected", daemon->link.up, "dry_run", daemon->config.dry_run,
        "planned", daemon->has_plan, "policy", mc_policy_of(daemon->policies.current)->name,
        "limits", limits_json(&daemon->config.engine), "last", last_json(daemon, guest, now_ms));

    (void)args;
    if (result) {
        json_object_set_new(result, "statistics_age_ms",
                            statistics_age_json(daemon, guest, now_ms));
        json_object_set_new(result, "shrunk", shrunk_json(daemon, guest, now_ms));
        json_object_set_new(result, "rivals", rivals_json(&daemon->snapshot));
        json_object_set_new(result, "host_took", took_json(daemon, guest, now_ms));
        json_object_set_new(result, "merging", steer_guest_json(daemon, guest->uuid));
        json_object_set_new(result, "paused", pauses_json(&daemon->pauses));
        json_object_set_new(result, "plan",
                            daemon->has_plan ? mc_plan_to_json(&daemon->plan) : json_null());
    }
    request_reply(request, result);
}

static void explain_found(struct request *request, struct daemon *daemon, struct mc_snapshot *found,
                          const json_t *args)
{
    (void)daemon;
    (void)args;
    request_reply(request, json_pack("{s:o}", "guest", mc_guest_to_json(&found->guests[0], NULL)));
}

void handle_explain(struct request *request, struct daemon *daemon, const json_t *args)
{
    lookup_guest(request, daemon, args, explain_running, explain_found);
}
