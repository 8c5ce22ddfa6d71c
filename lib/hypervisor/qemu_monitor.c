/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/qemu_monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <memctl/units.h>

static int take_memdev(const json_t *item, struct mc_memory_backend *backend)
{
    const char *id = json_string_value(json_object_get(item, "id"));
    const json_t *size = json_object_get(item, "size");

    if (!id || !*id || strlen(id) >= sizeof(backend->id) || !json_is_integer(size) ||
        json_integer_value(size) <= 0 || (uint64_t)json_integer_value(size) > MC_SIZE_MAX ||
        json_integer_value(size) % (json_int_t)MC_PAGE)
        return -EPROTO;
    *backend = (struct mc_memory_backend){
        .size = (uint64_t)json_integer_value(size),
        .shared = json_is_true(json_object_get(item, "share")),
        .merge = json_is_true(json_object_get(item, "merge")),
    };
    memcpy(backend->id, id, strlen(id) + 1);
    return 0;
}

int mc_qemu_read_memdevs(const char *reply, struct mc_guest_memory *memory, struct mc_error *err)
{
    json_t *message = json_loads(reply, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(message, "return");
    size_t count = json_array_size(list);
    int rc = json_is_array(list) && count ? 0 : -EPROTO;

    *memory = (struct mc_guest_memory){0};
    if (count > MC_MEMORY_BACKENDS_MAX)
        rc = -EPROTO;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = take_memdev(json_array_get(list, i), &memory->backends[memory->count++]);
    json_decref(message);
    if (rc == 0)
        return 0;
    return mc_error_set(err, rc, "QEMU's list of memory backends (query-memdev) makes no sense");
}

int mc_qemu_read_done(const char *reply, struct mc_error *err)
{
    json_t *message = json_loads(reply, JSON_REJECT_DUPLICATES, NULL);
    const json_t *error = json_object_get(message, "error");
    const char *text = json_string_value(json_object_get(error, "desc"));
    int rc = json_object_get(message, "return") && !error ? 0 : -EPROTO;

    if (rc < 0)
        mc_error_set(err, rc, "QEMU refuses: %.200s", text ? text : "its answer makes no sense");
    json_decref(message);
    return rc;
}

/* "  0000000000100000-00000000bfffffff (prio 0, ram): pc.ram @0000000000100000 KVM" */
static bool read_range(const char *line, const char *end, const char *id, uint64_t *guest_address,
                       uint64_t *offset)
{
    size_t length = strlen(id);
    const char *name = line;
    char *rest;
    uint64_t start = strtoull(line, &rest, 16);

    if (rest == line || *rest != '-')
        return false;
    while (name + 3 < end && strncmp(name, "): ", 3) != 0)
        name++;
    name += 3;
    /* A rom is RAM that the guest has locked for the time of its start. */
    if (name >= end || (strncmp(name - 6, "ram", 3) != 0 && strncmp(name - 6, "rom", 3) != 0) ||
        (size_t)(end - name) < length || strncmp(name, id, length) != 0)
        return false;
    name += length;
    if (name < end && *name != ' ')
        return false; /* the name goes on */
    *guest_address = start;
    *offset = name + 2 < end && name[1] == '@' ? strtoull(name + 2, NULL, 16) : 0;
    return true;
}

int mc_qemu_find_range(const char *mtree, const char *id, uint64_t *guest_address, uint64_t *offset)
{
    for (const char *line = mtree; *line;) {
        const char *end = line + strcspn(line, "\r\n");

        if (line[0] == ' ' && line[1] == ' ' &&
            read_range(line + 2, end, id, guest_address, offset))
            return 0;
        line = end + strspn(end, "\r\n");
    }
    return -ENOENT;
}

/* "Host virtual address for 0x100000 (pc.ram) is 0x7fa4edf00000" */
int mc_qemu_read_host_address(const char *reply, const char *id, uint64_t *address)
{
    const char *open = strchr(reply, '('), *close = open ? strchr(open, ')') : NULL;
    size_t length = strlen(id);

    if (strncmp(reply, "Host virtual address for ", 25) != 0 || !close)
        return -ENOENT;
    if ((size_t)(close - open - 1) != length || strncmp(open + 1, id, length) != 0 ||
        sscanf(close, ") is 0x%" SCNx64, address) != 1 || *address % MC_PAGE || !*address ||
        *address > (uint64_t)INT64_MAX)
        return -EPROTO;
    return 0;
}
