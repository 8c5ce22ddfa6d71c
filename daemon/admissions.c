/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "admissions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/admission.h>

#include "control.h"

#define ADMISSIONS_MAX 64

/* Without an end, a start that failed would keep its room for ever. */
#define HOLD_MS 60000
#define HOLD_MOST_MS 3600000
#define WAIT_MOST_MS 600000

/* A pass that does not come, because the hypervisor hangs, is not waited for longer. */
#define PASS_WITHIN_MS 5000

struct admission {
    struct daemon *daemon;
    struct request *request; /* NULL once it was answered */
    struct event *deadline;
    char uuid[MC_UUID_TEXT], name[MC_NAME_TEXT]; /* of the guest, "" if that was not said */
    uint64_t bytes; /* that are kept free for it, QEMU's own included */
    uint64_t min;   /* its reservation, likewise */
    uint64_t asked_ms, wait_until_ms, ends_ms, hold_ms;
    bool forced;
    struct admission *next;
};

/* ---- the end of a pledge ---- */

static void drop(struct admission **link)
{
    struct admission *admission = *link;

    *link = admission->next;
    admission->daemon->admissions.count--;
    if (admission->deadline)
        event_free(admission->deadline);
    free(admission);
}

static struct admission **link_of(struct admission *admission)
{
    struct admission **link = &admission->daemon->admissions.list;

    while (*link != admission)
        link = &(*link)->next;
    return link;
}

void admissions_free(struct admissions *admissions)
{
    const struct mc_error err = {.code = -ECANCELED, .text = "memctld stops"};

    while (admissions->list) {
        if (admissions->list->request)
            request_fail(admissions->list->request, &err);
        drop(&admissions->list);
    }
}

static bool runs(const struct admission *admission, const struct mc_snapshot *snapshot)
{
    if (*admission->uuid)
        return mc_snapshot_find(snapshot, admission->uuid);
    return *admission->name && mc_snapshot_find_named(snapshot, admission->name);
}

/* ---- answers ---- */

static struct event_facts facts_of(const struct admission *admission)
{
    return (struct event_facts){.uuid = *admission->uuid ? admission->uuid : NULL,
                                .name = *admission->name ? admission->name : NULL};
}

static void admit(struct admission *admission, uint64_t now_ms)
{
    const struct event_facts facts = facts_of(admission);
    char size[MC_SIZE_TEXT];

    events_add(admission->daemon->events, EVENT_ADMITTED, &facts, "%s kept free for a start%s",
               mc_size_format(size, admission->bytes), admission->forced ? ", forced" : "");
    request_reply(admission->request,
                  json_pack("{s:b, s:I, s:I, s:I, s:I}", "forced", admission->forced, "pledged",
                            (json_int_t)admission->bytes, "reserved", (json_int_t)admission->min,
                            "waited_ms", (json_int_t)(now_ms - admission->asked_ms), "hold_ms",
                            (json_int_t)admission->hold_ms));
    admission->request = NULL;
    event_del(admission->deadline);
    admission->ends_ms = now_ms + admission->hold_ms;
}

static void refuse(const struct admission *admission, const struct mc_plan *plan, const char *why)
{
    const struct event_facts facts = facts_of(admission);
    char needed[MC_SIZE_TEXT], spare[MC_SIZE_TEXT], other[MC_SIZE_TEXT];
    bool is_free = plan->spare >= admission->bytes;
    struct mc_error err;

    mc_size_format(needed, admission->bytes);
    mc_size_format(spare, plan->spare);
    if (is_free)
        mc_error_set(&err, -ENOSPC,
                     "no room for %s (QEMU included)%s: %s is free, but the other guests were "
                     "promised %s more than there is, and did not give it back so far; wait for it "
                     "with --wait, or use --force",
                     needed, why, spare,
                     mc_size_format(other, mc_less_u64(plan->promised, plan->divided)));
    else
        mc_error_set(&err, -ENOSPC,
                     "no room for %s (QEMU included)%s: %s is free, and the other guests can give "
                     "%s without harm; stop a guest, lower some min, or use --force",
                     needed, why, spare, mc_size_format(other, plan->givable));
    events_add(admission->daemon->events, EVENT_NOT_ADMITTED, &facts,
               "no room for %s: %s free, %s %s", needed, spare, other,
               is_free ? "promised to others beyond that" : "can be made");
    request_fail(admission->request, &err);
}

