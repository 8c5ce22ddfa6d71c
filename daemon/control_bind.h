/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTLD_CONTROL_BIND_H
#define MEMCTLD_CONTROL_BIND_H

#include <sys/types.h>

#include <memctl/error.h>

/*
 * A listening socket's descriptor at this path (which fits a sockaddr_un), in the place of one that
 * a crash has left, for its owner and the group; (gid_t)-1 leaves the group as it is. -EADDRINUSE
 * if another memctld answers there, -EEXIST if it is no socket, or -errno, with a sentence.
 */
int control_bind(const char *path, gid_t group, struct mc_error *err);

#endif
