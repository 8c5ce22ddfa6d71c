/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control_bind.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

/* A socket file that nobody answers on is left over from a crash; one that answers is in use. */
static int clear_path(const struct sockaddr_un *address, struct mc_error *err)
{
    struct stat status;
    int fd, connected;

    if (lstat(address->sun_path, &status) < 0)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return mc_error_set(err, -EEXIST, "%s is in the way and is no socket", address->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return mc_error_set(err, -errno, "no socket: %s", strerror(errno));
    connected = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    close(fd);
    if (connected == 0)
        return mc_error_set(err, -EADDRINUSE,
                            "another memctld answers at %s; stop it, or choose another 'socket'",
                            address->sun_path);
    unlink(address->sun_path);
    return 0;
}

int control_bind(const char *path, gid_t group, struct mc_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t old;
    int fd, rc;

    strcpy(address.sun_path, path);
    rc = clear_path(&address, err);
    if (rc < 0)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return mc_error_set(err, -errno, "no socket: %s", strerror(errno));
    old = umask(0117);
    rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(old);
    if (rc < 0) {
        rc = mc_error_set(err, -errno, "cannot listen at %s: %s%s", path, strerror(errno),
                          errno == ENOENT ? "; the unit makes its folder, by hand use mkdir or "
                                            "name another 'socket'"
                                          : "");
        close(fd);
        return rc;
    }
    /* The unit lets it run with the group from the start, and without the right to change it. */
    if (group != (gid_t)-1 && group != getegid() && chown(path, (uid_t)-1, group) < 0)
        log_warning("%s stays with its group: %s", path, strerror(errno));
    return fd;
}
