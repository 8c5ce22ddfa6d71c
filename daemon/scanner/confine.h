/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What memctl-scan gives up before it sees the first page. */
#ifndef MEMCTL_SCAN_CONFINE_H
#define MEMCTL_SCAN_CONFINE_H

#include <memctl/error.h>

/*
 * The lowest priorities for processor, disk and life; no core dump, which would hold guests' pages;
 * no way to gain privileges.
 */
int confine_priorities(struct mc_error *err);

/* Of all capabilities only CAP_SYS_PTRACE stays, if the process has it. */
int confine_capabilities(struct mc_error *err);

/*
 * From here on only system calls that read other processes' memory, talk to the socket, wait and
 * manage this process's own memory; any other ends the process. Nothing can be opened, connected,
 * started or written, and no memory of a guest can be mapped to be written. It holds for all
 * threads, and no other can be made.
 */
int confine_calls(struct mc_error *err);

#endif