/* One whose client has gone needs no room. False if the admission is gone. */
static bool answer(struct admission *admission, const struct mc_plan *plan, uint64_t pledged)
{
    enum mc_admission verdict = mc_admission_judge(plan, pledged);
    uint64_t now_ms = clock_now_ms();
    bool waits = now_ms < admission->wait_until_ms;

    if (!request_is_alive(admission->request)) {
        request_reply(admission->request, NULL);
        drop(link_of(admission));
        return false;
    }
    if (verdict == MC_ADMISSION_FITS || (admission->forced && !waits))
        admit(admission, now_ms);
    else if (!waits || (verdict == MC_ADMISSION_CANNOT_FIT && !admission->forced)) {
        refuse(admission, plan, verdict == MC_ADMISSION_CAN_FIT ? " yet" : "");
        drop(link_of(admission));
        return false;
    }
    return true;
}

void admissions_answer(struct admissions *admissions, const struct mc_plan *plan)
{
    struct admission *next;
    uint64_t pledged = 0;

    for (struct admission *admission = admissions->list; admission; admission = next) {
        uint64_t bytes = admission->bytes;

        next = admission->next;
        if (!admission->request || answer(admission, plan, pledged + bytes))
            pledged += bytes;
    }
}

void admissions_apply(struct admissions *admissions, struct mc_snapshot *snapshot)
{
    uint64_t now_ms = clock_now_ms();

    for (struct admission **link = &admissions->list; *link;) {
        struct admission *admission = *link;

        if (!admission->request && (runs(admission, snapshot) || now_ms >= admission->ends_ms)) {
            drop(link);
            continue;
        }
        snapshot->pledged += admission->bytes;
        link = &admission->next;
    }
}

/* No pass came: the hypervisor does not answer, and nobody knows what there is. */
static void on_deadline(evutil_socket_t fd, short what, void *opaque)
{
    struct admission *admission = opaque;
    struct mc_error err;

    (void)fd;
    (void)what;
    mc_error_set(&err, -ETIMEDOUT, "the guests' statistics do not come; 'memctl status' tells why");
    request_fail(admission->request, &err);
    drop(link_of(admission));
}

/* ---- the verb ---- */

static int read_size(const json_t *args, const char *key, uint64_t most, uint64_t otherwise,
                     uint64_t *value, struct mc_error *err)
{
    const json_t *number = json_object_get(args, key);

    *value = otherwise;
    if (!number || json_is_null(number))
        return 0;
    if (!json_is_integer(number) || json_integer_value(number) < 0 ||
        (uint64_t)json_integer_value(number) > most)
        return mc_error_set(err, -ERANGE, "%s is not a number from 0 to %llu", key,
                            (unsigned long long)most);
    *value = (uint64_t)json_integer_value(number);
    return 0;
}

static void read_text(const json_t *args, const char *key, char *text, size_t size)
{
    const char *said = json_string_value(json_object_get(args, key));

    snprintf(text, size, "%s", said ? said : "");
}

/* What holds for a guest of that name without a word about its reservation. */
static uint64_t usual_min(const struct config *config, const char *name, uint64_t memory)
{
    const struct mc_settings nothing = {0};
    struct mc_settings settings = config_settings_for(config, name, &nothing);

    return mc_settings_resolve(&settings, memory).min;
}

static int read_admission(struct daemon *daemon, const json_t *args, struct admission *admission,
                          struct mc_error *err)
{
    uint64_t overhead = mc_admission_overhead(&daemon->snapshot), wait_ms;

