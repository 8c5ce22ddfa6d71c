/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/smaps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

/* "7f0000000000-7f0010000000 rw-p 00000000 00:01 1234   /memfd:pc.ram (deleted)" */
static bool read_head(const char *line, struct mc_mapping *mapping)
{
    char permissions[5];

    *mapping = (struct mc_mapping){.page_size = MC_PAGE};
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64, &mapping->start,
               &mapping->end, permissions, &mapping->offset, &mapping->major, &mapping->minor,
               &mapping->inode) != 7)
        return false;
    mapping->shared = strlen(permissions) == 4 && permissions[3] == 's';
    return mapping->end > mapping->start;
}

static bool has_flag(const char *flags, const char *wanted)
{
    for (const char *at = strstr(flags, wanted); at; at = strstr(at + 1, wanted))
        if (at[-1] == ' ' && (at[2] == ' ' || at[2] == '\n' || !at[2]))
            return true;
    return false;
}

/* "KernelPageSize:        4 kB" */
static bool read_size(const char *line, const char *name, uint64_t *bytes)
{
    size_t length = strlen(name);

    if (strncmp(line, name, length) != 0 || line[length] != ':')
        return false;
    *bytes += mc_min_u64(strtoull(line + length + 1, NULL, 10), MC_SIZE_MAX / MC_KIB) * MC_KIB;
    return true;
}

static void read_field(const char *line, struct mc_mapping *mapping)
{
    uint64_t page_size = 0;

    if (read_size(line, "KernelPageSize", &page_size)) {
        if (page_size)
            mapping->page_size = page_size;
    } else if (strncmp(line, "VmFlags:", 8) == 0) {
        mapping->mergeable = has_flag(line + 8, "mg");
    } else if (!read_size(line, "Rss", &mapping->resident)) {
        read_size(line, "KSM", &mapping->ksm);
    }
}

/* Does `next` go on where `mapping` ends, with the same memory? The kernel splits by flags. */
static bool continues(const struct mc_mapping *mapping, const struct mc_mapping *next)
{
    return next->start == mapping->end && next->shared == mapping->shared &&
           next->inode == mapping->inode && next->major == mapping->major &&
           next->minor == mapping->minor && next->page_size == mapping->page_size &&
           (!mapping->inode || next->offset == mapping->offset + (mapping->end - mapping->start));
}

struct search {
    uint64_t address, end;
    struct mc_mapping *joined;
    bool found, broken;
};

/* A mapping was read to its end. */
static void take(struct search *search, const struct mc_mapping *mapping)
{
    struct mc_mapping *joined = search->joined;

    if (mapping->end <= search->address || mapping->start >= search->end)
        return;
    if (!search->found) {
        *joined = *mapping;
        search->found = true;
    } else if (continues(joined, mapping)) {
        joined->end = mapping->end;
        joined->mergeable &= mapping->mergeable;
        joined->resident += mapping->resident;
        joined->ksm += mapping->ksm;
    } else {
        search->broken = true;
    }
}

static int judge(const struct search *search, uint64_t size, struct mc_error *err)
{
    if (search->broken)
        return mc_error_set(err, -EINVAL,
                            "%" PRIu64 " MiB at %" PRIx64 " are not one mapping of one kind",
                            size / MC_MIB, search->address);
    if (!search->found || search->joined->start > search->address ||
        search->joined->end < search->end)
        return mc_error_set(err, -ENOENT, "%" PRIu64 " MiB at %" PRIx64 " are not mapped there",
                            size / MC_MIB, search->address);
    return 0;
}

int mc_smaps_find(FILE *smaps, uint64_t address, uint64_t size, struct mc_mapping *mapping,
                  struct mc_error *err)
{
    struct search search = {.address = address, .end = address + size, .joined = mapping};
    struct mc_mapping read = {0};
    char *line = NULL;
    size_t room = 0;

    if (!size || search.end < address)
        return mc_error_set(err, -ENOENT, "no memory");
    *mapping = (struct mc_mapping){0};
    while (getline(&line, &room, smaps) > 0) {
        if (*line >= 'A' && *line <= 'Z') {
            read_field(line, &read);
        } else {
            take(&search, &read);
            if (!read_head(line, &read))
                read = (struct mc_mapping){0};
        }
    }
    take(&search, &read);
    free(line);
    if (ferror(smaps))
        return mc_error_set(err, -EIO, "the list of mappings cannot be read: %s", strerror(errno));
    return judge(&search, size, err);
}

/* ---- what is mergeable ---- */

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void add_mergeable(struct mc_mergeable *mergeable, const struct mc_mapping *mapping,
                          const struct mc_scan_region *regions, size_t count)
{
    if (!mapping->mergeable)
        return;
    mergeable->all = plus(mergeable->all, mapping->end - mapping->start);
    for (size_t i = 0; i < count; i++) {
        uint64_t start = mc_max_u64(mapping->start, regions[i].address);
        uint64_t end = mc_min_u64(mapping->end, regions[i].address + regions[i].size);

        mergeable->inside = plus(mergeable->inside, mc_less_u64(end, start));
    }
}

int mc_smaps_mergeable(FILE *smaps, const struct mc_scan_region *regions, size_t count,
                       struct mc_mergeable *mergeable, struct mc_error *err)
{
    struct mc_mapping read = {0};
    char *line = NULL;
    size_t room = 0;

    *mergeable = (struct mc_mergeable){0};
    while (getline(&line, &room, smaps) > 0) {
        if (*line >= 'A' && *line <= 'Z') {
            read_field(line, &read);
        } else {
            add_mergeable(mergeable, &read, regions, count);
            if (!read_head(line, &read))
                read = (struct mc_mapping){0};
        }
    }
    add_mergeable(mergeable, &read, regions, count);
    free(line);
    if (ferror(smaps))
        return mc_error_set(err, -EIO, "the list of mappings cannot be read: %s", strerror(errno));
    return 0;
}
