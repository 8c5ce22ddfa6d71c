/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How the working set is found, in a few words. */
static const char *method_of(const json_t *agent, char *text, size_t size)
{
    const json_t *set = json_object_get(agent, "working_set");

    if (!json_is_object(set))
        return "-";
    snprintf(text, size, "%s %llds %d%%", json_text(set, "method"),
             (long long)(json_integer_value(json_object_get(set, "window_ms")) + 500) / 1000,
             (int)json_integer_value(json_object_get(set, "confidence")));
    return text;
}

/* What is to be done, the first thing that is missing. */
static const char *missing(const json_t *guest)
{
    const json_t *agent = json_object_get(guest, "agent");
    bool runs = strcmp(json_text(guest, "state"), "stopped") != 0;

    if (!runs)
        return "it does not run";
    if (!json_is_true(json_object_get(guest, "agent_channel")))
        return "no channel: 'memctl agent enable' adds it";
    if (!json_is_object(agent))
        return "nobody speaks: install and start balloon-guest-agent in it";
    if (!json_is_object(json_object_get(agent, "working_set")))
        return "no working set yet: it takes a minute, and root in the guest";
    return "";
}

static void print_agent(const json_t *guest)
{
    const json_t *agent = json_object_get(guest, "agent");
    char text[64];

    printf("%-16s %-8s %-10s %-22s %8s  %s\n", json_text(guest, "name"),
           json_is_true(json_object_get(guest, "agent_channel")) ? "yes" : "no",
           json_is_object(agent) ? json_text(agent, "version") : "-",
           method_of(agent, text, sizeof(text)), cli_size(guest, "active"), missing(guest));
}

static void print_agents(const json_t *guests)
{
    const json_t **sorted = cli_sort_by_name(guests);

    printf("%-16s %-8s %-10s %-22s %8s  %s\n", "GUEST", "CHANNEL", "AGENT", "WORKING SET BY",
           "ACTIVE", "MISSING");
    for (size_t i = 0; sorted && i < json_array_size(guests); i++)
        print_agent(sorted[i]);
    free(sorted);
}

static int agent_status(const struct cli *cli, int argc, char **argv)
{
    json_t *result, *guests;
    int code;

    if (argc > 1)
        return cli_usage(&command_agent, "status takes one guest, or none for all");
    code = cli_ask(cli, argc ? "show" : "list", argc ? json_pack("{s:s}", "guest", argv[0]) : NULL,
                   &result);
    if (code != EXIT_OK)
        return code;
    guests = argc ? json_pack("[O]", result) : json_incref(json_object_get(result, "guests"));
    json_decref(result);
    if (cli->json)
        return cli_print_json(guests);
    print_agents(guests);
    json_decref(guests);
    return EXIT_OK;
}

static int agent_enable(const struct cli *cli, int argc, char **argv)
{
    json_t *result;
    int code;

    if (argc != 1)
        return cli_usage(&command_agent, "enable takes one guest");
    code = cli_ask(cli, "agent-enable", json_pack("{s:s}", "guest", argv[0]), &result);
    if (code != EXIT_OK)
        return code;
    if (cli->json)
        return cli_print_json(result);
    if (!json_is_true(json_object_get(result, "added")))
        printf("%s has the channel already", json_text(result, "guest"));
    else if (!json_is_true(json_object_get(result, "lasts")))
        printf(
            "%s has the channel for as long as it runs (libvirt has no definition of it: add the "
            "channel where it is started from)",
            json_text(result, "guest"));
    else if (json_is_true(json_object_get(result, "running")))
        printf("%s has the channel, now and after its next start", json_text(result, "guest"));
    else
        printf("%s has the channel from its next start on", json_text(result, "guest"));
    puts("; balloon-guest-agent has to run in the guest");
    json_decref(result);
    return EXIT_OK;
}

static int run(const struct cli *cli, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct cli *cli, int argc, char **argv);
    } actions[] = {{"status", agent_status}, {"enable", agent_enable}};

    for (size_t i = 0; argc && i < sizeof(actions) / sizeof(*actions); i++)
        if (strcmp(argv[0], actions[i].name) == 0)
            return actions[i].run(cli, argc - 1, argv + 1);
    return cli_usage(&command_agent,
                     argc ? "'%s' is not status or enable" : "what? status or enable",
                     argc ? argv[0] : "");
}

const struct command command_agent = {
    .name = "agent",
    .arguments = "status [GUEST] | enable GUEST",
    .summary = "what each guest's agent says and what is missing; add its channel",
    .help =
        "  status [GUEST]  whether the guest has the channel, whether its agent speaks, how it\n"
        "                  finds the working set (method, window, confidence), and what to do\n"
        "  enable GUEST    add the channel to the guest, while it runs where libvirt can, and to\n"
        "                  its definition",
    .run = run,
};
