/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

static int run(const struct cli *cli, int argc, char **argv)
{
    json_t *snapshot;
    int code;

    (void)argv;
    if (argc)
        return cli_usage(&command_snapshot, "takes no argument");
    code = cli_ask(cli, "snapshot", NULL, &snapshot);
    return code == EXIT_OK ? cli_print_json(snapshot) : code;
}

const struct command command_snapshot = {
    .name = "snapshot",
    .arguments = "",
    .summary = "print what the policy is asked, for 'memctl policy eval'",
    .help =
        "JSON: the bytes to divide, and the guests that may be moved with shares, min (or what\n"
        "the guest cannot give up now, if that is more), max, current, held, active and\n"
        "stall_us; all sizes in bytes.",
    .run = run,
};
