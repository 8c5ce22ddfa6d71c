/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ksmd is stopped first, if it runs by our hand: until the guests are as they were, it would merge
 * what should not be. Then the guests, each by a job of its own, so that one that hangs keeps no
 * other waiting; then the knobs. What somebody else has changed meanwhile is his.
 */
#include "steer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/thread.h>

#include <memctl/scan.h>
#include <memctl/units.h>

#include "clock.h"
#include "lanes.h"
#include "log.h"
#include "steer_jobs.h"

#define GUEST_WITHIN_MS 5000
/* The unit's ExecStopPost= has to come to an end. */
#define RESTORE_WITHIN_MS 20000
#define ROOM_KEPT (256 * MC_MIB)

/* Is there until the last job is back. */
struct restore {
    struct steer_record *record;
    size_t pending;
    bool abandoned; /* nobody waits any more: the record may be gone */
    steer_restored *done;
    void *opaque;
};

struct restore_job {
    struct job job;
    struct restore *restore;
    struct record_guest guest;
    bool is_gone;
};

static uint64_t available_memory(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    char line[128];

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib * MC_KIB;
}

static bool has_room(int pid)
{
    struct mc_ksm_process process;

    return mc_ksm_read_process(pid, &process) < 0 ||
           process.merging * MC_PAGE + ROOM_KEPT <= available_memory();
}

/* On a lane. */
static int restore_guest(struct job *job, struct mc_session *session)
{
    struct restore_job *its = (struct restore_job *)job;
    struct mc_guest_memory memory;
    int rc;

    its->is_gone = record_process_start(its->guest.pid) != its->guest.started;
    if (its->is_gone)
        return 0;
    rc = mc_session_locate_memory(session, its->guest.uuid, &memory, &job->err);
    for (size_t i = 0; rc == 0 && i < its->guest.count; i++) {
        const struct record_backend *backend = &its->guest.backends[i];

        for (size_t j = 0; rc == 0 && j < memory.count; j++) {
            if (strcmp(memory.backends[j].id, backend->id) != 0 ||
                memory.backends[j].merge != backend->ours || backend->ours == backend->old)
                continue;
            if (!backend->old && !has_room(its->guest.pid))
                return mc_error_set(&job->err, -ENOMEM,
                                    "there is no memory to part its pages; it stays mergeable");
            rc = mc_session_set_merge(session, its->guest.uuid, backend->id, backend->old,
                                      &job->err);
        }
    }
    return rc;
}

static bool put_knob(struct steer_record *record, enum mc_ksm_knob knob, const struct mc_ksm *ksm)
{
    uint64_t ours = record->ours.value[knob], old = record->old.value[knob];
    bool advised = knob == MC_KSM_PAGES_TO_SCAN && record->ours.value[MC_KSM_ADVISOR_MODE] == 1;
    struct mc_error err;

    if (ours == MC_UNKNOWN)
        return true;
    /* Under an advisor it cannot be set, and is set by that. */
    if (knob == MC_KSM_PAGES_TO_SCAN && ksm->knobs.value[MC_KSM_ADVISOR_MODE] == 1)
        return true;
    if ((advised || ksm->knobs.value[knob] == ours) && ksm->knobs.value[knob] != old &&
        mc_ksm_write(steer_ksm_folder(), knob, old, &err) < 0) {
        log_warning("%s", err.text);
        return false;
    }
    return true;
}

static void put_knobs(struct steer_record *record)
{
    struct mc_ksm ksm;
    bool done[MC_KSM_KNOBS];

    for (unsigned i = 0; i < MC_KSM_KNOBS; i++) {
        mc_ksm_read(steer_ksm_folder(), &ksm); /* one may change another */
        done[i] = put_knob(record, i, &ksm);
    }
    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        if (done[i])
            record->ours.value[i] = record->old.value[i] = MC_UNKNOWN;
}

static void finish(struct restore *restore)
{
    int rc;

    if (!restore->abandoned) {
        put_knobs(restore->record);
        rc = record_save(restore->record);
        if (rc < 0)
            log_warning("%s cannot be written: %s", restore->record->file, strerror(-rc));
        restore->done(restore->opaque);
    }
    free(restore);
}

static void guest_restored(struct job *job)
{
    struct restore_job *its = (struct restore_job *)job;
    struct restore *restore = its->restore;

    restore->pending--;
    if (!restore->abandoned) {
        if (job->rc == 0 || job->rc == -ENOENT || its->is_gone)
            record_forget(restore->record, its->guest.uuid);
        else
            log_warning("guest '%s': merging cannot be put back: %s", its->guest.name,
                        job->err.text);
    }
    free(its);
    if (!restore->pending)
        finish(restore);
}

