/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steer_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "steer_jobs.h"

#define WRITE_WITHIN_MS 5000
#define LOOK_WITHIN_MS 20000
/* A guest is looked at again when it changed, and now and then in any case. */
#define LOOK_EVERY_MS 600000
#define LOOK_AGAIN_MS 10000
/* After QEMU refused, or did not come back. */
#define HOLD_MS 600000
/* QEMU places the memory of a guest before libvirt says that it runs, but asks for a moment. */
#define LOOK_AGE_MS 500

/* ---- orders ---- */

static void looked(struct job *job);
static void look_late(struct job *job);

static bool keep_record(struct steer *steer)
{
    int rc = record_save(&steer->record);

    if (rc < 0 && !steer->record_failed)
        log_warning("nothing is steered: %s cannot be written, by which it could be put back: %s",
                    steer->record.file, strerror(-rc));
    steer->record_failed = rc < 0;
    return rc == 0;
}

static void begin_look(struct steer *steer, struct steered *known, enum mc_steer_switch order)
{
    const struct mc_guest *guest = mc_snapshot_find(&steer->daemon->snapshot, known->guest.uuid);
    const struct record_guest *noted = NULL;
    struct look *look;

    if (order != MC_STEER_LEAVE) {
        noted = guest ? record_note(&steer->record, guest, &known->backends,
                                    order == MC_STEER_SWITCH_ON)
                      : NULL;
        if (!noted || !keep_record(steer))
            return; /* what was noted and not done does no harm: it would be put back as it is */
    }
    look = calloc(1, sizeof(*look));
    if (!look)
        return;
    look->job = (struct job){
        .run = look_run, .done = looked, .late = look_late, .within_ms = LOOK_WITHIN_MS};
    look->steer = steer;
    memcpy(look->uuid, known->guest.uuid, sizeof(look->uuid));
    memcpy(look->name, known->guest.name, sizeof(look->name));
    look->run_id = known->run_id;
    look->pid = known->pid;
    look->order = order;
    if (noted)
        look->noted = *noted;
    known->busy = true;
    known->look_ms = UINT64_MAX;
    steer->looking = true;
    lanes_submit(steer->daemon->lanes, &look->job);
}

static struct event_facts facts_of(const struct look *look)
{
    return (struct event_facts){.uuid = look->uuid, .name = look->name, .reason = "merge"};
}

static void fail(struct steer *steer, struct steered *known, const struct look *look)
{
    const struct event_facts facts = facts_of(look);

    known->look_ms = clock_now_ms() + LOOK_AGAIN_MS;
    if (look->order == MC_STEER_LEAVE) {
        known->guest.looked &= look->job.rc == -EBUSY; /* what was seen still holds */
        return;
    }
    known->hold_ms = clock_now_ms() + HOLD_MS;
    known->guest.may_switch = false;
    events_add(steer->daemon->events, EVENT_MERGE_FAILED, &facts,
               "its merging cannot be switched %s: %s",
               look->order == MC_STEER_SWITCH_ON ? "on" : "off", look->job.err.text);
}

static void take_look(struct steer *steer, struct steered *known, const struct look *look)
{
    struct mc_steer_guest *guest = &known->guest;

    known->busy = false;
    if (look->run_id != known->run_id || look->pid != known->pid)
        return;
    known->look_ms = clock_now_ms() + LOOK_EVERY_MS;
    if (look->seen) {
        guest->looked = true;
        guest->mergeable = look->mergeable;
        guest->ram = look->ram;
        guest->beside = look->beside;
        known->backends = look->memory;
    }
    if (look->job.rc < 0) {
        fail(steer, known, look);
    } else if (look->order == MC_STEER_SWITCH_ON
                   ? look->mergeable < look->ram
                   : look->order == MC_STEER_SWITCH_OFF && look->mergeable) {
        known->hold_ms = clock_now_ms() + HOLD_MS; /* the kernel did not follow */
    }
}

