/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observe/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    reader->meminfo = open_file(proc, "meminfo");
    if (reader->meminfo < 0)
        return mc_error_set(err, reader->meminfo, "%s/meminfo cannot be read: %s", proc,
                            strerror(-reader->meminfo));
    reader->pressure = open_file(proc, "pressure/memory");
    return 0;
}

void mc_host_close(struct mc_host_reader *reader)
{
    if (reader->meminfo >= 0)
        close(reader->meminfo);
    if (reader->pressure >= 0)
        close(reader->pressure);
    reader->meminfo = reader->pressure = -1;
}

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

int mc_host_read(const struct mc_host_reader *reader, struct mc_host *host, struct mc_error *err)
{
    char text[8192];
    ssize_t length = slurp(reader->meminfo, text, sizeof(text));

    if (length < 0)
        return mc_error_set(err, -EIO, "meminfo cannot be read: %s", strerror((int)-length));
    *host = (struct mc_host){
        .total = meminfo_field(text, "MemTotal"),
        .available = meminfo_field(text, "MemAvailable"),
        .swap_total = meminfo_field(text, "SwapTotal"),
        .swap_free = meminfo_field(text, "SwapFree"),
    };
    if (host->total == MC_UNKNOWN || host->available == MC_UNKNOWN)
        return mc_error_set(err, -EBADMSG, "meminfo has no MemTotal or no MemAvailable");
    if (reader->pressure >= 0 && slurp(reader->pressure, text, sizeof(text)) > 0)
        host->pressure.present = pressure_field(text, "some", &host->pressure.some_avg10) &&
                                 pressure_field(text, "full", &host->pressure.full_avg10);
    return 0;
}
