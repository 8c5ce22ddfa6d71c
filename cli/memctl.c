/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
    &command_status, &command_top,      &command_list,     &command_show,   &command_explain,
    &command_events, &command_agent,    &command_history,  &command_dedupe, &command_doctor,
    &command_set,    &command_admit,    &command_pause,    &command_resume, &command_policy,
    &command_reload, &command_snapshot, &command_capacity, &command_plan,   &command_simulate,
    &command_replay, &command_version,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(*commands))

static void print_help(void)
{
    puts("memctl: memory overcommit for KVM hosts\n"
         "\n"
         "usage: memctl [--json] [--socket PATH] COMMAND [ARGUMENT]...\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    puts("\n"
         "      --json         print JSON for programs; sizes are bytes\n"
         "      --socket PATH  the daemon's socket; or set $MEMCTL_SOCKET\n"
         "  -h, --help         this text; 'memctl help COMMAND' tells more of a command\n"
         "\n"
         "Sizes are 512M, 1.5G or a part of the guest's memory, 25%.\n"
         "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no daemon. See memctl(1).");
}

static void print_command_help(const struct command *command)
{
    printf("memctl %s: %s\n\nusage: memctl [--json] %s %s\n", command->name, command->summary,
           command->name, command->arguments);
    if (command->options)
        putchar('\n');
    for (const struct command_option *o = command->options; o && o->name; o++) {
        char left[64];

        snprintf(left, sizeof(left), "--%s %s", o->name, o->argument ? o->argument : "");
        printf("  %-20s %s\n", left, o->summary);
    }
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

enum { JSON = 256, SOCKET, OWN };

static const struct option common[] = {
    {"json", no_argument, NULL, JSON},
    {"socket", required_argument, NULL, SOCKET},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
};

#define COMMON_COUNT (sizeof(common) / sizeof(*common))

struct arguments {
    struct cli cli;
    const struct command *command;
    bool help, version;
};

/* The first word that is no option; --socket is the only common one with a word of its own. */
static const struct command *find_command(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--socket") == 0)
            i++;
        else if (argv[i][0] != '-')
            return find(argv[i]);
    }
    return NULL;
}

static void add_own(const struct command *command, struct option known[])
{
    const struct command_option *own = command ? command->options : NULL;

    memcpy(known, common, sizeof(common));
    for (size_t i = COMMON_COUNT; own && own->name && i < COMMON_COUNT + OPTIONS_MAX; i++, own++)
        known[i] =
            (struct option){own->name, own->argument ? required_argument : no_argument, NULL, OWN};
}

static int take_option(struct arguments *arguments, int option, const char *name)
{
    struct cli *cli = &arguments->cli;

    if (option == JSON)
        cli->json = true;
    else if (option == SOCKET)
        cli->socket = optarg;
    else if (option == 'h')
        arguments->help = true;
    else if (option == 'V')
        arguments->version = true;
    else if (option == OWN && cli->given_count < OPTIONS_MAX)
        cli->given[cli->given_count++] = (struct given){name, optarg ? optarg : ""};
    else if (option == OWN)
        return cli_usage(arguments->command, "too many options");
    else
        return EXIT_USAGE;
    return EXIT_OK;
}

/* The name of the command's option that a letter stands for. */
static const char *name_of_letter(const struct command *command, int letter)
{
    for (const struct command_option *o = command->options; o->name; o++)
        if (o->name[0] == letter)
            return o->name;
    return NULL;
}

/* Options may stand before and after the command: getopt moves them to the front. */
static int take_options(int argc, char **argv, struct arguments *arguments)
{
    struct option known[COMMON_COUNT + OPTIONS_MAX + 1] = {0};
    const char *own;
    char letters[16];
    int option, which = 0;

    arguments->command = find_command(argc, argv);
    own = arguments->command ? arguments->command->letters : NULL;
    snprintf(letters, sizeof(letters), "hV%s", own ? own : "");
    add_own(arguments->command, known);
    while ((option = getopt_long(argc, argv, letters, known, &which)) != -1) {
        bool is_own = own && option < JSON && strchr(own, option);
        const char *name = is_own ? name_of_letter(arguments->command, option) : known[which].name;

        if (take_option(arguments, is_own ? OWN : option, name) == EXIT_OK)
            continue;
        if (arguments->command)
            fprintf(stderr, "memctl: try 'memctl %s --help'\n", arguments->command->name);
        else
            fputs("memctl: try 'memctl --help'\n", stderr);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};

    if (take_options(argc, argv, &arguments) != EXIT_OK)
        return EXIT_USAGE;
    if (arguments.version)
        return command_version.run(&arguments.cli, 0, NULL);
    if (optind == argc) {
        print_help();
        return arguments.help ? EXIT_OK : EXIT_USAGE;
    }
    if (!arguments.command && strcmp(argv[optind], "help") == 0) {
        arguments.help = true; /* 'memctl help COMMAND' is 'memctl COMMAND --help' */
        if (++optind == argc) {
            print_help();
            return EXIT_OK;
        }
        arguments.command = find(argv[optind]);
    }
    if (!arguments.command) {
        fprintf(stderr, "memctl: unknown command '%s'; 'memctl --help' lists them\n", argv[optind]);
        return EXIT_USAGE;
    }
    if (arguments.help) {
        print_command_help(arguments.command);
        return EXIT_OK;
    }
    return arguments.command->run(&arguments.cli, argc - optind - 1, argv + optind + 1);
}
