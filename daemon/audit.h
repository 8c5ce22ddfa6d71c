/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEMCTLD_AUDIT_H
#define MEMCTLD_AUDIT_H

#include <sys/socket.h>

#include <memctl/error.h>

/*
 * A line in the log for a request to change something: who, what, and how it ended. args: JSON, or
 * NULL for none. err: why it was not done, NULL if it was.
 */
void audit_change(const struct ucred *peer, const char *verb, const char *args,
                  const struct mc_error *err);

#endif
