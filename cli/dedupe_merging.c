/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What KSM was made to merge: guest by guest what was promised, what came of it, and why. */
#include "dedupe.h"

#include <stdio.h>
#include <string.h>

/* All of its RAM, a part of it, or none. */
static const char *state_of(const json_t *guest)
{
    const json_t *mergeable = json_object_get(guest, "mergeable");

    if (!json_is_integer(mergeable))
        return "unknown";
    return json_integer_value(mergeable) ? "yes" : "no";
}

static void print_guest(const json_t *guest)
{
    printf("%-16s %-9s %8s %8s  %s\n", json_text(guest, "name"), state_of(guest),
           cli_size(guest, "promised"), cli_size(guest, "saved"), json_text(guest, "why"));
}

void merging_print(const json_t *merging)
{
    const char *domain = json_text(merging, "trust_domain");
    const json_t *seconds = json_object_get(merging, "ksmd_seconds"), *guest;
    size_t i;

    printf("\n%-16s %-9s %8s %8s  %s\n", "GUEST", "MERGEABLE", "PROMISED", "SAVED", "REASON");
    json_array_foreach (json_object_get(merging, "guests"), i, guest)
        print_guest(guest);
    printf("KSM: %s%s%s: %s", json_text(merging, "pace"), *domain ? ", trust domain " : "", domain,
           json_text(merging, "why"));
    if (json_is_number(seconds))
        printf("; %.2f s of processor time so far", json_number_value(seconds));
    putchar('\n');
}
