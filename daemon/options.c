/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#define DEFAULT_FILE SYSCONFDIR "/memctl/memctld.conf"

static void print_help(void)
{
    puts("memctld: memory overcommit for KVM hosts\n"
         "\n"
         "usage: memctld [OPTION]...\n"
         "\n"
         "  -c, --config FILE    read FILE instead of " DEFAULT_FILE "\n"
         "      --check-config   check the configuration, print what is wrong, and exit\n"
         "      --connect URI    libvirt URI, or sim:FILE for a simulated host\n"
         "      --budget SIZE    what all guests may occupy: auto, 12G, 75%\n"
         "      --interval TIME  between two looks at the guests: 500ms, 2s\n"
         "      --socket PATH    where memctl finds this daemon\n"
         "      --metrics ADDR   ADDRESS:PORT for Prometheus, or off\n"
         "      --store FILE     where the history is kept, or off\n"
         "      --record FILE    write all that is seen and decided, for 'memctl replay'\n"
         "      --dry-run        decide and show everything, send nothing to any guest\n"
         "      --restore-ksm    put back what a memctld that crashed has changed of page merging\n"
         "  -v, --verbose        say more\n"
         "  -h, --help           this text\n"
         "  -V, --version        the version\n"
         "\n"
         "Options override the configuration file. See memctld(8) and memctld.conf(5).");
}

enum { CHECK = 256, CONNECT, BUDGET, INTERVAL, SOCKET, METRICS, RECORD, STORE, DRY_RUN, RESTORE };

static const struct option known[] = {
    {"config", required_argument, NULL, 'c'},
    {"check-config", no_argument, NULL, CHECK},
    {"connect", required_argument, NULL, CONNECT},
    {"budget", required_argument, NULL, BUDGET},
    {"interval", required_argument, NULL, INTERVAL},
    {"socket", required_argument, NULL, SOCKET},
    {"metrics", required_argument, NULL, METRICS},
    {"record", required_argument, NULL, RECORD},
    {"store", required_argument, NULL, STORE},
    {"dry-run", no_argument, NULL, DRY_RUN},
    {"restore-ksm", no_argument, NULL, RESTORE},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {0},
};

/* One of them; -1 to go on, else the exit status. */
static int take(struct options *options, int option)
{
    switch (option) {
    case 'c':
        options->config_file = optarg;
        break;
    case CHECK:
        options->check_config = true;
        break;
    case CONNECT:
        options->connect = optarg;
        break;
    case BUDGET:
        options->budget = optarg;
        break;
    case INTERVAL:
        options->interval = optarg;
        break;
    case SOCKET:
        options->socket = optarg;
        break;
    case METRICS:
        options->metrics = optarg;
        break;
    case RECORD:
        options->record = optarg;
        break;
    case STORE:
        options->store = optarg;
        break;
    case DRY_RUN:
        options->dry_run = "yes";
        break;
    case RESTORE:
        options->restore_ksm = true;
        break;
    case 'v':
        options->verbose = true;
        break;
    case 'h':
        print_help();
        return EXIT_OK;
    case 'V':
        puts("memctld " MEMCTL_VERSION);
        return EXIT_OK;
    default:
        fputs("memctld: try 'memctld --help'\n", stderr);
        return EXIT_USAGE;
    }
    return -1;
}

int options_parse(int argc, char **argv, struct options *options)
{
    int option, status = -1;

    options->had_default_file = access(DEFAULT_FILE, F_OK) == 0;
    while (status < 0 && (option = getopt_long(argc, argv, "c:vhV", known, NULL)) != -1)
        status = take(options, option);
    if (status < 0 && optind < argc) {
        fprintf(stderr, "memctld: '%s' is not expected; try 'memctld --help'\n", argv[optind]);
        status = EXIT_USAGE;
    }
    return status;
}

static int apply_options(const struct options *options, struct config *config, struct mc_error *err)
{
    const struct {
        const char *section, *name, *option, *value;
    } given[] = {
        {"memctld", "connect", "--connect", options->connect},
        {"memctld", "socket", "--socket", options->socket},
        {"memctld", "metrics", "--metrics", options->metrics},
        {"memctld", "interval", "--interval", options->interval},
        {"memctld", "record", "--record", options->record},
        {"memctld", "store", "--store", options->store},
        {"memctld", "dry-run", "--dry-run", options->dry_run},
        {"budget", "budget", "--budget", options->budget},
    };

    for (size_t i = 0; i < sizeof(given) / sizeof(*given); i++) {
        if (!given[i].value)
            continue;
        if (config_set(config, given[i].section, given[i].name, given[i].value, err) < 0) {
            mc_error_prefix(err, "%s: ", given[i].option);
            return -EINVAL;
        }
    }
    return 0;
}

int options_read_config(const struct options *options, struct config *config, struct mc_error *err)
{
    int rc = 0;

    *config = config_default();
    if (options->config_file)
        rc = config_load(options->config_file, config, err);
    else if (options->had_default_file || access(DEFAULT_FILE, F_OK) == 0)
        rc = config_load(DEFAULT_FILE, config, err);
    return rc < 0 ? rc : apply_options(options, config, err);
}
