/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the commands of memctl share: one file per command, one entry each in memctl.c. */
#ifndef MEMCTL_CLI_H
#define MEMCTL_CLI_H

#include <stdbool.h>

#include <jansson.h>

#include <memctl/client.h>
#include <memctl/error.h>
#include <memctl/units.h>

enum exit_code { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NO_DAEMON, EXIT_NO_ROOM };

#define OPTIONS_MAX 32

struct cli {
    const char *socket; /* NULL: the default */
    bool json;
    /* The command's own options as they were given, in order. */
    struct given {
        const char *name, *value;
    } given[OPTIONS_MAX];
    size_t given_count;
};

/* An option of one command: --NAME, or --NAME ARGUMENT. */
struct command_option {
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *summary;
};

struct command {
    const char *name;
    const char *arguments;                /* as usage shows them */
    const char *summary;                  /* one line */
    const char *help;                     /* what --help says beyond that; may be NULL */
    const struct command_option *options; /* ends with a NULL name; may be NULL */
    const char *letters; /* "f": -f is the option whose name begins so; may be NULL */
    int (*run)(const struct cli *cli, int argc, char **argv); /* argv: what follows the name */
};

extern const struct command command_admit;
extern const struct command command_agent;
extern const struct command command_capacity;
extern const struct command command_doctor;
extern const struct command command_events;
extern const struct command command_explain;
extern const struct command command_history;
extern const struct command command_list;
extern const struct command command_pause;
extern const struct command command_plan;
extern const struct command command_policy;
extern const struct command command_reload;
extern const struct command command_replay;
extern const struct command command_resume;
extern const struct command command_set;
extern const struct command command_show;
extern const struct command command_simulate;
extern const struct command command_snapshot;
extern const struct command command_status;
extern const struct command command_top;
extern const struct command command_version;

/* The value of an option that was given, the last one if several; "" for one without argument. */
const char *cli_option(const struct cli *cli, const char *name);

/*
 * Ask the daemon once. Prints the error and returns an exit code, or EXIT_OK with a new reference
 * in result. args is taken over.
 */
int cli_ask(const struct cli *cli, const char *verb, json_t *args, json_t **result);

/* The same for a question whose answer may take so many seconds. */
int cli_ask_patiently(const struct cli *cli, const char *verb, json_t *args, unsigned more_s,
                      json_t **result);

/* Print a usage error for a command; returns EXIT_USAGE. */
int cli_usage(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Print the error as memctl's; returns the exit code that fits. */
int cli_fail(const struct mc_error *err);

/* Print JSON for machines and give the reference back; returns EXIT_OK. */
int cli_print_json(json_t *value);

/*
 * "key=value" into the object of settings; wrong keys and values are found here, before anyone is
 * asked. -EINVAL with a sentence.
 */
int cli_add_setting(json_t *settings, const char *text, struct mc_error *err);

/*
 * A moment as people write it, in local time: "10min" ago, "14:30", "2024-05-01 14:30",
 * "2024-05-01". Milliseconds of the real-time clock. -EINVAL with a sentence.
 */
int cli_parse_when(const char *option, const char *text, int64_t *wall_ms, struct mc_error *err);

/* Members of JSON objects, with what stands in where they are missing. */
uint64_t json_size(const json_t *object, const char *key);
const char *json_text(const json_t *object, const char *key);

/* "512M", or "-" where the member is missing or null; in one of a few rotating buffers. */
const char *cli_size(const json_t *object, const char *key);

/* The guests of an array as people look for them; to be freed, NULL when memory is out. */
const json_t **cli_sort_by_name(const json_t *guests);

/* Why the guest's target is what it is, in a word. */
const char *cli_reason(const json_t *guest);

#endif
