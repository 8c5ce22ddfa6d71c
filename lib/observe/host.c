/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observe/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Read a small proc file whole; returns its length or a negative errno. */
static ssize_t slurp(const char *folder, const char *name, char *text, size_t size)
{
    char path[256];
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    length = read(fd, text, size - 1);
    if (length < 0)
        length = -errno;
    close(fd);
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

int mc_host_read(const char *proc, struct mc_host *host, struct mc_error *err)
{
    char text[8192];
    ssize_t length = slurp(proc, "meminfo", text, sizeof(text));

    if (length < 0)
        return mc_error_set(err, (int)length, "%s/meminfo cannot be read: %s", proc,
                            strerror((int)-length));
    *host = (struct mc_host){
        .total = meminfo_field(text, "MemTotal"),
        .available = meminfo_field(text, "MemAvailable"),
        .swap_total = meminfo_field(text, "SwapTotal"),
        .swap_free = meminfo_field(text, "SwapFree"),
    };
    if (host->total == MC_UNKNOWN || host->available == MC_UNKNOWN)
        return mc_error_set(err, -EBADMSG, "%s/meminfo has no MemTotal or no MemAvailable", proc);
    if (slurp(proc, "pressure/memory", text, sizeof(text)) > 0)
        host->pressure.present = pressure_field(text, "some", &host->pressure.some_avg10) &&
                                 pressure_field(text, "full", &host->pressure.full_avg10);
    return 0;
}
