/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the port. udev links it under /dev/virtio-ports; a guest without udev still has its name
 * in sysfs, in the directory that is called like the device.
 */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BY_NAME "/dev/virtio-ports/" MC_AGENT_PORT
#define PORTS "/sys/class/virtio-ports"

static bool has_our_name(const char *device)
{
    char path[512], name[64];
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), PORTS "/%s/name", device);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    length = read(fd, name, sizeof(name) - 1);
    close(fd);
    if (length <= 0)
        return false;
    name[length] = '\0';
    name[strcspn(name, "\n")] = '\0';
    return strcmp(name, MC_AGENT_PORT) == 0;
}

static int find_device(char *path, size_t room)
{
    DIR *ports = opendir(PORTS);
    struct dirent *entry;
    bool found = false;

    if (!ports)
        return -ENOENT;
    while (!found && (entry = readdir(ports)))
        found = entry->d_name[0] != '.' && has_our_name(entry->d_name);
    if (found)
        snprintf(path, room, "/dev/%s", entry->d_name);
    closedir(ports);
    return found ? 0 : -ENOENT;
}

static int open_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, rc;

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

static int open_path(const char *path)
{
    struct stat status;
    int fd;

    if (stat(path, &status) < 0)
        return -errno;
    if (S_ISSOCK(status.st_mode))
        return open_socket(path);
    if (!S_ISCHR(status.st_mode) && !S_ISFIFO(status.st_mode))
        return -ENOTTY;
    fd = open(path,
              (S_ISFIFO(status.st_mode) ? O_WRONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

int port_open(const char *path)
{
    char device[300];
    int rc;

    if (path)
        return open_path(path);
    if (access(BY_NAME, F_OK) == 0)
        return open_path(BY_NAME);
    rc = find_device(device, sizeof(device));
    return rc < 0 ? rc : open_path(device);
}
