/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Talking to a running memctld. */
#ifndef MEMCTL_CLIENT_H
#define MEMCTL_CLIENT_H

#include <jansson.h>

#include <memctl/error.h>
#include <memctl/visibility.h>

struct mc_client;

/*
 * Connect to the daemon's socket; path NULL means $MEMCTL_SOCKET or the default. -ECONNREFUSED when
 * no daemon listens there, -EACCES when the caller may not.
 */
MC_PUBLIC int mc_client_open(const char *path, struct mc_client **client, struct mc_error *err);
MC_PUBLIC void mc_client_close(struct mc_client *client);

/* Wait for answers so many seconds longer: the question says that it takes its time. */
MC_PUBLIC void mc_client_be_patient(struct mc_client *client, unsigned more_s);

/*
 * Ask and wait for the answer, at most 30 s. Takes over args (may be NULL). The result is a new
 * reference. Errors are the daemon's own, or -ETIMEDOUT, -EPROTO, -ECONNRESET.
 */
MC_PUBLIC int mc_client_call(struct mc_client *client, const char *verb, json_t *args,
                             json_t **result, struct mc_error *err);

#endif
