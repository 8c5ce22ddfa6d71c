/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's small files. */
#include "workset.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t file_read(const char *root, const char *path, char *text, size_t room)
{
    char name[PATH_ROOM];
    size_t length = 0;
    ssize_t piece;
    int fd;

    snprintf(name, sizeof(name), "%s%s", root, path);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (length < room - 1 && (piece = read(fd, text + length, room - 1 - length)) > 0)
        length += (size_t)piece;
    text[length] = '\0';
    close(fd);
    return (ssize_t)length;
}

ssize_t file_read_of(const char *root, long pid, const char *name, char *text, size_t room)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%ld/%s", pid, name);
    return file_read(root, path, text, room);
}

int file_write(const char *root, const char *path, const char *text)
{
    size_t length = strlen(text);
    char name[PATH_ROOM];
    int fd, rc;

    snprintf(name, sizeof(name), "%s%s", root, path);
    fd = open(name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    rc = write(fd, text, length) == (ssize_t)length ? 0 : -errno;
    close(fd);
    return rc;
}

uint64_t file_value(const char *text, const char *name)
{
    size_t length = strlen(name);

    while (text && *text) {
        if (strncmp(text, name, length) == 0 && text[length] == ':') {
            char *end;
            uint64_t number = strtoull(text + length + 1, &end, 10);

            return strncmp(end, " kB", 3) == 0 ? number * 1024 : number;
        }
        text = strchr(text, '\n');
        text += text != NULL;
    }
    return 0;
}

void each_process(const char *root, bool (*visit)(long pid, void *opaque), void *opaque)
{
    char name[PATH_ROOM];
    struct dirent *entry;
    DIR *processes;

    snprintf(name, sizeof(name), "%s/proc", root);
    processes = opendir(name);
    while (processes && (entry = readdir(processes))) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);

        if (pid > 0 && !*end && !visit(pid, opaque))
            break;
    }
    if (processes)
        closedir(processes);
}

uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}
