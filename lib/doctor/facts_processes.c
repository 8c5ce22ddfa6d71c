/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who else is at work on this host: every process's name, and the command lines of QEMUs. */
#include "doctor/facts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memctl/units.h>

#include "observe/cgroup.h"

/* QEMU's command lines are long; the UUID stands in the first part. */
#define COMMAND_MAX 16384

static const struct {
    const char *name;
    enum doctor_manager bit;
} managers[] = {
    {"ksmtuned", MANAGER_KSMTUNED}, {"momd", MANAGER_MOM},          {"vdsmd", MANAGER_VDSM},
    {"pvestatd", MANAGER_PROXMOX},  {"earlyoom", MANAGER_EARLYOOM},
};

static ssize_t read_of(const char *root, const char *pid, const char *file, char *text, size_t size)
{
    char path[4096];
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "%s/proc/%s/%s", root, pid, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    length = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = '\0';
    return length < 0 ? 0 : length;
}

static unsigned manager_named(const char *word)
{
    const char *slash = strrchr(word, '/');
    const char *name = slash ? slash + 1 : word;

    for (size_t i = 0; i < sizeof(managers) / sizeof(*managers); i++)
        if (strcmp(name, managers[i].name) == 0)
            return managers[i].bit;
    return 0;
}

/* A script is known by its own name or stands behind its interpreter: python3 /usr/sbin/momd. */
static unsigned manager_of(const char *name, const char *command, size_t length)
{
    unsigned found = manager_named(name);
    bool interpreted = strncmp(name, "python", 6) == 0 || strncmp(name, "perl", 4) == 0 ||
                       strcmp(name, "bash") == 0 || strcmp(name, "sh") == 0;

    for (size_t at = 0, word = 0; interpreted && at < length && word < 3 && !found; word++) {
        if (word)
            found = manager_named(command + at);
        at += strlen(command + at) + 1;
    }
    return found;
}

static bool is_qemu(const char *name)
{
    return strncmp(name, "qemu-system", 11) == 0 || strcmp(name, "qemu-kvm") == 0 ||
           strcmp(name, "kvm") == 0;
}

/* The word behind an option on the command line; "" without. */
static const char *argument_of(const char *command, size_t length, const char *option)
{
    for (size_t at = 0; at < length; at += strlen(command + at) + 1) {
        size_t next = at + strlen(command + at) + 1;

        if (strcmp(command + at, option) == 0 && next < length)
            return command + next;
    }
    return "";
}

/* libvirt starts QEMUs without a machine, to see what they can do. */
static bool is_probe(const char *command, size_t length)
{
    const char *machine = argument_of(command, length, "-machine");

    return strncmp(machine, "none", 4) == 0 && (!machine[4] || machine[4] == ',');
}

static bool can_reclaim(const char *root, int pid)
{
    char proc[4096], cgroupfs[4096], folder[4096], path[4200];

    snprintf(proc, sizeof(proc), "%s/proc", root);
    snprintf(cgroupfs, sizeof(cgroupfs), "%s/sys/fs/cgroup", root);
    if (mc_cgroup_of_guest(proc, cgroupfs, pid, folder, sizeof(folder), NULL) < 0)
        return false;
    snprintf(path, sizeof(path), "%s/memory.reclaim", folder);
    return access(path, F_OK) == 0;
}

static int add_qemu(const char *root, const char *pid, const char *command, size_t length,
                    struct doctor_facts *facts)
{
    struct doctor_qemu *more =
        realloc(facts->qemus, (facts->qemu_count + 1) * sizeof(*facts->qemus));
    char statm[256];
    unsigned long size, resident = 0;

    if (!more)
        return -ENOMEM;
    facts->qemus = more;
    more += facts->qemu_count++;
    *more = (struct doctor_qemu){.pid = (int)strtol(pid, NULL, 10)};
    snprintf(more->uuid, sizeof(more->uuid), "%s", argument_of(command, length, "-uuid"));
    read_of(root, pid, "statm", statm, sizeof(statm));
    if (sscanf(statm, "%lu %lu", &size, &resident) == 2)
        more->rss = resident * MC_PAGE;
    more->reclaim = can_reclaim(root, more->pid);
    return 0;
}

int doctor_read_processes(const char *root, struct doctor_facts *facts)
{
    char path[4096], *command = malloc(COMMAND_MAX);
    const struct dirent *entry;
    DIR *folder;
    int rc = command ? 0 : -ENOMEM;

    snprintf(path, sizeof(path), "%s/proc", root);
    folder = rc == 0 ? opendir(path) : NULL;
    while (rc == 0 && folder && (entry = readdir(folder))) {
        const char *pid = entry->d_name;
        char name[64];
        size_t length;

        if (!isdigit((unsigned char)pid[0]) || !read_of(root, pid, "comm", name, sizeof(name)))
            continue;
        name[strcspn(name, "\n")] = '\0';
        length = (size_t)read_of(root, pid, "cmdline", command, COMMAND_MAX);
        facts->host.managers |= manager_of(name, command, length);
        if (is_qemu(name) && length &&
            !is_probe(command, length)) /* a zombie has no command line */
            rc = add_qemu(root, pid, command, length, facts);
    }
    if (folder)
        closedir(folder);
    free(command);
    return rc;
}