/* Until the guests are as they were. From here on the knob is ours as 0. */
static void stop_ksmd(struct steer_record *record)
{
    struct mc_ksm ksm;

    mc_ksm_read(steer_ksm_folder(), &ksm);
    if (record->ours.value[MC_KSM_RUN] == 1 && ksm.knobs.value[MC_KSM_RUN] == 1 &&
        mc_ksm_write(steer_ksm_folder(), MC_KSM_RUN, 0, NULL) == 0)
        record->ours.value[MC_KSM_RUN] = 0;
}

static void submit(struct lanes *lanes, struct restore *restore, const struct record_guest *guest)
{
    struct restore_job *job = calloc(1, sizeof(*job));

    if (!job)
        return;
    job->job =
        (struct job){.run = restore_guest, .done = guest_restored, .within_ms = GUEST_WITHIN_MS};
    job->restore = restore;
    job->guest = *guest;
    restore->pending++;
    lanes_submit(lanes, &job->job);
}

/* NULL: it is finished already, or there was no memory for it. */
static struct restore *begin(struct lanes *lanes, struct steer_record *record, steer_restored *done,
                             void *opaque)
{
    struct restore *restore = calloc(1, sizeof(*restore));

    if (!restore)
        return NULL;
    *restore = (struct restore){.record = record, .done = done, .opaque = opaque};
    stop_ksmd(record);
    for (size_t i = 0; i < record->count; i++)
        submit(lanes, restore, &record->guests[i]);
    if (restore->pending)
        return restore;
    finish(restore);
    return NULL;
}

void steer_restore_later(struct lanes *lanes, struct steer_record *record, steer_restored *done,
                         void *opaque)
{
    begin(lanes, record, done, opaque);
}

/* ---- waiting for it ---- */

static void is_done(void *opaque)
{
    *(bool *)opaque = true;
}

static void on_deadline(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd;
    (void)what;
    (void)opaque;
}

static size_t count_left(const struct steer_record *record)
{
    size_t left = record->count;

    for (unsigned i = 0; i < MC_KSM_KNOBS; i++)
        left += record->ours.value[i] != MC_UNKNOWN;
    return left;
}

size_t steer_restore(struct event_base *base, struct lanes *lanes, struct steer_record *record,
                     uint64_t within_ms)
{
    const struct timeval within = {.tv_sec = (time_t)(within_ms / 1000)};
    uint64_t until = clock_now_ms() + within_ms;
    bool done = false;
    struct event *deadline = evtimer_new(base, on_deadline, NULL);
    struct restore *restore = begin(lanes, record, is_done, &done);

    if (deadline)
        event_add(deadline, &within);
    while (restore && !done && deadline && clock_now_ms() < until)
        event_base_loop(base, EVLOOP_ONCE);
    if (deadline)
        event_free(deadline);
    if (!done && restore) {
        restore->abandoned = true;
        put_knobs(record);
        record_save(record);
    }
    return count_left(record);
}

/* ---- memctld --restore-ksm ---- */

void steer_record_file(char file[4096], const char *socket)
{
    const char *slash = strrchr(socket, '/');

    snprintf(file, 4096, "%.*s/ksm.json", slash ? (int)(slash - socket) : 1, slash ? socket : ".");
}

static int restore_all(const char *connect, struct steer_record *record, struct mc_error *err)
{
    struct mc_hypervisor *hypervisor = NULL;
    struct event_base *base;
    struct lanes *lanes;
    size_t left;
    int rc;

    evthread_use_pthreads();
    base = event_base_new();
    rc = base ? mc_hypervisor_open(connect, &hypervisor, err)
              : mc_error_set(err, -ENOMEM, "no event loop");
    if (rc < 0)
        return rc;
    lanes = lanes_new(base, hypervisor, LANES_IDLE_MS);
    if (!lanes)
        return mc_error_set(err, -ENOMEM, "out of memory");
    left = steer_restore(base, lanes, record, RESTORE_WITHIN_MS);
    if (left)
        rc = mc_error_set(
            err, -EBUSY, "%zu settings of page merging could not be put back; they stand in %.200s",
            left, record->file);
    if (!lanes_free(lanes))
        _exit(rc < 0); /* a call does not come back */
    mc_hypervisor_free(hypervisor);
    event_base_free(base);
    return rc;
}

/* What a running memctld has changed is not for others to put back. */
static bool is_served(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool served;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    served = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0)
        close(fd);
    return served;
}

int steer_restore_main(const char *connect, const char *socket)
{
    struct steer_record record;
    struct mc_error err;
    char file[4096];
    int rc;

    steer_record_file(file, socket);
    rc = record_load(&record, file);
    if (rc < 0) {
        log_error("out of memory");
    } else if (!record_is_empty(&record) && is_served(socket)) {
        log_error("memctld runs and steers page merging; stop it, and it puts all of it back");
        rc = -EBUSY;
    } else if (!record_is_empty(&record)) {
        rc = restore_all(connect, &record, &err);
        if (rc < 0)
            log_error("%s", err.text);
        else
            log_info("page merging is as it was before memctld steered it");
    }
    record_free(&record);
    return rc < 0;
}
