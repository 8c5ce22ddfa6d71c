/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "audit.h"

#include <errno.h>
#include <stdio.h>

#include "log.h"

/* What `journalctl MESSAGE_ID=` finds them by; also in memctld(8). */
#define MESSAGE_ID "458196fa82754b95a1a6a51a4e252c22"

void audit_change(const struct ucred *peer, const char *verb, const char *args,
                  const struct mc_error *err)
{
    const char *outcome = !err ? "done" : err->code == -EACCES ? "denied" : "failed";
    char uid[16], pid[16];
    const struct log_field fields[] = {
        {"MESSAGE_ID", MESSAGE_ID},
        {"MEMCTL_UID", uid},
        {"MEMCTL_PID", pid},
        {"MEMCTL_VERB", verb},
        {"MEMCTL_ARGUMENTS", args},
        {"MEMCTL_OUTCOME", outcome},
        {"MEMCTL_ERROR", err ? err->text : NULL},
    };

    snprintf(uid, sizeof(uid), "%u", (unsigned)peer->uid);
    snprintf(pid, sizeof(pid), "%d", (int)peer->pid);
    log_fields(err ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, fields, sizeof(fields) / sizeof(*fields),
               "audit: uid %s pid %s: %s %.400s: %s%s%.300s", uid, pid, verb, args ? args : "{}",
               outcome, err ? ", " : "", err ? err->text : "");
}
