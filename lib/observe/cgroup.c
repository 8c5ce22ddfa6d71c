/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where libvirt puts a QEMU: into a scope that systemd made for the machine,
 *
 *   /machine.slice/machine-qemu\x2d3\x2dweb1.scope/libvirt/emulator
 *
 * or, without systemd, into a folder of libvirt's own, /machine/qemu-3-web1.libvirt-qemu/emulator.
 * The memory belongs to that scope, not to the folders below it. Those above it are shared with
 * other guests, so nothing is ever done to one that does not have the form of a single guest's.
 */
#include "observe/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCOPE_BEGINS "machine-qemu"
#define SCOPE_ENDS ".scope"
#define FOLDER_ENDS ".libvirt-qemu"

/* The line of the unified hierarchy, "0::/PATH": the path, or NULL. */
static char *read_path(FILE *file, char **line, size_t *room)
{
    while (getline(line, room, file) > 0) {
        if (strncmp(*line, "0::/", 4) != 0)
            continue;
        (*line)[strcspn(*line, "\n")] = '\0';
        return *line + 3;
    }
    return NULL;
}

static bool ends_in(const char *name, const char *end)
{
    size_t length = strlen(name);

    return length > strlen(end) && strcmp(name + length - strlen(end), end) == 0;
}

/* A slice can have the same beginning, and holds many guests. */
static bool is_one_guests(const char *name)
{
    bool begins = strncmp(name, SCOPE_BEGINS, strlen(SCOPE_BEGINS)) == 0;

    return (begins && ends_in(name, SCOPE_ENDS)) || ends_in(name, FOLDER_ENDS);
}

/* Cut the path after the innermost folder that is one guest's; false if none is. */
static bool climb(char *path)
{
    for (;;) {
        char *slash = strrchr(path, '/');

        if (!slash)
            return false;
        if (is_one_guests(slash + 1))
            return true;
        *slash = '\0';
    }
}

int mc_cgroup_of_guest(const char *proc, const char *cgroupfs, pid_t pid, char *folder, size_t size,
                       struct mc_error *err)
{
    char file_name[256], *line = NULL, *path;
    size_t room = 0;
    FILE *file;
    int rc = 0;

    snprintf(file_name, sizeof(file_name), "%s/%d/cgroup", proc, (int)pid);
    file = fopen(file_name, "re");
    if (!file)
        return mc_error_set(err, -ENOENT, "the guest is gone");
    path = read_path(file, &line, &room);
    if (!path)
        rc = mc_error_set(err, -ENOTSUP, "this host has no unified cgroup hierarchy (version 2)");
    else if (strstr(path, "/../")) /* as seen from a cgroup namespace */
        rc = mc_error_set(err, -ENOTSUP, "its cgroup %s is not in sight of memctld", path);
    else if (!climb(path))
        rc = mc_error_set(err, -ENOTSUP,
                          "its QEMU has no cgroup of its own, as libvirt would make it");
    else if ((size_t)snprintf(folder, size, "%s%s", cgroupfs, path) >= size)
        rc = mc_error_set(err, -ENOTSUP, "the path of its cgroup is too long");
    free(line);
    fclose(file);
    return rc;
}

static int refuse(const char *path, int error, struct mc_error *err)
{
    if (error == ENOENT)
        return mc_error_set(
            err, -ENOTSUP,
            "%s is missing: it takes Linux 5.19 or later, and the memory controller "
            "in the unified cgroup hierarchy",
            path);
    if (error == EACCES || error == EPERM || error == EROFS)
        return mc_error_set(err, -ENOTSUP,
                            "%s cannot be written: %s; does its unit say ProtectControlGroups=no?",
                            path, strerror(error));
    return mc_error_set(err, -error, "%s: %s", path, strerror(error));
}

int mc_cgroup_reclaim(const char *folder, uint64_t bytes, struct mc_error *err)
{
    char path[4096 + 32], text[32];
    int length = snprintf(text, sizeof(text), "%" PRIu64, bytes);
    ssize_t written;
    int fd, error;

    snprintf(path, sizeof(path), "%s/memory.reclaim", folder);
    fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return refuse(path, errno, err);
    written = write(fd, text, (size_t)length);
    error = written < 0 ? errno : 0;
    close(fd);
    if (error == EAGAIN || error == EINTR) /* less was found; or something else came in between */
        return 1;
    return error ? refuse(path, error, err) : 0;
}
