/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scanner_link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire.h"

#define PROGRAM "memctl-scan"

extern char **environ;

/* ---- a child ---- */

static const char *program(void)
{
    const char *path = secure_getenv("MEMCTL_SCAN");

    return path ? path : MEMCTL_SCAN_PATH;
}

static int spawn(int theirs, pid_t *pid)
{
    char *argv[] = {(char *)PROGRAM, NULL};
    posix_spawn_file_actions_t actions;
    int rc;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    rc = posix_spawn_file_actions_adddup2(&actions, theirs, 3);
    if (rc == 0)
        rc = posix_spawn(pid, program(), &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

/* Before anybody can have sent anything: from then on the kernel says who did. */
static int ask_for_senders(int fd)
{
    const int yes = 1;

    return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0 ? -errno : 0;
}

static int start_child(struct scanner_link *link, struct mc_error *err)
{
    int fds[2] = {-1, -1};
    pid_t pid = 0;
    int rc = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return mc_error_set(err, -errno, "no socket for " PROGRAM ": %s", strerror(errno));
    rc = ask_for_senders(fds[0]);
    if (rc == 0)
        rc = spawn(fds[1], &pid);
    close(fds[1]);
    if (rc < 0) {
        close(fds[0]);
        return mc_error_set(err, rc, "cannot be started (%.128s: %s)", program(), strerror(-rc));
    }
    link->fd = fds[0];
    link->pid = pid;
    link->is_child = true;
    return 0;
}

/* ---- a service ---- */

static bool is_trusted(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

/* Whoever listens there made the socket; it passes the connection on. */
static int check_listener(int fd, const char *path, struct mc_error *err)
{
    struct ucred listener;
    socklen_t size = sizeof(listener);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &size) < 0)
        return mc_error_set(err, -errno, "%s: %s", path, strerror(errno));
    if (!is_trusted(listener.uid))
        return mc_error_set(err, -EACCES,
                            "at %s listens uid %u, which is neither root nor memctld's", path,
                            (unsigned)listener.uid);
    return 0;
}

static int connect_to(struct scanner_link *link, const char *path, struct mc_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, rc;

    if (strlen(path) >= sizeof(address.sun_path))
        return mc_error_set(err, -ENAMETOOLONG, "%.128s: too long for a socket's path", path);
    strcpy(address.sun_path, path); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return mc_error_set(err, -errno, "no socket for " PROGRAM ": %s", strerror(errno));
    rc = ask_for_senders(fd);
    if (rc == 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        rc = -errno;
    if (rc < 0)
        mc_error_set(err, rc, "%s cannot be connected to: %s", path, strerror(-rc));
    else
        rc = check_listener(fd, path, err);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    link->fd = fd;
    return 0;
}

int scanner_link_open(struct scanner_link *link, struct mc_error *err)
{
    const char *path = secure_getenv("MEMCTL_SCAN_SOCKET");
    struct mc_error why = {0};
    int rc = -ENOENT;

    *err = (struct mc_error){0};
    *link = (struct scanner_link){.fd = -1, .pidfd = -1, .ending = link->ending};
    if (path && *path) {
        rc = connect_to(link, path, &why);
        if (rc < 0 && rc != -ENOENT && rc != -ECONNREFUSED) {
            *err = why;
            return rc;
        }
    }
    if (rc == 0)
        return 0;
    rc = start_child(link, err);
    if (rc < 0)
        return rc;
    fcntl(link->fd, F_SETFL, O_NONBLOCK);
    *err = why;
    return 0;
}

/* ---- who it is ---- */

/* The number alone may have become somebody else's; not so the descriptor. */
static bool meet(struct scanner_link *link, pid_t pid)
{
    char path[64], name[32] = "";
    FILE *file;

    link->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    file = fopen(path, "re");
    if (file) {
        if (!fgets(name, sizeof(name), file))
            *name = '\0';
        fclose(file);
    }
    name[strcspn(name, "\n")] = '\0';
    if (link->pidfd < 0 || strcmp(name, PROGRAM) != 0)
        return false;
    link->pid = pid;
    return true;
}

bool scanner_link_is_from(struct scanner_link *link, const struct scan_packet *packet)
{
    if (packet->pid <= 0 || !is_trusted(packet->uid))
        return false;
    return link->pid ? packet->pid == link->pid : meet(link, packet->pid);
}

/* ---- its end ---- */

bool scanner_link_reap(struct scanner_link *link, bool wait)
{
    int status;

    if (link->ending && waitpid(link->ending, &status, wait ? 0 : WNOHANG) != 0)
        link->ending = 0;
    return !link->ending;
}

void scanner_link_end(struct scanner_link *link)
{
    if (link->fd < 0)
        return;
    close(link->fd);
    link->fd = -1;
    if (link->is_child) {
        kill(link->pid, SIGKILL);
        link->ending = link->pid;
    } else if (link->pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, link->pidfd, SIGKILL, NULL, 0);
    }
    if (link->pidfd >= 0)
        close(link->pidfd);
    link->pidfd = -1;
    link->pid = 0;
    scanner_link_reap(link, false);
}
