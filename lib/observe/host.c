/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is asked for in every tick has to be cheap. meminfo makes the kernel write out everything it
 * counts, so it is read again only when the host's free memory has moved, is scarce, or MEMORY_MS
 * have passed: memory that can be had without swapping is free memory and cache, and the kernel
 * does not turn one into the other while it has plenty. The averages of memory pressure are read
 * while they can be other than 0, for which the kernel gives notice of each stall.
 */
#include "observe/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define MEMORY_MS 5000

/* Free memory that moved by less than this part of all, or is more than that, is calm. */
#define MOVED_PART 1024
#define PLENTY_PART 16

/* The kernel counts averages anew every 2 s, so a stall is seen in them later. */
#define PRESSURE_MS 5000

static int open_file(const char *folder, const char *name)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int mc_host_open(const char *proc, struct mc_host_reader *reader, struct mc_error *err)
{
    *reader = (struct mc_host_reader){.stalled = -1, .wakes = -1, .wakes_set = -1};
    reader->meminfo = open_file(proc, "meminfo");
    if (reader->meminfo < 0)
        return mc_error_set(err, reader->meminfo, "%s/meminfo cannot be read: %s", proc,
                            strerror(-reader->meminfo));
    reader->pressure = open_file(proc, "pressure/memory");
    reader->last.total = MC_UNKNOWN;
    pthread_mutex_init(&reader->lock, NULL);
    return 0;
}

void mc_host_close(struct mc_host_reader *reader)
{
    const int files[] = {reader->meminfo, reader->pressure, reader->stalled, reader->wakes_set,
                         reader->wakes};

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        if (files[i] >= 0)
            close(files[i]);
    pthread_mutex_destroy(&reader->lock);
}

/* ---- notices of stalls ---- */

/* Without CAP_SYS_RESOURCE windows are of 2 s, and kernels before 6.5 want none at all. */
static int open_trigger(unsigned stall_us, unsigned window_us)
{
    int fd = open("/proc/pressure/memory", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    char text[64];
    int length = snprintf(text, sizeof(text), "some %u %u", stall_us, window_us);

    if (fd < 0 || write(fd, text, (size_t)length + 1) > 0)
        return fd;
    close(fd);
    return -1;
}

void mc_host_watch(struct mc_host_reader *reader)
{
    struct epoll_event wanted = {.events = EPOLLPRI};

    reader->stalled = open_trigger(1, 2000000);
    reader->wakes = open_trigger(50000, 1000000);
    if (reader->wakes < 0)
        reader->wakes = open_trigger(100000, 2000000);
    if (reader->wakes < 0)
        return;
    /* Event loops do not ask for POLLPRI; a set that does is readable for them. */
    reader->wakes_set = epoll_create1(EPOLL_CLOEXEC);
    if (reader->wakes_set >= 0)
        epoll_ctl(reader->wakes_set, EPOLL_CTL_ADD, reader->wakes, &wanted);
}

int mc_host_stalls(const struct mc_host_reader *reader)
{
    return reader->wakes_set;
}

/* ---- reading ---- */

/* Read a small file whole; returns its length or a negative errno. */
static ssize_t slurp(int fd, char *text, size_t size)
{
    ssize_t length = pread(fd, text, size - 1, 0);

    if (length < 0)
        length = -errno;
    text[length < 0 ? 0 : length] = '\0';
    return length;
}

/* The line "NAME:   123 kB" of meminfo in bytes; MC_UNKNOWN if it is not there. */
static uint64_t meminfo_field(const char *text, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        if (*line == '\n')
            line++;
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return strtoull(line + length + 1, NULL, 10) * MC_KIB;
    }
    return MC_UNKNOWN;
}

/* "avg10=12.34" after the word `kind`, in hundredths. */
static bool pressure_field(const char *text, const char *kind, unsigned *hundredths)
{
    const char *line = strstr(text, kind);
    unsigned whole, part;

    if (!line || sscanf(line + strlen(kind), " avg10=%u.%2u", &whole, &part) != 2)
        return false;
    *hundredths = whole * 100 + part;
    return true;
}

static int read_memory(const struct mc_host_reader *reader, struct mc_host *host,
                       struct mc_error *err)
{
    char text[8192];
    ssize_t length = slurp(reader->meminfo, text, sizeof(text));

    if (length < 0)
        return mc_error_set(err, -EIO, "meminfo cannot be read: %s", strerror((int)-length));
    host->total = meminfo_field(text, "MemTotal");
    host->available = meminfo_field(text, "MemAvailable");
    host->swap_total = meminfo_field(text, "SwapTotal");
    host->swap_free = meminfo_field(text, "SwapFree");
    if (host->total == MC_UNKNOWN || host->available == MC_UNKNOWN)
        return mc_error_set(err, -EBADMSG, "meminfo has no MemTotal or no MemAvailable");
    return 0;
}

static uint64_t free_memory(void)
{
    struct sysinfo info;

    return sysinfo(&info) < 0 ? 0 : (uint64_t)info.freeram * info.mem_unit;
}

/* Is what was read last still true, as far as anybody can tell? */
static bool is_calm(const struct mc_host_reader *reader, uint64_t free, uint64_t now_ms)
{
    uint64_t moved = free > reader->last_free ? free - reader->last_free : reader->last_free - free;

    return reader->last.total != MC_UNKNOWN && now_ms < reader->memory_read_ms + MEMORY_MS &&
           free > reader->last.total / PLENTY_PART && moved < reader->last.total / MOVED_PART;
}

static int refresh_memory(struct mc_host_reader *reader, uint64_t now_ms, struct mc_error *err)
{
    uint64_t free = free_memory();
    int rc;

    if (is_calm(reader, free, now_ms))
        return 0;
    rc = read_memory(reader, &reader->last, err);
    if (rc < 0)
        reader->last.total = MC_UNKNOWN;
    reader->last_free = free;
    reader->memory_read_ms = now_ms;
    return rc;
}

static bool has_stalled(const struct mc_host_reader *reader)
{
    struct pollfd trigger = {.fd = reader->stalled, .events = POLLPRI};

    return reader->stalled < 0 || poll(&trigger, 1, 0) != 0;
}

static void refresh_pressure(struct mc_host_reader *reader, uint64_t now_ms)
{
    struct mc_pressure *pressure = &reader->last.pressure;
    char text[256];

    if (reader->pressure < 0)
        return;
    if (!pressure->present || has_stalled(reader) || pressure->some_avg10)
        reader->pressure_until_ms = now_ms + PRESSURE_MS;
    if (now_ms >= reader->pressure_until_ms)
        return;
    *pressure = (struct mc_pressure){0};
    if (slurp(reader->pressure, text, sizeof(text)) > 0)
        pressure->present = pressure_field(text, "some", &pressure->some_avg10) &&
                            pressure_field(text, "full", &pressure->full_avg10);
}

int mc_host_read(struct mc_host_reader *reader, uint64_t now_ms, struct mc_host *host,
                 struct mc_error *err)
{
    int rc;

    pthread_mutex_lock(&reader->lock);
    rc = refresh_memory(reader, now_ms, err);
    if (rc == 0) {
        refresh_pressure(reader, now_ms);
        *host = reader->last;
    }
    pthread_mutex_unlock(&reader->lock);
    return rc;
}
