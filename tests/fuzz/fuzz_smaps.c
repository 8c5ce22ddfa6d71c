/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /proc/PID/smaps: whatever stands in it, a mapping that is found covers what was asked for. */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>

#include <memctl/units.h>

#include "dedupe/smaps.h"

#define ADDRESS UINT64_C(0x7f0000000000)

const char *const fuzz_seeds[] = {
    "7f0000000000-7f0010000000 rw-p 00000000 00:00 0 \nKernelPageSize:        4 kB\n"
    "Rss:              102400 kB\nKSM:                  12 kB\nVmFlags: rd wr mr mw me ac mg \n"
    "7f0010000000-7f0020000000 rw-p 00000000 00:00 0 \nRss: 4 kB\nVmFlags: rd wr mg\n",
    "7f0000000000-7f0020000000 rw-s 00000000 00:01 2055    /memfd:pc.ram (deleted)\n"
    "KernelPageSize:     2048 kB\nRss: 0 kB\nVmFlags: rd wr sh\n",
    "55e000000000-55e000001000 r-xp 00000000 fe:00 12      /usr/bin/qemu\nRss: 4 kB\n"
    "7f0000000000-7f0001000000 rw-p 00000000 00:00 0\n",
    "7f0000000000-7effffffffff rw-p 0 0:0 0\nRss: 99999999999999999999 kB\n",
    "",
    NULL,
};

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_mergeable(const uint8_t *data, size_t size)
{
    static const struct mc_scan_region regions[] = {
        {.address = ADDRESS, .size = 256 * MC_MIB},
        {.address = ADDRESS + 256 * MC_MIB, .size = MC_PAGE},
    };
    FILE *file = size ? fmemopen((void *)(uintptr_t)data, size, "r") : fopen("/dev/null", "r");
    struct mc_mergeable mergeable;
    struct mc_error err;

    demand(file != NULL);
    demand(mc_smaps_mergeable(file, regions, 2, &mergeable, &err) <= 0);
    fclose(file);
    demand(mergeable.inside <= mergeable.all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {MC_PAGE, 256 * MC_MIB, 512 * MC_MIB, 0, UINT64_MAX};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        FILE *file = size ? fmemopen((void *)(uintptr_t)data, size, "r") : fopen("/dev/null", "r");
        struct mc_mapping mapping;
        struct mc_error err;
        int rc;

        demand(file != NULL);
        rc = mc_smaps_find(file, ADDRESS, sizes[i], &mapping, &err);
        fclose(file);
        demand(rc == 0 || rc == -ENOENT || rc == -EINVAL || rc == -EIO);
        demand(rc < 0 || (mapping.start <= ADDRESS && mapping.end >= ADDRESS + sizes[i] &&
                          mapping.page_size > 0));
    }
    check_mergeable(data, size);
    return 0;
}
