/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <stdio.h>

static int run(const struct cli *cli, int argc, char **argv)
{
    struct mc_client *client;
    struct mc_error err;
    json_t *daemon = NULL;

    (void)argv;
    if (argc)
        return cli_usage(&command_version, "takes no argument");
    /* The daemon's version is a courtesy: without one, ours is still the answer. */
    if (mc_client_open(cli->socket, &client, &err) == 0) {
        mc_client_call(client, "version", NULL, &daemon, &err);
        mc_client_close(client);
    }
    if (cli->json)
        return cli_print_json(json_pack("{s:s, s:o}", "memctl", MEMCTL_VERSION, "memctld",
                                        daemon ? daemon : json_null()));
    printf("memctl %s\n", MEMCTL_VERSION);
    if (daemon)
        printf("memctld %s\n", json_text(daemon, "version"));
    else
        printf("memctld is not running\n");
    json_decref(daemon);
    return EXIT_OK;
}

const struct command command_version = {
    .name = "version",
    .arguments = "",
    .summary = "print the versions of memctl and of the running daemon",
    .run = run,
};
