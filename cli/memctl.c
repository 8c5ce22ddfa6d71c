/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
    &command_status, &command_list, &command_show, &command_set, &command_reload, &command_version,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(*commands))

static void print_help(void)
{
    puts("memctl: memory overcommit for KVM hosts\n"
         "\n"
         "usage: memctl [--json] [--socket PATH] COMMAND [ARGUMENT]...\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        char left[64];

        snprintf(left, sizeof(left), "%s %s", commands[i]->name, commands[i]->arguments);
        printf("  %-28s %s\n", left, commands[i]->summary);
    }
    puts("\n"
         "      --json         print JSON for programs; sizes are bytes\n"
         "      --socket PATH  the daemon's socket; or set $MEMCTL_SOCKET\n"
         "  -h, --help         this text; 'memctl COMMAND --help' tells more of a command\n"
         "\n"
         "Sizes are 512M, 1.5G or a part of the guest's memory, 25%.\n"
         "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no daemon. See memctl(1).");
}

static void print_command_help(const struct command *command)
{
    printf("memctl %s: %s\n\nusage: memctl [--json] %s %s\n", command->name, command->summary,
           command->name, command->arguments);
    if (command->help)
        printf("\n%s\n", command->help);
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    enum { JSON = 256, SOCKET, ALL };
    static const struct option known[] = {
        {"json", no_argument, NULL, JSON},   {"socket", required_argument, NULL, SOCKET},
        {"all", no_argument, NULL, ALL},     {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'}, {0},
    };
    const struct command *command;
    struct cli cli = {0};
    bool help = false;
    int option;

    /* Options may stand before and after the command: getopt moves them to the front. */
    while ((option = getopt_long(argc, argv, "hV", known, NULL)) != -1) {
        if (option == JSON)
            cli.json = true;
        else if (option == SOCKET)
            cli.socket = optarg;
        else if (option == ALL)
            cli.all = true;
        else if (option == 'h')
            help = true;
        else if (option == 'V')
            return command_version.run(&cli, 0, NULL);
        else {
            fputs("memctl: try 'memctl --help'\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        print_help();
        return help ? EXIT_OK : EXIT_USAGE;
    }
    command = find(argv[optind]);
    if (!command) {
        fprintf(stderr, "memctl: unknown command '%s'; 'memctl --help' lists them\n", argv[optind]);
        return EXIT_USAGE;
    }
    if (help) {
        print_command_help(command);
        return EXIT_OK;
    }
    if (cli.all && !command->takes_all)
        return cli_usage(command, "takes no --all; 'memctl list --all' does");
    return command->run(&cli, argc - optind - 1, argv + optind + 1);
}
