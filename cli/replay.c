/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <stdio.h>

#include <memctl/replay.h>

static json_t *to_json(const struct mc_replay_result *result)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:b}", "steps", (json_int_t)result->steps, "guests",
                     (json_int_t)result->guests, "commands", (json_int_t)result->commands, "differ",
                     (json_int_t)result->differ, "first_line", (json_int_t)result->first_line,
                     "cut", result->cut);
}

static void print(const struct mc_replay_result *result)
{
    printf("%zu passes over up to %zu guests, %zu commands: ", result->steps, result->guests,
           result->commands);
    if (!result->differ)
        puts("all plans come out the same");
    else
        printf("%zu plans come out differently, the first in line %zu%s%s\n", result->differ,
               result->first_line, *result->first ? ", for guest " : "", result->first);
    if (result->cut)
        puts("The last line is not complete and was passed over.");
}

static int run(const struct cli *cli, int argc, char **argv)
{
    struct mc_replay_result result;
    struct mc_error err;

    if (argc != 1)
        return cli_usage(&command_replay, "takes one file");
    if (mc_replay(argv[0], &result, &err) < 0)
        return cli_fail(&err);
    if (cli->json)
        cli_print_json(to_json(&result));
    else
        print(&result);
    return result.differ ? EXIT_FAILED : EXIT_OK;
}

const struct command command_replay = {
    .name = "replay",
    .arguments = "RECORDING",
    .summary = "decide again what a recording decided",
    .help = "The file is what 'memctld --record FILE' wrote. Every plan is made again from what\n"
            "memctld saw, and compared bit for bit; exit code 1 if one comes out differently.\n"
            "Needs no daemon, but the policies of the recording.",
    .run = run,
};
