/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "dedupe.h"
#include "log.h"
#include "steer_jobs.h"

#define SURVEY_EVERY_MS 2000
#define STRANGERS_EVERY_MS 15000
#define SURVEY_WITHIN_MS 5000
#define LOOK_WITHIN_MS 20000
/* A guest is looked at again when it changed, and now and then in any case. */
#define LOOK_EVERY_MS 600000
#define LOOK_AGAIN_MS 10000
/* After QEMU refused, or did not come back. */
#define HOLD_MS 600000
/* QEMU places the memory of a guest before libvirt says that it runs, but asks for a moment. */
#define LOOK_AGE_MS 500
/* Somebody else has set KSM's knobs: they are his for so long. */
#define FOREIGN_MS 600000
/* To part pages the host keeps this much beside. */
#define ROOM_KEPT (256 * MC_MIB)

struct steered {
    struct mc_steer_guest guest;
    int run_id, pid;
    bool seen, busy;
    uint64_t memory;
    uint64_t look_ms; /* when it is looked at again */
    uint64_t hold_ms; /* until then it is not switched */
    struct mc_guest_memory backends;
    bool has_process;
    struct mc_ksm_process process;
    enum mc_steer_reason told;
    bool was_on;
};

struct steer {
    struct daemon *daemon;
    bool stopped;
    struct steered *guests;
    size_t count;
    struct mc_steer_guest *decided; /* as they went into the decision, and came out */
    size_t decided_count;
    struct mc_steer_memory memory;
    struct mc_steer_plan plan;
    struct steer_record record;
    bool restoring, record_failed;
    uint64_t retry_ms; /* to put back what could not be */
    struct mc_ksm ksm;
    bool surveying, surveyed;
    uint64_t survey_ms, strangers_ms;
    bool knows_strangers, managed;
    unsigned strangers;
    double ksmd_seconds;
    bool writing, looking;
    uint64_t foreign_ms; /* KSM is somebody else's until then */
    char told_domain[MC_UUID_TEXT];
    enum mc_steer_pace told_pace;
    char told_why[MC_ERROR_TEXT / 2];
};

const char *steer_ksm_folder(void)
{
    const char *folder = secure_getenv("MEMCTL_KSM");

    return folder ? folder : MC_KSM_FOLDER;
}

static bool is_on(const struct steer *steer)
{
    return steer->daemon->config.dedupe.merge;
}

static struct steered *find(const struct steer *steer, const char *uuid)
{
    for (size_t i = 0; i < steer->count; i++)
        if (strcmp(steer->guests[i].guest.uuid, uuid) == 0)
            return &steer->guests[i];
    return NULL;
}

/* ---- the survey ---- */

static bool was_changed(const struct steer *steer, enum mc_ksm_knob knob, uint64_t now)
{
    uint64_t ours = steer->record.ours.value[knob];

    /* The advisor sets this one by itself. */
    if (knob == MC_KSM_PAGES_TO_SCAN && steer->ksm.knobs.value[MC_KSM_ADVISOR_MODE] == 1)
        return false;
    return ours != MC_UNKNOWN && now != MC_UNKNOWN && now != ours;
}

/* A knob that is not as it was left is his who changed it: it is not put back either. */
static void find_foreign_hand(struct steer *steer)
{
    const char *name = NULL;

    if (steer->writing)
        return;
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++) {
        if (!was_changed(steer, i, steer->ksm.knobs.value[i]))
            continue;
        name = mc_ksm_knob_name(i);
        steer->record.ours.value[i] = steer->record.old.value[i] = MC_UNKNOWN;
    }
    if (!name)
        return;
    record_save(&steer->record);
    steer->foreign_ms = clock_now_ms() + FOREIGN_MS;
    events_add(steer->daemon->events, EVENT_KSM_FOREIGN, NULL,
               "somebody else has changed %s of KSM; its knobs are left alone for %d min", name,
               FOREIGN_MS / 60000);
}

