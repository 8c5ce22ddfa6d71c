/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading what QEMU's monitor answers about memory. Pure; QEMU is not believed to make sense. */
#ifndef MEMCTL_QEMU_MONITOR_H
#define MEMCTL_QEMU_MONITOR_H

#include <memctl/hypervisor.h>

/* The reply to query-memdev: ids, sizes, sharing and merging; addresses are 0. -EPROTO with a
 * sentence. */
int mc_qemu_read_memdevs(const char *reply, struct mc_guest_memory *memory, struct mc_error *err);

/* The reply to a command that returns nothing of interest. -EPROTO with QEMU's own words. */
int mc_qemu_read_done(const char *reply, struct mc_error *err);

/*
 * "info mtree -f" says where memory is in the guest: the first range of the backend with this id.
 * *guest_address is where it begins for the guest, *offset what of the backend lies there. -ENOENT.
 */
int mc_qemu_find_range(const char *mtree, const char *id, uint64_t *guest_address,
                       uint64_t *offset);

/*
 * "gpa2hva ADDRESS" says where that is for QEMU; of the backend with this id, or it is refused.
 * -ENOENT, -EPROTO.
 */
int mc_qemu_read_host_address(const char *reply, const char *id, uint64_t *address);

#endif
