/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observe/qemu_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <memctl/hypervisor.h>
#include <memctl/units.h>

/* QEMU's command line names the UUID as an argument of its own. */
static bool runs_with(pid_t pid, const char *uuid)
{
    char path[64], *argument = NULL;
    size_t size = 0;
    bool found = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return false;
    while (!found && getdelim(&argument, &size, '\0', file) > 0)
        found = strcmp(argument, uuid) == 0;
    free(argument);
    fclose(file);
    return found;
}

pid_t mc_qemu_pid(const char *runtime_folder, const char *name, const char *uuid)
{
    char path[4096];
    FILE *file;
    int pid = 0;

    if ((size_t)snprintf(path, sizeof(path), "%s/qemu/%s.pid", runtime_folder, name) >=
        sizeof(path))
        return 0;
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    fclose(file);
    return pid > 0 && runs_with(pid, uuid) ? pid : 0;
}

int mc_qemu_open_stat(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/*
 * What /proc/PID/stat says after the name, which may have spaces and brackets. It is read for every
 * guest in every tick: hence no stdio, and a descriptor that is kept. With both it is one call of
 * the kernel in place of five, and no look-up of a path.
 */
static int read_stat(int kept, pid_t pid, char *text, size_t size, const char **fields)
{
    int fd = kept >= 0 ? kept : mc_qemu_open_stat(pid);
    ssize_t length;

    if (fd < 0)
        return -ENOENT;
    length = pread(fd, text, size - 1, 0);
    if (fd != kept)
        close(fd);
    if (length < 0)
        return -ENODATA;
    text[length] = '\0';
    *fields = strrchr(text, ')');
    return *fields ? 0 : -ENODATA;
}

enum mc_qemu_state mc_qemu_state_of(int stat, pid_t pid)
{
    const char *fields;
    char text[1024];

    if (read_stat(stat, pid, text, sizeof(text), &fields) < 0 || strlen(fields) <= 2)
        return MC_QEMU_ABLE;
    switch (fields[2]) {
    case 'T':
    case 't':
        return MC_QEMU_STOPPED;
    case 'D':
        return MC_QEMU_BLOCKED;
    default:
        return MC_QEMU_ABLE;
    }
}

/* Fields 14 and 15, user and system, in clock ticks; that of its guest is part of the first. */
int mc_qemu_cpu_ms(pid_t pid, uint64_t *cpu_ms)
{
    uint64_t hertz = (uint64_t)sysconf(_SC_CLK_TCK), user, system;
    const char *fields;
    char text[1024];
    int rc = read_stat(-1, pid, text, sizeof(text), &fields);

    if (rc < 0)
        return rc;
    if (sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user,
               &system) != 2)
        return -ENODATA;
    *cpu_ms = (user + system) * 1000 / hertz;
    return 0;
}

/* Field 22 is the start in clock ticks since boot. */
int mc_qemu_age_ms(pid_t pid, uint64_t *age_ms)
{
    uint64_t hertz = (uint64_t)sysconf(_SC_CLK_TCK), ticks;
    struct timespec now;
    const char *fields;
    char text[1024];
    int rc = read_stat(-1, pid, text, sizeof(text), &fields);

    if (rc < 0)
        return rc;
    if (sscanf(fields,
               ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
               "%*d %*d %*d %*d %" SCNu64,
               &ticks) != 1)
        return -ENODATA;
    clock_gettime(CLOCK_BOOTTIME, &now);
    *age_ms = mc_less_u64((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
                          ticks * 1000 / hertz);
    return 0;
}

/* Adjoining mappings of one kind, added up: the kernel splits one where its flags differ. */
struct run {
    uint64_t end;
    uint64_t size, resident;
    bool writable;
    bool whole; /* one mapping as large as a backend: what adjoins it is something else */
};

struct search {
    struct mc_qemu_memory *memory;
    const uint64_t *backends;
    size_t count;
    uint64_t found;    /* backends matched, as bits */
    uint64_t total;    /* resident, all mappings */
    uint64_t in_guest; /* resident, in guest RAM */
};

static void close_run(struct search *search, const struct run *run)
{
    for (size_t i = 0; run->writable && i < search->count; i++) {
        if (run->size == search->backends[i] && !(search->found & (UINT64_C(1) << i))) {
            search->found |= UINT64_C(1) << i;
            search->in_guest += run->resident;
            if (search->memory->ram_count < MC_RAM_MAX)
                search->memory->ram[search->memory->ram_count++] =
                    (struct mc_ram){.address = run->end - run->size, .size = run->size};
            return;
        }
    }
}

static bool is_backend_size(const struct search *search, uint64_t size)
{
    for (size_t i = 0; i < search->count; i++)
        if (search->backends[i] == size)
            return true;
    return false;
}

/* "7f0000000000-7f0010000000 rw-p ..." */
static void read_mapping(struct search *search, struct run *run, const char *line)
{
    char *rest;
    uint64_t start = strtoull(line, &rest, 16);
    uint64_t end = *rest == '-' ? strtoull(rest + 1, &rest, 16) : 0;
    bool writable = strncmp(rest, " rw", 3) == 0;
    bool whole = writable && is_backend_size(search, end - start);

    if (end <= start)
        return;
    if (start != run->end || writable != run->writable || run->whole || whole) {
        close_run(search, run);
        *run = (struct run){.whole = whole};
    }
    run->writable = writable;
    run->size += end - start;
    run->end = end;
}

/* Twenty lines a mapping and hundreds of mappings: look before parsing. */
static void read_line(struct search *search, struct run *run, const char *line)
{
    bool is_field = *line >= 'A' && *line <= 'Z';

    if (!is_field) {
        read_mapping(search, run, line);
    } else if (strncmp(line, "Rss:", 4) == 0) {
        uint64_t bytes = strtoull(line + 4, NULL, 10) * MC_KIB;

        run->resident += bytes;
        search->total += bytes;
    }
}

int mc_qemu_overhead(const char *smaps, const uint64_t *backends, size_t count,
                     struct mc_qemu_memory *memory)
{
    struct search search = {
        .memory = memory, .backends = backends, .count = count < 64 ? count : 64};
    struct run run = {0};
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen(smaps, "re");
    int rc;

    memory->ram_count = 0;
    if (!file)
        return -errno;
    /* A read gives a page at most, but with stdio's choice for /proc only a quarter of one. */
    setvbuf(file, NULL, _IOFBF, 4 * MC_PAGE);
    while (getline(&line, &size, file) > 0)
        read_line(&search, &run, line);
    rc = ferror(file) ? -EIO : 0;
    close_run(&search, &run);
    free(line);
    fclose(file);
    if (rc < 0)
        return rc;
    if (search.found != (search.count == 64 ? UINT64_MAX : (UINT64_C(1) << search.count) - 1))
        return -ENODATA;
    memory->overhead = search.total - search.in_guest;
    return 0;
}
