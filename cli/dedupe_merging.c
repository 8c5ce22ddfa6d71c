/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What KSM was made to merge: guest by guest what was promised, what came of it, and why. */
#include "dedupe.h"

#include <stdio.h>
#include <string.h>

/* All of its RAM, a part of it, or none. */
const char *merging_state(const json_t *guest)
{
    uint64_t mergeable = json_size(guest, "mergeable"), ram = json_size(guest, "ram");

    if (mergeable == MC_UNKNOWN)
        return "unknown";
    if (!mergeable)
        return "no";
    return ram != MC_UNKNOWN && mergeable < ram ? "part" : "yes";
}

/* Before ksmd looked; until then, now. */
const char *merging_promise(const json_t *object)
{
    return cli_size(object, json_size(object, "foretold") != MC_UNKNOWN ? "foretold" : "promised");
}

/* What is saved of what was promised, "-" where nothing was yet. */
void merging_kept(const json_t *object, char text[16])
{
    uint64_t foretold = json_size(object, "foretold");

    snprintf(text, 16, "-");
    if (foretold != MC_UNKNOWN && foretold)
        snprintf(text, 16, "%.0f%%", 100 * (double)json_size(object, "saved") / (double)foretold);
}

double merging_seconds(const json_t *guest)
{
    return (double)json_integer_value(json_object_get(guest, "cpu_ms")) / 1000;
}

static void print_guest(const json_t *guest)
{
    char kept[16];

    merging_kept(guest, kept);
    printf("%-16s %-9s %8s %8s %5s %7.2fs  %s\n", json_text(guest, "name"), merging_state(guest),
           merging_promise(guest), cli_size(guest, "saved"), kept, merging_seconds(guest),
           json_text(guest, "why"));
}

static void print_ksmd(const json_t *merging)
{
    const json_t *seconds = json_object_get(merging, "ksmd_seconds");

    if (json_is_number(seconds))
        printf("ksmd: %.2f s of processor time since the boot, ", json_number_value(seconds));
    else
        printf("ksmd: ");
    printf("%lld pages a second of it%s\n",
           (long long)json_integer_value(json_object_get(merging, "pages_per_second")),
           json_is_true(json_object_get(merging, "speed_is_learned")) ? "" : " (not learned yet)");
}

void merging_print(const json_t *merging)
{
    const char *domain = json_text(merging, "trust_domain");
    const json_t *guest;
    char kept[16];
    size_t i;

    printf("\n%-16s %-9s %8s %8s %5s %8s  %s\n", "GUEST", "MERGEABLE", "PROMISED", "SAVED", "KEPT",
           "COST", "REASON");
    json_array_foreach (json_object_get(merging, "guests"), i, guest)
        print_guest(guest);
    printf("KSM: %s%s%s: %s", json_text(merging, "pace"), *domain ? ", trust domain " : "", domain,
           json_text(merging, "why"));
    merging_kept(merging, kept);
    if (*kept != '-')
        printf(", %s of the %s that were promised before", kept, cli_size(merging, "foretold"));
    putchar('\n');
    print_ksmd(merging);
}
