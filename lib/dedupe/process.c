/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Of a process, what it takes to read its memory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <memctl/scan.h>

#include "dedupe/smaps.h"

void mc_scan_guest_init(struct mc_scan_guest *guest)
{
    guest->pagemap = -1;
    guest->region_count = 0;
}

void mc_scan_guest_close(struct mc_scan_guest *guest)
{
    if (guest->pagemap >= 0)
        close(guest->pagemap);
    for (size_t i = 0; i < guest->region_count; i++)
        if (guest->regions[i].fd >= 0)
            close(guest->regions[i].fd);
    mc_scan_guest_init(guest);
}

static bool is_backing(int folder, const char *name, const struct mc_mapping *mapping)
{
    struct stat status;

    return fstatat(folder, name, &status, 0) == 0 && status.st_ino == mapping->inode &&
           major(status.st_dev) == mapping->major && minor(status.st_dev) == mapping->minor;
}

/*
 * The process has its shared memory open as well as mapped. A descriptor of our own is opened
 * through its, so that it is closed on its own; read-only where writing is sealed.
 */
static int open_backing(pid_t pid, const struct mc_mapping *mapping)
{
    const struct dirent *entry;
    char path[64];
    int fd = -1;
    DIR *folder;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    folder = opendir(path);
    while (folder && fd < 0 && (entry = readdir(folder))) {
        if (!is_backing(dirfd(folder), entry->d_name, mapping))
            continue;
        fd = openat(dirfd(folder), entry->d_name, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
    }
    if (folder)
        closedir(folder);
    return fd;
}

static int open_region(struct mc_scan_guest *guest, struct mc_scan_region *region,
                       struct mc_error *err)
{
    struct mc_mapping mapping;
    char path[64];
    FILE *smaps;
    int rc;

    if (!region->size || region->size % MC_PAGE || region->address % MC_PAGE)
        return mc_error_set(err, -EINVAL, "a region of its memory is not of whole pages");
    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)guest->pid);
    smaps = fopen(path, "re");
    if (!smaps)
        return mc_error_set(err, -errno, "%s cannot be read: %s", path, strerror(errno));
    rc = mc_smaps_find(smaps, region->address, region->size, &mapping, err);
    fclose(smaps);
    if (rc < 0)
        return rc;
    guest->mergeable &= !mapping.shared && mapping.page_size == MC_PAGE;
    if (!mapping.shared)
        return 0;
    region->offset = mapping.offset + (region->address - mapping.start);
    region->fd = open_backing(guest->pid, &mapping);
    if (region->fd < 0)
        return mc_error_set(err, -ENOENT,
                            "its memory at %" PRIx64 " is shared, and the file behind it is not "
                            "among the open files of process %d",
                            region->address, (int)guest->pid);
    return 0;
}

int mc_scan_mergeable(pid_t pid, const struct mc_scan_region *regions, size_t count, uint64_t *all,
                      uint64_t *inside, struct mc_error *err)
{
    struct mc_mergeable mergeable;
    char path[64];
    FILE *smaps;
    int rc;

    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
    smaps = fopen(path, "re");
    if (!smaps)
        return mc_error_set(err, errno == ENOENT ? -ESRCH : -errno, "%s cannot be read: %s", path,
                            strerror(errno));
    rc = mc_smaps_mergeable(smaps, regions, count, &mergeable, err);
    fclose(smaps);
    *all = mergeable.all;
    *inside = mergeable.inside;
    return rc;
}

int mc_scan_guest_open(struct mc_scan_guest *guest, pid_t pid, struct mc_error *err)
{
    char path[64];
    int rc = 0;

    guest->pid = pid;
    guest->mergeable = true;
    for (size_t i = 0; i < guest->region_count; i++)
        guest->regions[i].fd = -1;
    snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
    guest->pagemap = open(path, O_RDONLY | O_CLOEXEC);
    if (guest->pagemap < 0)
        rc = mc_error_set(err, errno == ENOENT ? -ESRCH : -errno, "%s cannot be opened: %s", path,
                          strerror(errno));
    for (size_t i = 0; rc == 0 && i < guest->region_count; i++)
        rc = open_region(guest, &guest->regions[i], err);
    if (rc < 0)
        mc_scan_guest_close(guest);
    return rc;
}
