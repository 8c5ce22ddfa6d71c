/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a QEMU that went bad may answer about memory. */
#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/units.h>

#include "hypervisor/qemu_monitor.h"

const char *const fuzz_seeds[] = {
    "{\"return\":[{\"share\":false,\"size\":268435456,\"merge\":true,\"id\":\"pc.ram\"}],"
    "\"id\":\"libvirt-413\"}",
    "{\"return\":[{\"size\":4096,\"id\":\"a\"},{\"share\":true,\"size\":8192,\"id\":\"b\"}]}",
    "FlatView #1\n AS \"memory\", root: system\n Root memory region: system\n"
    "  0000000000000000-00000000000c2fff (prio 0, ram): pc.ram\n"
    "  00000000000c3000-00000000000e7fff (prio 0, rom): pc.ram @00000000000c3000\n"
    "  0000000100000000-000000017fffffff (prio 0, ram): pc.ram @00000000c0000000 KVM\n",
    "  0-): ): ram): pc.ram @",
    "Host virtual address for 0x100000 (pc.ram) is 0x7fa4edf00000\n",
    "{\"return\":{},\"id\":\"libvirt-414\"}",
    "{\"id\":\"libvirt-1\",\"error\":{\"class\":\"GenericError\",\"desc\":\"no such property\"}}",
    "No memory is mapped at address 0xc0000000",
    NULL,
};

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_memdevs(const char *text)
{
    struct mc_guest_memory memory;
    struct mc_error err;

    if (mc_qemu_read_memdevs(text, &memory, &err) < 0)
        return;
    demand(memory.count > 0 && memory.count <= MC_MEMORY_BACKENDS_MAX);
    for (size_t i = 0; i < memory.count; i++) {
        demand(memchr(memory.backends[i].id, '\0', sizeof(memory.backends[i].id)) != NULL);
        demand(memory.backends[i].size > 0 && memory.backends[i].size <= MC_SIZE_MAX &&
               memory.backends[i].size % MC_PAGE == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t address, offset;
    struct mc_error err;
    char *text = malloc(size + 1);

    demand(text != NULL);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    check_memdevs(text);
    demand(mc_qemu_read_done(text, &err) <= 0);
    demand(mc_qemu_find_range(text, "pc.ram", &address, &offset) <= 0);
    if (mc_qemu_read_host_address(text, "pc.ram", &address) == 0)
        demand(address && address % MC_PAGE == 0 && address <= INT64_MAX);
    free(text);
    return 0;
}