static void take_processes(struct steer *steer, const struct survey *survey)
{
    for (size_t i = 0; i < survey->count; i++) {
        struct steered *guest = find(steer, survey->processes[i].uuid);

        if (!guest || guest->pid != survey->processes[i].pid)
            continue;
        guest->has_process = survey->processes[i].seen;
        guest->process = survey->processes[i].process;
        /* What came since the last look, such as memory that was plugged in. */
        if (guest->process.tells && guest->process.mergeable && guest->guest.looked &&
            !guest->guest.mergeable && !guest->guest.beside && !guest->busy)
            guest->guest.looked = false, guest->look_ms = 0;
    }
}

static void surveyed(struct job *job)
{
    struct survey *survey = (struct survey *)job;
    struct steer *steer = survey->steer;

    if (job->rc != -ECANCELED && !steer->stopped) {
        steer->surveying = false;
        steer->surveyed = true;
        steer->ksm = survey->ksm;
        take_processes(steer, survey);
        find_foreign_hand(steer);
        if (survey->finds_strangers) {
            steer->knows_strangers = job->rc == 0;
            steer->strangers = survey->strangers;
            steer->ksmd_seconds = survey->ksmd_seconds;
            if (survey->managed && !steer->managed)
                events_add(steer->daemon->events, EVENT_KSM_FOREIGN, NULL,
                           "ksmtuned sets KSM on this host; memctld leaves it to that, stop one");
            steer->managed = survey->managed;
        }
    }
    free(survey->processes);
    free(survey);
}

/* Nobody knows who is mergeable now. */
static void survey_late(struct job *job)
{
    struct survey *survey = (struct survey *)job;

    survey->steer->knows_strangers = false;
}

static void begin_survey(struct steer *steer)
{
    uint64_t now = clock_now_ms();
    struct survey *survey;

    if (steer->surveying || now < steer->survey_ms)
        return;
    survey = calloc(1, sizeof(*survey));
    if (!survey)
        return;
    survey->processes = calloc(steer->count + 1, sizeof(*survey->processes));
    if (!survey->processes) {
        free(survey);
        return;
    }
    survey->job = (struct job){
        .run = survey_run, .done = surveyed, .late = survey_late, .within_ms = SURVEY_WITHIN_MS};
    survey->steer = steer;
    survey->finds_strangers = now >= steer->strangers_ms;
    for (size_t i = 0; i < steer->count; i++) {
        struct survey_process *process = &survey->processes[survey->count];

        if (!steer->guests[i].pid)
            continue;
        memcpy(process->uuid, steer->guests[i].guest.uuid, sizeof(process->uuid));
        process->pid = steer->guests[i].pid;
        survey->count++;
    }
    if (survey->finds_strangers)
        steer->strangers_ms = now + STRANGERS_EVERY_MS;
    steer->survey_ms = now + SURVEY_EVERY_MS;
    steer->surveying = true;
    lanes_submit(steer->daemon->lanes, &survey->job);
}

/* ---- following the guests ---- */

static struct steered *know(struct steer *steer, const struct mc_guest *guest)
{
    struct steered *known = find(steer, guest->uuid);

    if (known)
        return known;
    known = reallocarray(steer->guests, steer->count + 1, sizeof(*known));
    if (!known)
        return NULL;
    steer->guests = known;
    known = &steer->guests[steer->count++];
    *known = (struct steered){.run_id = guest->run_id, .told = MC_STEER_REASONS};
    memcpy(known->guest.uuid, guest->uuid, sizeof(known->guest.uuid));
    return known;
}

static bool may_switch(const struct mc_guest *guest, const struct steered *known)
{
    switch (guest->exempt) {
    case MC_EXEMPT_UNMANAGED:
    case MC_EXEMPT_MIGRATING:
    case MC_EXEMPT_OPERATOR:
        return false;
    default:
        return guest->known && guest->answers && clock_now_ms() >= known->hold_ms;
    }
}

static void take_report(struct steer *steer, struct steered *known, const struct mc_guest *seen)
{
    const struct mc_dedupe_report *report = dedupe_report(steer->daemon->dedupe);
    const struct mc_dedupe_guest *told = mc_dedupe_report_find(report, known->guest.uuid);
    const struct mc_dedupe_figures *figures = told ? &told->figures : NULL;
    struct mc_steer_guest *guest = &known->guest;

    guest->scanned = told && told->state == MC_DEDUPE_SCANNED;
    guest->fit = seen->exempt != MC_EXEMPT_LOCKED && seen->exempt != MC_EXEMPT_HUGE_PAGES &&
                 seen->exempt != MC_EXEMPT_PASSTHROUGH && (!guest->scanned || told->mergeable);
    if (!guest->scanned)
        return;
    guest->present = figures->present;
    guest->huge = figures->huge;
    guest->saving = figures->saving + figures->zero;
    guest->error = figures->error;
}

