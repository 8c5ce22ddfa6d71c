/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What kind of memory there is, from /proc/meminfo. A balloon that may deflate by itself is still
 * counted as the guest's, and is nobody's memory: it would look like the kernel's own.
 */
#include "workset.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICES "/sys/bus/virtio/devices"

/* linux/virtio_ids.h, linux/virtio_balloon.h: a device's features are a text of 0 and 1. */
#define VIRTIO_ID_BALLOON 5
#define DEFLATE_ON_OOM 2

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static bool deflates_on_oom(const char *root, const char *device)
{
    char path[PATH_ROOM / 2], text[128];

    snprintf(path, sizeof(path), DEVICES "/%.64s/device", device);
    if (file_read(root, path, text, sizeof(text)) <= 0 ||
        strtoul(text, NULL, 0) != VIRTIO_ID_BALLOON)
        return false;
    snprintf(path, sizeof(path), DEVICES "/%.64s/features", device);
    return file_read(root, path, text, sizeof(text)) > DEFLATE_ON_OOM &&
           text[DEFLATE_ON_OOM] == '1';
}

bool balloon_is_counted(const char *root)
{
    char name[PATH_ROOM];
    struct dirent *entry;
    bool found = false;
    DIR *devices;

    snprintf(name, sizeof(name), "%s" DEVICES, root);
    devices = opendir(name);
    while (devices && !found && (entry = readdir(devices)))
        found = deflates_on_oom(root, entry->d_name);
    if (devices)
        closedir(devices);
    return found;
}

/* Lines of /proc/vmstat are "name pages", without a colon. */
static uint64_t pages_of(const char *text, const char *name)
{
    const char *line = strstr(text, name);

    return line ? strtoull(line + strlen(name), NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t balloon_size(const char *root)
{
    char text[16384];

    if (file_read(root, "/proc/vmstat", text, sizeof(text)) <= 0)
        return 0;
    return less(pages_of(text, "\nballoon_inflate "), pages_of(text, "\nballoon_deflate "));
}

int kinds_read(const char *root, bool with_balloon, struct kinds *kinds)
{
    char text[8192];
    uint64_t total, files;

    if (file_read(root, "/proc/meminfo", text, sizeof(text)) <= 0)
        return -ENODATA;
    total = file_value(text, "MemTotal");
    files = file_value(text, "Cached") + file_value(text, "Buffers");
    kinds->page_cache = less(less(files, file_value(text, "Shmem")), file_value(text, "Mapped"));
    /* Pages of files that are in use, mapped ones too; the rest were read once and not again. */
    kinds->used_twice = min(file_value(text, "Active(file)"), kinds->page_cache);
    kinds->anon_huge = file_value(text, "AnonHugePages");
    kinds->kernel =
        less(total, file_value(text, "MemFree") + files + file_value(text, "AnonPages") +
                        file_value(text, "SReclaimable") + file_value(text, "SwapCached"));
    if (with_balloon)
        kinds->kernel = less(kinds->kernel, balloon_size(root));
    return 0;
}
