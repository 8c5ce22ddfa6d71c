/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "simulate/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mc_commands_free(struct mc_commands *commands)
{
    free(commands->list);
}

struct mc_command *mc_commands_add(struct mc_commands *commands, enum mc_command_kind kind,
                                   const char *uuid, uint64_t due_ms)
{
    struct mc_command *command;

    if (commands->count == commands->room) {
        size_t room = commands->room ? commands->room * 2 : 16;
        struct mc_command *grown = reallocarray(commands->list, room, sizeof(*grown));

        if (!grown)
            return NULL;
        commands->list = grown;
        commands->room = room;
    }
    command = &commands->list[commands->count++];
    *command = (struct mc_command){.kind = kind, .due_ms = due_ms};
    snprintf(command->uuid, sizeof(command->uuid), "%s", uuid);
    return command;
}

bool mc_commands_are_under_way(const struct mc_commands *commands, enum mc_command_kind kind,
                               const char *uuid)
{
    for (size_t i = 0; i < commands->count; i++)
        if (commands->list[i].kind == kind && strcmp(commands->list[i].uuid, uuid) == 0)
            return true;
    return false;
}

void mc_commands_drop(struct mc_commands *commands, size_t count)
{
    if (!count)
        return;
    commands->count -= count;
    memmove(commands->list, commands->list + count, commands->count * sizeof(*commands->list));
}
