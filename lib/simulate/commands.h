/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands on their way from a tick to the hypervisor. */
#ifndef MEMCTL_COMMANDS_H
#define MEMCTL_COMMANDS_H

#include <memctl/model.h>

enum mc_command_kind {
    MC_COMMAND_BALLOON,
    MC_COMMAND_RECLAIM,
    MC_COMMAND_STOP,
    MC_COMMAND_CONTINUE,
};

struct mc_command {
    enum mc_command_kind kind;
    char uuid[MC_UUID_TEXT];
    uint64_t bytes, due_ms;
    struct mc_stopped stopped; /* of one that stops */
};

/* In the order of time, as they all take equally long. Starts as {0}. */
struct mc_commands {
    struct mc_command *list;
    size_t count, room;
};

void mc_commands_free(struct mc_commands *commands);

/* Add one, to be completed by the caller; NULL when out of memory. */
struct mc_command *mc_commands_add(struct mc_commands *commands, enum mc_command_kind kind,
                                   const char *uuid, uint64_t due_ms);

bool mc_commands_are_under_way(const struct mc_commands *commands, enum mc_command_kind kind,
                               const char *uuid);

/* Forget the first ones, which have arrived. */
void mc_commands_drop(struct mc_commands *commands, size_t count);

#endif