    if (read_size(args, "size", MC_SIZE_MAX, 0, &admission->bytes, err) < 0)
        return -ERANGE;
    read_text(args, "name", admission->name, sizeof(admission->name));
    read_text(args, "uuid", admission->uuid, sizeof(admission->uuid));
    if (read_size(args, "min", MC_SIZE_MAX,
                  usual_min(&daemon->config, admission->name, admission->bytes), &admission->min,
                  err) < 0 ||
        read_size(args, "wait_ms", WAIT_MOST_MS, 0, &wait_ms, err) < 0 ||
        read_size(args, "hold_ms", HOLD_MOST_MS, HOLD_MS, &admission->hold_ms, err) < 0)
        return -ERANGE;
    admission->daemon = daemon;
    admission->bytes += overhead;
    admission->min += overhead;
    admission->forced = json_is_true(json_object_get(args, "force"));
    admission->asked_ms = clock_now_ms();
    admission->wait_until_ms = admission->asked_ms + wait_ms;
    return 0;
}

/* A reservation that cannot be kept is not made, whatever is free now. */
static int check_reservation(const struct daemon *daemon, const struct admission *wanted,
                             struct mc_error *err)
{
    char min[MC_SIZE_TEXT], sum[MC_SIZE_TEXT], budget[MC_SIZE_TEXT];
    uint64_t reserved = daemon->plan.reserved;

    if (!daemon->has_plan || !daemon->link.up)
        return mc_error_set(err, -EBUSY,
                            "memctld knows nothing of the guests yet; 'memctl status' tells why");
    for (const struct admission *other = daemon->admissions.list; other; other = other->next)
        reserved += other->min;
    if (wanted->forced || reserved + wanted->min <= daemon->plan.budget)
        return 0;
    return mc_error_set(err, -ENOSPC,
                        "a reservation of %s (QEMU included) does not fit: %s of the budget of %s "
                        "are reserved; lower its min or another guest's, or use --force",
                        mc_size_format(min, wanted->min), mc_size_format(sum, reserved),
                        mc_size_format(budget, daemon->plan.budget));
}

static int begin(const struct admission *wanted, struct mc_error *err)
{
    struct daemon *daemon = wanted->daemon;
    uint64_t within_ms = wanted->wait_until_ms - wanted->asked_ms + PASS_WITHIN_MS;
    const struct timeval within = {.tv_sec = (time_t)(within_ms / 1000),
                                   .tv_usec = (suseconds_t)(within_ms % 1000 * 1000)};
    struct admission **end = &daemon->admissions.list;
    struct admission *admission;

    if (daemon->admissions.count == ADMISSIONS_MAX)
        return mc_error_set(err, -EBUSY, "%d guests are about to start already", ADMISSIONS_MAX);
    admission = malloc(sizeof(*admission));
    if (!admission)
        return mc_error_set(err, -ENOMEM, "out of memory");
    *admission = *wanted;
    admission->deadline = evtimer_new(daemon->base, on_deadline, admission);
    if (!admission->deadline || evtimer_add(admission->deadline, &within) < 0) {
        if (admission->deadline)
            event_free(admission->deadline);
        free(admission);
        return mc_error_set(err, -ENOMEM, "out of memory");
    }
    while (*end)
        end = &(*end)->next;
    *end = admission;
    daemon->admissions.count++;
    tick_wake(daemon);
    return 0;
}

/* A question that will not wait moves nothing where the answer is plain. */
static bool is_plainly_too_much(const struct daemon *daemon, const struct admission *wanted)
{
    return !wanted->forced && wanted->wait_until_ms == wanted->asked_ms &&
           daemon->plan.spare < daemon->plan.pledged + wanted->bytes;
}

void handle_admit(struct request *request, struct daemon *daemon, const json_t *args)
{
    struct admission wanted = {.request = request};
    struct mc_error err;

    if (read_admission(daemon, args, &wanted, &err) < 0 ||
        check_reservation(daemon, &wanted, &err) < 0) {
        request_fail(request, &err);
        return;
    }
    if (is_plainly_too_much(daemon, &wanted)) {
        refuse(&wanted, &daemon->plan, " now");
        return;
    }
    if (begin(&wanted, &err) < 0)
        request_fail(request, &err);
}
