/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTL_HOST_H
#define MEMCTL_HOST_H

#include <memctl/model.h>

/*
 * Read this host's memory and pressure from a proc file system (normally "/proc"). A kernel without
 * PSI leaves pressure.present false. -EIO or -EBADMSG with a sentence if meminfo cannot be read.
 */
int mc_host_read(const char *proc, struct mc_host *host, struct mc_error *err);

#endif