static void looked(struct job *job)
{
    struct look *look = (struct look *)job;
    struct steer *steer = look->steer;
    struct steered *known = NULL;

    if (!job->is_late)
        steer->looking = false;
    if (job->rc != -ECANCELED && !steer->stopped)
        known = steer_known(steer, look->uuid);
    if (known) {
        take_look(steer, known, look);
        steer->survey_ms = 0;
        tick_wake(steer->daemon);
    }
    free(look);
}

/* It hangs; the others go on. */
static void look_late(struct job *job)
{
    struct look *look = (struct look *)job;
    struct steered *known = steer_known(look->steer, look->uuid);

    look->steer->looking = false;
    if (known)
        known->guest.looked = false;
}

static void wrote(struct job *job)
{
    struct knobs_job *knobs = (struct knobs_job *)job;
    struct steer *steer = knobs->steer;

    steer->writing = false;
    if (job->rc != -ECANCELED && !steer->stopped) {
        steer->survey_ms = 0;
        tick_wake(steer->daemon);
        if (job->rc < 0) {
            steer->foreign_ms = clock_now_ms() + STEER_FOREIGN_MS;
            events_add(steer->daemon->events, EVENT_MERGE_FAILED, NULL, "KSM cannot be set: %s",
                       job->err.text);
        }
    }
    free(knobs);
}

/* Only what is not as it should be; noted before it is changed. */
bool steer_write_knobs(struct steer *steer)
{
    const struct mc_ksm_knobs old = steer->record.old, ours = steer->record.ours;
    struct knobs_job *job = calloc(1, sizeof(*job));
    bool any = false;

    if (!job)
        return true;
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++) {
        uint64_t now = steer->ksm.knobs.value[i], wanted = steer->plan.knobs.value[i];

        job->knobs.value[i] = MC_UNKNOWN;
        /* Without its advisor the kernel goes back to its own default. */
        if (i == MC_KSM_PAGES_TO_SCAN && job->knobs.value[MC_KSM_ADVISOR_MODE] == 0)
            now = MC_UNKNOWN - 1;
        if (wanted == MC_UNKNOWN || now == MC_UNKNOWN || now == wanted)
            continue;
        job->knobs.value[i] = wanted;
        if (steer->record.ours.value[i] == MC_UNKNOWN)
            steer->record.old.value[i] = steer->ksm.knobs.value[i];
        steer->record.ours.value[i] = wanted;
        any = true;
    }
    if (any && !keep_record(steer)) {
        steer->record.old = old;
        steer->record.ours = ours;
    } else if (any) {
        job->job = (struct job){.run = knobs_run, .done = wrote, .within_ms = WRITE_WITHIN_MS};
        job->steer = steer;
        steer->writing = true;
        steer->fresh = false;
        steer->writes++;
        lanes_submit(steer->daemon->lanes, &job->job);
        return true;
    }
    free(job);
    return any;
}

static bool may_look(const struct steer *steer, const struct steered *known)
{
    const struct mc_guest *guest = mc_snapshot_find(&steer->daemon->snapshot, known->guest.uuid);

    return guest && !known->busy && known->surveyed && known->pid && guest->answers &&
           guest->known && guest->exempt != MC_EXEMPT_MIGRATING && guest->age_ms >= LOOK_AGE_MS;
}

/* First whoever is not known, then orders; off is before on by the decision itself. */
void steer_order_one(struct steer *steer)
{
    uint64_t now = clock_now_ms();

    for (size_t i = 0; i < steer->count; i++) {
        struct steered *known = &steer->guests[i];
        bool unknown = !known->guest.looked || !known->backends.count;
        bool due = (unknown && now >= known->look_ms) || known->guest.order != MC_STEER_LEAVE ||
                   now >= known->look_ms;

        /* A guest that is off is not asked, unless it has to be switched. */
        if (!due || !may_look(steer, known) ||
            (known->guest.looked && !known->guest.mergeable &&
             (!known->guest.wanted || !known->guest.mind.pays)))
            continue;
        if (unknown || known->guest.order == MC_STEER_LEAVE) {
            begin_look(steer, known, MC_STEER_LEAVE);
            return;
        }
        if (!steer->daemon->config.dry_run) {
            begin_look(steer, known, known->guest.order);
            return;
        }
    }
}