/* Its part of what is saved: pages of zeros, and of the others all but those that are kept. */
static uint64_t saved_by(const struct mc_ksm *ksm, const struct mc_ksm_process *process)
{
    uint64_t sharing = ksm->sharing == MC_UNKNOWN ? 0 : ksm->sharing;
    uint64_t shared = ksm->shared == MC_UNKNOWN ? 0 : ksm->shared;
    double part = sharing + shared ? (double)sharing / (double)(sharing + shared) : 0;

    return ((uint64_t)((double)process->merging * part) + process->zero_pages) * MC_PAGE;
}

static void follow_guest(struct steer *steer, struct steered *known, const struct mc_guest *guest)
{
    struct mc_steer_guest *its = &known->guest;
    bool moved = known->run_id != guest->run_id || known->pid != guest->pid ||
                 known->memory != guest->memory;

    known->seen = true;
    if (moved) {
        its->looked = false;
        known->has_process = false;
        known->look_ms = 0;
        if (known->run_id != guest->run_id)
            its->mind = (struct mc_steer_mind){0};
    }
    known->run_id = guest->run_id;
    known->pid = guest->pid;
    known->memory = guest->memory;
    memcpy(its->name, guest->name, sizeof(its->name));
    snprintf(its->domain, sizeof(its->domain), "%s",
             strcmp(guest->terms.trust_domain, MC_TRUST_OWN) == 0 ? guest->uuid
                                                                  : guest->terms.trust_domain);
    its->wanted = guest->terms.dedupe;
    its->may_switch = may_switch(guest, known);
    /* The kernel says that there is nothing: QEMU need not be asked. */
    if (known->has_process && known->process.tells && !known->process.mergeable && !known->busy)
        its->looked = true, its->mergeable = its->beside = 0;
    its->merging = known->has_process ? known->process.merging * MC_PAGE : 0;
    its->saved = known->has_process && its->looked && its->mergeable
                     ? saved_by(&steer->ksm, &known->process)
                     : 0;
    take_report(steer, known, guest);
}

static void follow_guests(struct steer *steer)
{
    const struct mc_snapshot *snapshot = &steer->daemon->snapshot;
    size_t kept = 0;

    for (size_t i = 0; i < steer->count; i++)
        steer->guests[i].seen = false;
    for (size_t i = 0; i < snapshot->count; i++) {
        struct steered *known = know(steer, &snapshot->guests[i]);

        if (known)
            follow_guest(steer, known, &snapshot->guests[i]);
    }
    for (size_t i = 0; i < steer->count; i++) {
        if (steer->guests[i].seen)
            steer->guests[kept++] = steer->guests[i];
        else if (record_find(&steer->record, steer->guests[i].guest.uuid))
            record_forget(&steer->record, steer->guests[i].guest.uuid);
    }
    steer->count = kept;
}

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
            return;
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
    struct steered *known =
        job->rc == -ECANCELED || steer->stopped ? NULL : find(steer, look->uuid);

    if (known) {
        if (!job->is_late)
            steer->looking = false;
        take_look(steer, known, look);
        steer->survey_ms = 0;
        tick_wake(steer->daemon);
    } else if (job->rc != -ECANCELED && !steer->stopped && !job->is_late) {
        steer->looking = false;
    }
    free(look);
}

/* It hangs; the others go on. */
static void look_late(struct job *job)
{
    struct look *look = (struct look *)job;
    struct steered *known = find(look->steer, look->uuid);

    look->steer->looking = false;
    if (known)
        known->guest.looked = false;
}

