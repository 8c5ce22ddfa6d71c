/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/model.h>

struct hold {
    char uuid[MC_UUID_TEXT];
    uint64_t until_ms;
    struct hold *next;
};

void holds_free(struct holds *holds)
{
    while (holds->first) {
        struct hold *next = holds->first->next;

        free(holds->first);
        holds->first = next;
    }
}

void holds_add(struct holds *holds, const char *uuid, uint64_t until_ms)
{
    struct hold *hold = calloc(1, sizeof(*hold));

    if (!hold)
        return;
    snprintf(hold->uuid, sizeof(hold->uuid), "%s", uuid);
    hold->until_ms = until_ms;
    hold->next = holds->first;
    holds->first = hold;
}

bool holds_has(struct holds *holds, const char *uuid, uint64_t now_ms)
{
    struct hold **link = &holds->first;
    bool found = false;

    while (*link) {
        struct hold *hold = *link;

        if (now_ms < hold->until_ms) {
            found = found || strcmp(hold->uuid, uuid) == 0;
            link = &hold->next;
            continue;
        }
        *link = hold->next;
        free(hold);
    }
    return found;
}
