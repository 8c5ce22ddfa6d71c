/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cli_fail(const struct mc_error *err)
{
    fprintf(stderr, "memctl: %s\n", err->text);
    if (err->code == -ENOSPC)
        return EXIT_NO_ROOM;
    return err->code == -ECONNREFUSED ? EXIT_NO_DAEMON : EXIT_FAILED;
}

int cli_usage(const struct command *command, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "memctl %s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nusage: memctl [--json] %s %s\n", command->name, command->arguments);
    return EXIT_USAGE;
}

const char *cli_option(const struct cli *cli, const char *name)
{
    for (size_t i = cli->given_count; i-- > 0;)
        if (strcmp(cli->given[i].name, name) == 0)
            return cli->given[i].value;
    return NULL;
}

int cli_ask(const struct cli *cli, const char *verb, json_t *args, json_t **result)
{
    return cli_ask_patiently(cli, verb, args, 0, result);
}

int cli_ask_patiently(const struct cli *cli, const char *verb, json_t *args, unsigned more_s,
                      json_t **result)
{
    struct mc_client *client;
    struct mc_error err;
    int rc = mc_client_open(cli->socket, &client, &err);

    if (rc < 0) {
        json_decref(args);
        return cli_fail(&err);
    }
    mc_client_be_patient(client, more_s);
    rc = mc_client_call(client, verb, args, result, &err);
    mc_client_close(client);
    return rc < 0 ? cli_fail(&err) : EXIT_OK;
}

int cli_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(value);
    return EXIT_OK;
}

uint64_t json_size(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : MC_UNKNOWN;
}

const char *json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "-";
}

const char *cli_size(const json_t *object, const char *key)
{
    static char buffers[16][MC_SIZE_TEXT];
    static unsigned next;

    return mc_size_format(buffers[next++ % 16], json_size(object, key));
}

const char *cli_reason(const json_t *guest)
{
    const char *exempt = json_text(guest, "exempt");
    const json_t *plan = json_object_get(guest, "plan");

    /* Saved guests are in no plan. */
    if (strcmp(json_text(guest, "state"), "stopped") == 0 &&
        json_is_object(json_object_get(guest, "stopped")))
        return "last-resort";
    if (exempt[0] != 'n' || exempt[1] != 'o' || exempt[2])
        return exempt;
    if (!json_is_true(json_object_get(guest, "answers")))
        return "no-answer";
    return json_text(plan, "reason");
}
