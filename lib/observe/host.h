/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTL_HOST_H
#define MEMCTL_HOST_H

#include <memctl/model.h>

/* Open files of a proc file system, so that a reading opens nothing. Start from {.meminfo = -1,
 * .pressure = -1}. */
struct mc_host_reader {
    int meminfo, pressure;
};

/*
 * Open a proc file system (normally "/proc"). A kernel without PSI has no pressure file, which is
 * no error. Negative errno with a sentence if meminfo cannot be opened.
 */
int mc_host_open(const char *proc, struct mc_host_reader *reader, struct mc_error *err);
void mc_host_close(struct mc_host_reader *reader);

/* Read memory and pressure. -EIO or -EBADMSG with a sentence if meminfo cannot be read. */
int mc_host_read(const struct mc_host_reader *reader, struct mc_host *host, struct mc_error *err);

#endif
