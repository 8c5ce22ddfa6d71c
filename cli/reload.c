/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

static int run(const struct cli *cli, int argc, char **argv)
{
    json_t *result;
    int code;

    (void)argv;
    if (argc)
        return cli_usage(&command_reload, "takes no argument");
    code = cli_ask(cli, "reload", NULL, &result);
    if (code != EXIT_OK)
        return code;
    if (cli->json)
        return cli_print_json(result);
    json_decref(result);
    return EXIT_OK;
}

const struct command command_reload = {
    .name = "reload",
    .arguments = "",
    .summary = "have the daemon read its configuration again",
    .help = "An error in the file is printed, and the daemon goes on with what it had.",
    .run = run,
};
