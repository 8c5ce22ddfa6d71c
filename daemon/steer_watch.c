/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steer_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dedupe.h"
#include "steer_jobs.h"

#define SURVEY_EVERY_MS 2000
#define STRANGERS_EVERY_MS 15000
#define SURVEY_WITHIN_MS 5000

struct steered *steer_known(const struct steer *steer, const char *uuid)
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

    for (unsigned i = 0; i < MC_KSM_KNOBS; i++) {
        if (!was_changed(steer, i, steer->ksm.knobs.value[i]))
            continue;
        name = mc_ksm_knob_name(i);
        steer->record.ours.value[i] = steer->record.old.value[i] = MC_UNKNOWN;
    }
    if (!name)
        return;
    record_save(&steer->record);
    steer->foreign_ms = clock_now_ms() + STEER_FOREIGN_MS;
    events_add(steer->daemon->events, EVENT_KSM_FOREIGN, NULL,
               "somebody else has changed %s of KSM; its knobs are left alone for %d min", name,
               STEER_FOREIGN_MS / 60000);
}

static void take_processes(struct steer *steer, const struct survey *survey)
{
    for (size_t i = 0; i < survey->count; i++) {
        struct steered *guest = steer_known(steer, survey->processes[i].uuid);

        if (!guest || guest->pid != survey->processes[i].pid)
            continue;
        guest->surveyed = true;
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
        take_processes(steer, survey);
        if (survey->writes == steer->writes && !steer->writing) {
            steer->ksm = survey->ksm;
            steer->ksmd_us = survey->ksmd_us; /* of the same moment: its speed follows from both */
            find_foreign_hand(steer);
            if (!steer->fresh)
                tick_wake(steer->daemon);
            steer->fresh = true;
        }
        steer->ksmd_pid = survey->ksmd_pid;
        if (survey->finds_strangers) {
            steer->knows_strangers = job->rc == 0;
            steer->strangers = survey->strangers;
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

void steer_begin_survey(struct steer *steer)
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
    survey->writes = steer->writes;
    survey->ksmd_pid = steer->ksmd_pid;
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
    struct steered *known = steer_known(steer, guest->uuid);

    if (known)
        return known;
    known = reallocarray(steer->guests, steer->count + 1, sizeof(*known));
    if (!known)
        return NULL;
    steer->guests = known;
    known = &steer->guests[steer->count++];
    steer->survey_ms = 0;
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
    guest->zero = figures->zero;
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
        known->surveyed = known->has_process = false;
        known->look_ms = 0;
        steer->survey_ms = 0;
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
    its->zeroed = known->has_process ? known->process.zero_pages * MC_PAGE : 0;
    its->saved = known->has_process && its->looked && its->mergeable
                     ? saved_by(&steer->ksm, &known->process)
                     : 0;
    take_report(steer, known, guest);
}

void steer_follow_guests(struct steer *steer)
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
