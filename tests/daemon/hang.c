/*
 * Calls to the hypervisor that do not come back: loaded into memctld in front of libmemctl.
 *
 * The directory MEMCTL_TEST_HANG says who hangs: while it has a file with a guest's UUID as its
 * name, commands for that guest do not return, and while it has one named "observe", no snapshot
 * is taken; with one named "store", the history's file is neither opened nor written, and with one
 * named "history" no question about it is answered. To its file "calls" each call of the hypervisor
 * appends a line when it begins and when it ends.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <memctl/hypervisor.h>
#include <memctl/store.h>

#define LOOK_EVERY_NS 5000000

static void note(const char *who, char what)
{
    char path[512], line[128];
    struct timespec now;
    ssize_t written;
    int fd, length;

    snprintf(path, sizeof(path), "%s/calls", getenv("MEMCTL_TEST_HANG"));
    clock_gettime(CLOCK_MONOTONIC, &now);
    length = snprintf(line, sizeof(line), "%ld.%03ld %s %c\n", (long)now.tv_sec,
                      now.tv_nsec / 1000000, who, what);
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    written = write(fd, line, (size_t)length);
    (void)written;
    close(fd);
}

static void hang(const char *who)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_NS};
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", getenv("MEMCTL_TEST_HANG"), who);
    while (access(path, F_OK) == 0)
        nanosleep(&pause, NULL);
}

int mc_session_set_balloon(struct mc_session *session, const char *uuid, uint64_t bytes,
                           struct mc_error *err)
{
    int (*real)(struct mc_session *, const char *, uint64_t, struct mc_error *);
    int rc;

    *(void **)&real = dlsym(RTLD_NEXT, "mc_session_set_balloon");
    note(uuid, '+');
    hang(uuid);
    rc = real(session, uuid, bytes, err);
    note(uuid, '-');
    return rc;
}

int mc_session_observe(struct mc_session *session, uint64_t now_ms, struct mc_snapshot *snapshot,
                       struct mc_error *err)
{
    int (*real)(struct mc_session *, uint64_t, struct mc_snapshot *, struct mc_error *);
    int rc;

    *(void **)&real = dlsym(RTLD_NEXT, "mc_session_observe");
    note("observe", '+');
    hang("observe");
    rc = real(session, now_ms, snapshot, err);
    note("observe", '-');
    return rc;
}

int mc_store_open(const char *file, const struct mc_store_config *config, struct mc_store **store,
                  struct mc_error *err)
{
    int (*real)(const char *, const struct mc_store_config *, struct mc_store **,
                struct mc_error *);

    *(void **)&real = dlsym(RTLD_NEXT, "mc_store_open");
    hang("store");
    return real(file, config, store, err);
}

int mc_store_write(struct mc_store *store, const struct mc_batch *batch, struct mc_error *err)
{
    int (*real)(struct mc_store *, const struct mc_batch *, struct mc_error *);

    *(void **)&real = dlsym(RTLD_NEXT, "mc_store_write");
    hang("store");
    return real(store, batch, err);
}

int mc_history_answer(struct mc_store *store, const json_t *args, json_t **result,
                      struct mc_error *err)
{
    int (*real)(struct mc_store *, const json_t *, json_t **, struct mc_error *);

    *(void **)&real = dlsym(RTLD_NEXT, "mc_history_answer");
    hang("history");
    return real(store, args, result, err);
}