static void wrote(struct job *job)
{
    struct knobs_job *knobs = (struct knobs_job *)job;
    struct steer *steer = knobs->steer;

    if (job->rc != -ECANCELED && !steer->stopped) {
        steer->writing = false;
        steer->survey_ms = 0;
        if (job->rc < 0) {
            steer->foreign_ms = clock_now_ms() + FOREIGN_MS;
            events_add(steer->daemon->events, EVENT_MERGE_FAILED, NULL, "KSM cannot be set: %s",
                       job->err.text);
        }
    }
    free(knobs);
}

/* Only what is not as it should be; noted before it is changed. */
static bool write_knobs(struct steer *steer)
{
    struct knobs_job *job = calloc(1, sizeof(*job));
    bool any = false;

    if (!job)
        return true;
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++) {
        uint64_t now = steer->ksm.knobs.value[i], wanted = steer->plan.knobs.value[i];

        job->knobs.value[i] = MC_UNKNOWN;
        if (wanted == MC_UNKNOWN || now == MC_UNKNOWN || now == wanted)
            continue;
        job->knobs.value[i] = wanted;
        if (steer->record.ours.value[i] == MC_UNKNOWN)
            steer->record.old.value[i] = now;
        steer->record.ours.value[i] = wanted;
        any = true;
    }
    if (!any || !keep_record(steer)) {
        free(job);
        return any;
    }
    job->job = (struct job){.run = knobs_run, .done = wrote, .within_ms = SURVEY_WITHIN_MS};
    job->steer = steer;
    steer->writing = true;
    lanes_submit(steer->daemon->lanes, &job->job);
    return true;
}

/* ---- the round ---- */

static void decide(struct steer *steer)
{
    const struct daemon *daemon = steer->daemon;
    const struct mc_steer_config *config = &daemon->config.dedupe.steer;
    uint64_t now = clock_now_ms();
    struct mc_steer_host host = {
        .now_ms = now,
        .pass = dedupe_report(daemon->dedupe)->pass,
        .state = daemon->has_plan ? daemon->plan.state : MC_HOST_HIGH,
        .spare = mc_less_u64(daemon->snapshot.host.available, ROOM_KEPT),
        .starting = daemon->snapshot.pledged > 0,
        .looked = steer->knows_strangers,
        .strangers = steer->strangers,
        .hands_off = steer->managed || now < steer->foreign_ms || daemon->pauses.all,
        .ksm = steer->ksm,
    };
    struct mc_steer_guest *decided =
        reallocarray(steer->decided, steer->count + 1, sizeof(*decided));

    if (!decided)
        return;
    for (size_t i = 0; i < steer->count; i++)
        decided[i] = steer->guests[i].guest;
    mc_steer_decide(config, &host, decided, steer->count, &steer->memory, &steer->plan);
    for (size_t i = 0; i < steer->count; i++)
        steer->guests[i].guest = decided[i];
    steer->decided = decided;
    steer->decided_count = steer->count;
}

static void tell_guest(struct steer *steer, struct steered *known)
{
    const struct mc_steer_guest *guest = &known->guest;
    const struct event_facts facts = {
        .uuid = guest->uuid, .name = guest->name, .reason = mc_steer_reason_name(guest->reason)};
    bool on = guest->looked && guest->mergeable && guest->mergeable >= guest->ram;
    char promised[MC_SIZE_TEXT];

    if (known->told == guest->reason && known->was_on == on)
        return;
    known->told = guest->reason;
    if (known->was_on != on)
        events_add(steer->daemon->events, EVENT_MERGE, &facts, "%s; promised are %s: %s",
                   on ? "KSM may merge it" : "KSM merges it no more",
                   mc_size_format(promised, guest->mind.promised),
                   mc_steer_reason_text(guest->reason));
    known->was_on = on;
}

static void tell(struct steer *steer)
{
    for (size_t i = 0; i < steer->count; i++)
        if (steer->guests[i].guest.looked)
            tell_guest(steer, &steer->guests[i]);
    if (steer->told_pace == steer->plan.pace &&
        strcmp(steer->told_domain, steer->plan.domain) == 0 &&
        (steer->plan.pace != MC_STEER_BLOCKED || strcmp(steer->told_why, steer->plan.why) == 0))
        return;
    memcpy(steer->told_why, steer->plan.why, sizeof(steer->told_why));
    steer->told_pace = steer->plan.pace;
    snprintf(steer->told_domain, sizeof(steer->told_domain), "%s", steer->plan.domain);
    events_add(steer->daemon->events, EVENT_KSM, NULL, "KSM %s%s%.64s: %s",
               mc_steer_pace_name(steer->plan.pace),
               *steer->plan.domain ? " for trust domain " : "", steer->plan.domain,
               steer->plan.why);
}

