/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memctl/units.h>

#define GROUP "memctl"

/* A small file below root; its length, or a negative errno. The text is always ended. */
static ssize_t read_file(const char *root, const char *path, char *text, size_t size)
{
    char whole[4096];
    ssize_t length;
    int fd;

    text[0] = '\0';
    snprintf(whole, sizeof(whole), "%s%s", root, path);
    fd = open(whole, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    length = read(fd, text, size - 1);
    if (length < 0)
        length = -errno;
    text[length < 0 ? 0 : length] = '\0';
    close(fd);
    return length;
}

static bool exists(const char *root, const char *path)
{
    char whole[4096];

    snprintf(whole, sizeof(whole), "%s%s", root, path);
    return access(whole, F_OK) == 0;
}

static uint64_t read_number(const char *root, const char *path)
{
    char text[64];

    if (read_file(root, path, text, sizeof(text)) <= 0 || text[0] < '0' || text[0] > '9')
        return MC_UNKNOWN;
    return strtoull(text, NULL, 10);
}

/* "\nNAME:" in a text of such lines; what follows, or NULL. */
static const char *line_of(const char *text, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1;
    }
    return NULL;
}

static uint64_t kib_of(const char *meminfo, const char *name)
{
    const char *value = line_of(meminfo, name);

    return value ? strtoull(value, NULL, 10) * MC_KIB : MC_UNKNOWN;
}

static void read_memory(const char *root, struct doctor_host *host)
{
    char text[8192];
    const char *huge;

    read_file(root, "/proc/meminfo", text, sizeof(text));
    host->total = kib_of(text, "MemTotal");
    host->available = kib_of(text, "MemAvailable");
    host->swap_total = kib_of(text, "SwapTotal");
    host->swap_free = kib_of(text, "SwapFree");
    huge = line_of(text, "HugePages_Total");
    if (huge && kib_of(text, "Hugepagesize") != MC_UNKNOWN)
        host->huge_pages = strtoull(huge, NULL, 10) * kib_of(text, "Hugepagesize");
    host->overcommit_memory = -1;
    if (read_file(root, "/proc/sys/vm/overcommit_memory", text, sizeof(text)) > 0)
        host->overcommit_memory = text[0] - '0';
}

static void read_swap(const char *root, struct doctor_host *host)
{
    char text[8192], *rest = text;

    read_file(root, "/proc/swaps", text, sizeof(text));
    strsep(&rest, "\n"); /* the heading */
    for (char *line = strsep(&rest, "\n"); line && *line; line = strsep(&rest, "\n")) {
        if (strncmp(line, "/dev/zram", 9) == 0)
            host->swap_on_zram = true;
        else
            host->swap_on_disk = true;
    }
    read_file(root, "/sys/module/zswap/parameters/enabled", text, sizeof(text));
    host->zswap = text[0] == 'Y';
}

static void read_pages(const char *root, struct doctor_host *host)
{
    char text[256];

    read_file(root, "/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));
    host->thp = strstr(text, "[always]")    ? THP_ALWAYS
                : strstr(text, "[madvise]") ? THP_MADVISE
                : strstr(text, "[never]")   ? THP_NEVER
                                            : THP_UNKNOWN;
    host->ksm = exists(root, "/sys/kernel/mm/ksm/run");
    host->ksm_run = (unsigned)read_number(root, "/sys/kernel/mm/ksm/run");
    host->ksm_pages_to_scan = read_number(root, "/sys/kernel/mm/ksm/pages_to_scan");
    host->ksm_sleep_ms = read_number(root, "/sys/kernel/mm/ksm/sleep_millisecs");
    host->ksm_sharing = read_number(root, "/sys/kernel/mm/ksm/pages_sharing");
    host->damon = exists(root, "/sys/kernel/mm/damon/admin");
}

static void read_pressure(const char *root, struct doctor_host *host)
{
    char text[256];

    /* Switched off at boot, the file is there and cannot be opened or read. */
    host->pressure_built = exists(root, "/proc/pressure/memory");
    host->pressure =
        read_file(root, "/proc/pressure/memory", text, sizeof(text)) > 0 && strstr(text, "avg10=");
}

static void read_cgroup(const char *root, struct doctor_host *host)
{
    char text[1024];

    /* libvirt's guests live in machine.slice, which has the files as soon as one ran. */
    read_file(root, "/sys/fs/cgroup/cgroup.controllers", text, sizeof(text));
    host->cgroup2_memory = strstr(text, "memory") != NULL;
    host->cgroup_reclaim = exists(root, "/sys/fs/cgroup/machine.slice/memory.reclaim") ||
                           exists(root, "/sys/fs/cgroup/system.slice/memory.reclaim");
}

static bool has_group(const char *root)
{
    char text[65536];

    if (!*root)
        return getgrnam(GROUP) != NULL;
    read_file(root, "/etc/group", text, sizeof(text));
    return line_of(text, GROUP) != NULL;
}

static bool has_program(const char *root, const char *name)
{
    static const char *const folders[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};
    char path[256];

    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
        snprintf(path, sizeof(path), "%s/%s", folders[i], name);
        if (exists(root, path))
            return true;
    }
    return false;
}

static bool cpu_can_virtualize(const char *root)
{
    char text[8192];

    /* The flags of the first processor are in the first pages. */
    read_file(root, "/proc/cpuinfo", text, sizeof(text));
    return strstr(text, " vmx") || strstr(text, " svm");
}

void doctor_read_host(const char *root, struct doctor_host *host)
{
    *host = (struct doctor_host){0};
    host->kvm = exists(root, "/dev/kvm");
    host->cpu_can = cpu_can_virtualize(root);
    read_memory(root, host);
    read_swap(root, host);
    read_pages(root, host);
    read_pressure(root, host);
    read_cgroup(root, host);
    host->group = has_group(root);
    host->has_grubby = has_program(root, "grubby");
    host->has_update_grub = has_program(root, "update-grub");
    host->has_virt_xml = has_program(root, "virt-xml");
}
