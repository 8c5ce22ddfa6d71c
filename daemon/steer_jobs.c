/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steer_jobs.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/hypervisor.h>
#include <memctl/scan.h>
#include <memctl/units.h>

/* ---- KSM and the processes ---- */

/* A file of the process' folder; "" if there is none. */
static void read_file(int pid, const char *name, char *text, size_t size)
{
    size_t length = 0;
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    file = fopen(path, "re");
    if (file) {
        length = fread(text, 1, size - 1, file);
        fclose(file);
    }
    text[length] = '\0';
}

static void read_name(int pid, char name[32])
{
    read_file(pid, "comm", name, 32);
    name[strcspn(name, "\n")] = '\0';
}

/* To the nanosecond where the kernel has schedstat, else in its clock's ticks. */
static uint64_t cpu_us_of(int pid)
{
    uint64_t ns, ms;
    char text[128];

    read_file(pid, "schedstat", text, sizeof(text));
    if (sscanf(text, "%" SCNu64, &ns) == 1 && ns)
        return ns / 1000;
    return mc_qemu_cpu_ms(pid, &ms) == 0 ? ms * 1000 : MC_UNKNOWN;
}

static bool is_guest(const struct survey *survey, int pid)
{
    for (size_t i = 0; i < survey->count; i++)
        if (survey->processes[i].pid == pid)
            return true;
    return false;
}

/*
 * Where the kernel does not say who is mergeable, only those are known that ksmd has met, and QEMUs
 * are looked into.
 */
static bool is_mergeable(int pid, const char *name)
{
    struct mc_ksm_process process;
    uint64_t all, inside;
    int rc = mc_ksm_read_process(pid, &process);

    if (rc < 0 && rc != -ENOTSUP)
        return false;
    if (rc == 0 && (process.tells || process.items))
        return process.tells ? process.mergeable : true;
    return strncmp(name, "qemu", 4) == 0 &&
           mc_scan_mergeable(pid, NULL, 0, &all, &inside, NULL) == 0 && all;
}

static void meet_process(struct survey *survey, int pid)
{
    char name[32];

    read_name(pid, name);
    if (strcmp(name, "ksmd") == 0)
        survey->ksmd_pid = pid;
    survey->managed |= strcmp(name, "ksmtuned") == 0;
    if (!is_guest(survey, pid) && is_mergeable(pid, name))
        survey->strangers++;
}

static int meet_all(struct survey *survey, struct mc_error *err)
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;

    if (!folder)
        return mc_error_set(err, -errno, "/proc cannot be read: %s", strerror(errno));
    while ((entry = readdir(folder)))
        if (*entry->d_name >= '1' && *entry->d_name <= '9')
            meet_process(survey, (int)strtol(entry->d_name, NULL, 10));
    closedir(folder);
    return 0;
}

/* Its number is of one kernel thread for as long as the host runs; who has it is asked each time.
 */
static uint64_t ksmd_time(int *pid)
{
    char name[32];

    if (!*pid)
        return MC_UNKNOWN;
    read_name(*pid, name);
    if (strcmp(name, "ksmd") != 0) {
        *pid = 0;
        return MC_UNKNOWN;
    }
    return cpu_us_of(*pid);
}

int survey_run(struct job *job, struct mc_session *session)
{
    struct survey *survey = (struct survey *)job;
    int rc = 0;

    (void)session;
    mc_ksm_read(steer_ksm_folder(), &survey->ksm);
    for (size_t i = 0; i < survey->count; i++)
        survey->processes[i].seen =
            mc_ksm_read_process(survey->processes[i].pid, &survey->processes[i].process) == 0;
    survey->strangers = 0;
    survey->managed = false;
    if (survey->finds_strangers)
        rc = meet_all(survey, &job->err);
    survey->ksmd_us = ksmd_time(&survey->ksmd_pid);
    return rc;
}

int knobs_run(struct job *job, struct mc_session *session)
{
    struct knobs_job *knobs = (struct knobs_job *)job;
    int rc = 0;

    (void)session;
    for (unsigned i = 0; rc == 0 && i < MC_KSM_KNOBS; i++)
        if (knobs->knobs.value[i] != MC_UNKNOWN)
            rc = mc_ksm_write(steer_ksm_folder(), i, knobs->knobs.value[i], &job->err);
    return rc;
}

/* ---- one guest ---- */

static bool is_noted(const struct record_guest *noted, const char *id)
{
    for (size_t i = 0; i < noted->count; i++)
        if (strcmp(noted->backends[i].id, id) == 0)
            return true;
    return false;
}

/* Only what stands in the record; a backend that has come since is for the next look. */
static int switch_all(struct look *look, struct mc_session *session)
{
    bool on = look->order == MC_STEER_SWITCH_ON;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < look->memory.count; i++) {
        struct mc_memory_backend *backend = &look->memory.backends[i];

        if (backend->shared || !is_noted(&look->noted, backend->id))
            continue;
        rc = mc_session_set_merge(session, look->uuid, backend->id, on, &look->job.err);
        if (rc == 0)
            backend->merge = on;
    }
    return rc;
}

static int measure(struct look *look)
{
    struct mc_scan_region regions[MC_MEMORY_BACKENDS_MAX];
    uint64_t all, inside;
    int rc;

    look->ram = 0;
    for (size_t i = 0; i < look->memory.count; i++) {
        regions[i] = (struct mc_scan_region){.address = look->memory.backends[i].address,
                                             .size = look->memory.backends[i].size};
        if (!look->memory.backends[i].shared)
            look->ram += regions[i].size;
    }
    rc = mc_scan_mergeable(look->pid, regions, look->memory.count, &all, &inside, &look->job.err);
    if (rc < 0)
        return rc;
    look->mergeable = inside;
    look->beside = all - inside;
    return 0;
}

int look_run(struct job *job, struct mc_session *session)
{
    struct look *look = (struct look *)job;
    int rc = mc_session_locate_memory(session, look->uuid, &look->memory, &job->err), switched = 0;

    look->seen = false;
    if (rc == 0 && look->order != MC_STEER_LEAVE)
        switched = switch_all(look, session);
    if (rc == 0)
        rc = measure(look);
    look->seen = rc == 0;
    return rc < 0 ? rc : switched;
}