static bool may_look(const struct steer *steer, const struct steered *known)
{
    const struct mc_guest *guest = mc_snapshot_find(&steer->daemon->snapshot, known->guest.uuid);

    return guest && !known->busy && known->pid && guest->answers && guest->known &&
           guest->exempt != MC_EXEMPT_MIGRATING && guest->age_ms >= LOOK_AGE_MS;
}

/* First whoever is not known, then orders; off is before on by the decision itself. */
static void order_one(struct steer *steer)
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

static void undo(struct steer *steer);

void steer_follow(struct steer *steer)
{
    if (!is_on(steer)) {
        undo(steer);
        return;
    }
    if (steer->restoring)
        return;
    follow_guests(steer);
    begin_survey(steer);
    if (!steer->surveyed)
        return;
    decide(steer);
    tell(steer);
    if (!steer->writing && (steer->daemon->config.dry_run || !write_knobs(steer)) &&
        !steer->looking)
        order_one(steer);
}

static void on_restored(void *opaque)
{
    struct steer *steer = opaque;

    steer->restoring = false;
    steer->retry_ms = clock_now_ms() + FOREIGN_MS; /* if anything is left */
}

/* The mode is not merge: what was done before is undone. */
static void undo(struct steer *steer)
{
    if (record_is_empty(&steer->record) || steer->writing || steer->looking || steer->restoring ||
        steer->daemon->config.dry_run || clock_now_ms() < steer->retry_ms) {
        steer->decided_count = 0;
        return;
    }
    steer->restoring = true;
    steer->memory = (struct mc_steer_memory){0};
    steer->told_pace = MC_STEER_PACES;
    steer->surveyed = false;
    steer->count = steer->decided_count = 0;
    events_add(steer->daemon->events, EVENT_KSM, NULL,
               "merging is not steered any more; KSM and guests are put back as they were");
    steer_restore_later(steer->daemon->lanes, &steer->record, on_restored, steer);
}

void steer_put_back(struct steer *steer)
{
    size_t left;

    if (!steer || steer->daemon->config.dry_run || record_is_empty(&steer->record))
        return;
    left = steer_restore(steer->daemon->base, steer->daemon->lanes, &steer->record, 10000);
    if (left)
        log_warning("%zu settings of page merging could not be put back; 'memctld --restore-ksm' "
                    "tries again",
                    left);
    else
        log_info("page merging is as it was before memctld steered it");
}

/* ---- for others ---- */

const struct mc_steer_plan *steer_plan(const struct steer *steer)
{
    return &steer->plan;
}

const struct mc_steer_guest *steer_guests(const struct steer *steer, size_t *count)
{
    *count = is_on(steer) ? steer->decided_count : 0;
    return steer->decided;
}

const struct mc_steer_guest *steer_find(const struct steer *steer, const char *uuid)
{
    size_t count;
    const struct mc_steer_guest *guests = steer_guests(steer, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(guests[i].uuid, uuid) == 0)
            return &guests[i];
    return NULL;
}

double steer_ksmd_seconds(const struct steer *steer)
{
    return steer->ksmd_seconds;
}

struct steer *steer_new(struct daemon *daemon)
{
    struct steer *steer = calloc(1, sizeof(*steer));
    char file[4096];

    if (!steer)
        return NULL;
    steer->daemon = daemon;
    steer->ksmd_seconds = -1;
    steer->told_pace = MC_STEER_PACES;
    steer_record_file(file, daemon->config.socket);
    if (record_load(&steer->record, file) == 0)
        return steer;
    free(steer);
    return NULL;
}

void steer_stop(struct steer *steer)
{
    if (steer)
        steer->stopped = true;
}

void steer_free(struct steer *steer)
{
    if (!steer)
        return;
    record_free(&steer->record);
    free(steer->guests);
    free(steer->decided);
    free(steer);
}
