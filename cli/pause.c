/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two commands that are each other's opposite. */
#include "cli.h"

#include <stdio.h>

static int ask(const struct cli *cli, const char *verb, int argc, char **argv, json_t **result)
{
    int code = cli_ask(cli, verb, argc ? json_pack("{s:s}", "guest", argv[0]) : NULL, result);

    if (code == EXIT_OK && cli->json) {
        cli_print_json(*result);
        *result = NULL;
    }
    return code;
}

static int run_pause(const struct cli *cli, int argc, char **argv)
{
    json_t *result;
    const char *already;
    int code;

    if (argc > 1)
        return cli_usage(&command_pause, "takes one guest, or none for all");
    code = ask(cli, "pause", argc, argv, &result);
    if (code != EXIT_OK || !result)
        return code;
    already = json_is_true(json_object_get(result, "changed")) ? "" : " already";
    if (argc)
        printf("%s: paused%s; 'memctl resume %s' lets it move again\n", json_text(result, "guest"),
               already, argv[0]);
    else
        printf("all guests are paused%s; 'memctl resume' lets them move again\n", already);
    json_decref(result);
    return EXIT_OK;
}

/* Lifting the pause of all leaves alone what was paused by name: say so. */
static void print_still_paused(const json_t *result)
{
    const json_t *names = json_object_get(json_object_get(result, "paused"), "guests");
    json_t *name;
    size_t i;

    if (!json_array_size(names))
        return;
    printf("still paused by name:");
    json_array_foreach (names, i, name)
        printf(" %s", json_string_value(name));
    putchar('\n');
}

static int run_resume(const struct cli *cli, int argc, char **argv)
{
    json_t *result;
    bool changed;
    int code;

    if (argc > 1)
        return cli_usage(&command_resume, "takes one guest, or none for all");
    code = ask(cli, "resume", argc, argv, &result);
    if (code != EXIT_OK || !result)
        return code;
    changed = json_is_true(json_object_get(result, "changed"));
    if (argc) {
        printf("%s: %s\n", json_text(result, "guest"), changed ? "resumed" : "was not paused");
    } else {
        puts(changed ? "all guests are resumed" : "the guests were not paused together");
        print_still_paused(result);
    }
    json_decref(result);
    return EXIT_OK;
}

const struct command command_pause = {
    .name = "pause",
    .arguments = "[GUEST]",
    .summary = "leave one guest alone, or all, until 'memctl resume'",
    .help =
        "The guests are counted and shown as before, and nothing is sent to them. It also ends\n"
        "when memctld restarts; 'memctl set GUEST managed=no' is for longer. The guests\n"
        "themselves run on.",
    .run = run_pause,
};

const struct command command_resume = {
    .name = "resume",
    .arguments = "[GUEST]",
    .summary = "let one guest, or all, be moved again",
    .help = "Without a name it ends the pause of all; guests that were paused by name stay so.",
    .run = run_resume,
};
