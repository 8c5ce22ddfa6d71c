/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is done to it beside its balloon. */
static const char *technique_of(const json_t *plan)
{
    const char *resort = json_text(plan, "last_resort");

    if (json_is_object(plan) && strcmp(resort, "none") != 0)
        return strcmp(resort, "continue") == 0 ? "+continue" : "+last-resort";
    if (json_is_object(plan) && json_size(plan, "host_reclaim"))
        return "+host-reclaim";
    return "";
}

static void print_guest(const json_t *guest)
{
    const json_t *plan = json_object_get(guest, "plan");

    printf("%-16s %-8s %7lld %7s %7s %7s %7s %7s %7s  %-7s  %s%s\n", json_text(guest, "name"),
           json_text(guest, "state"),
           (long long)json_integer_value(json_object_get(guest, "shares")), cli_size(guest, "min"),
           cli_size(guest, "max"), cli_size(guest, "actual"), cli_size(guest, "used"),
           cli_size(guest, "active"), cli_size(plan, "target"), json_text(guest, "active_source"),
           cli_reason(guest), technique_of(plan));
}

/* From what it is known how much each works with. */
static void print_knowledge(const json_t *guest)
{
    const char *method = json_text(guest, "active_method");
    uint64_t window_ms = json_size(guest, "active_window_ms");
    char window[24] = "-", sure[24] = "-";

    if (*method) {
        if (window_ms)
            snprintf(window, sizeof(window), "%.0fs", (double)window_ms / 1000);
        snprintf(sure, sizeof(sure), "%lld%%",
                 (long long)json_integer_value(json_object_get(guest, "active_confidence")));
    }
    printf("%-16s %7s %7s  %-7s  %-15s %6s %5s\n", json_text(guest, "name"),
           cli_size(guest, "used"), cli_size(guest, "active"), json_text(guest, "active_source"),
           *method ? method : "-", window, sure);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(json_text(*(json_t *const *)a, "name"), json_text(*(json_t *const *)b, "name"));
}

const json_t **cli_sort_by_name(const json_t *guests)
{
    size_t count = json_array_size(guests);
    const json_t **sorted = calloc(count + 1, sizeof(*sorted));

    for (size_t i = 0; sorted && i < count; i++)
        sorted[i] = json_array_get(guests, i);
    if (sorted)
        qsort(sorted, count, sizeof(*sorted), by_name);
    return sorted;
}

static void print_table(const json_t *const *guests, size_t count, bool sources)
{
    if (sources)
        printf("%-16s %7s %7s  %-7s  %-15s %6s %5s\n", "GUEST", "USED", "ACTIVE", "SOURCE",
               "METHOD", "WINDOW", "SURE");
    else
        printf("%-16s %-8s %7s %7s %7s %7s %7s %7s %7s  %-7s  %s\n", "GUEST", "STATE", "SHARES",
               "MIN", "MAX", "ACTUAL", "USED", "ACTIVE", "TARGET", "SOURCE", "WHY");
    for (size_t i = 0; guests && i < count; i++)
        (sources ? print_knowledge : print_guest)(guests[i]);
}

static int run(const struct cli *cli, int argc, char **argv)
{
    json_t *result, *guests;
    const json_t **sorted;
    int code;

    (void)argv;
    if (argc)
        return cli_usage(&command_list, "takes no argument; 'memctl show GUEST' shows one guest");
    code =
        cli_ask(cli, "list", cli_option(cli, "all") ? json_pack("{s:b}", "all", 1) : NULL, &result);
    if (code != EXIT_OK)
        return code;
    guests = json_object_get(result, "guests");
    if (cli->json) {
        json_incref(guests);
        json_decref(result);
        return cli_print_json(guests);
    }
    sorted = cli_sort_by_name(guests);
    print_table(sorted, json_array_size(guests), cli_option(cli, "sources"));
    free(sorted);
    if (!json_is_true(json_object_get(result, "connected")))
        fputs("memctl: the daemon has no connection to the hypervisor; 'memctl status' says why\n",
              stderr);
    if (json_is_true(json_object_get(result, "dry_run")))
        fputs("memctl: dry run: TARGET is what would be sent; no guest is touched\n", stderr);
    if (json_is_true(json_object_get(result, "paused")))
        fputs("memctl: all guests are paused; 'memctl resume' lets them move again\n", stderr);
    json_decref(result);
    return EXIT_OK;
}

static const struct command_option options[] = {
    {"all", NULL, "also the guests that do not run"},
    {"sources", NULL, "from what it is known how much each works with"},
    {0},
};

const struct command command_list = {
    .name = "list",
    .arguments = "[--all] [--sources]",
    .summary = "list the guests with their memory and why it is what it is",
    .options = options,
    .help =
        "ACTUAL is what the balloon leaves the guest, USED what it cannot give up, ACTIVE what it\n"
        "works with, as SOURCE knows it (agent, host, balloon), TARGET what memctl wants it to\n"
        "have now; WHY is the rule that decided the target, or why the guest is left alone.\n"
        "+host-reclaim: the host also takes idle memory of it into swap; +last-resort: it is\n"
        "being suspended or saved.\n"
        "\n"
        "--all: also the guests that do not run, with the settings that hold at their next start.\n"
        "--sources: instead, by which METHOD ACTIVE is known, within which WINDOW memory was\n"
        "touched (of statistics: how often they come), and how SURE it is that no more is.",
    .run = run,
};
