/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What changed, and with --follow what changes: a line for each event. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* With --follow and without --since, so much of the past comes first. */
#define TAIL 10

/* ---- printing ---- */

static void print_event(const json_t *event)
{
    time_t at = (time_t)(json_integer_value(json_object_get(event, "wall_ms")) / 1000);
    const char *guest = json_string_value(json_object_get(event, "guest"));
    char when[32];
    struct tm local;

    strftime(when, sizeof(when), "%m-%d %H:%M:%S", localtime_r(&at, &local));
    printf("%s  %s%s%s\n", when, guest ? guest : "", guest ? ": " : "", json_text(event, "text"));
}

/* What a program has to know is in the stream; people are told beside it. */
static void print_missed(const struct cli *cli, long long missed)
{
    if (cli->json)
        printf("{\"missed\":%lld}\n", missed);
    else
        fprintf(stderr, "memctl: %lld events in between are no longer kept\n", missed);
}

static void print_page(const struct cli *cli, const json_t *page)
{
    long long missed = json_integer_value(json_object_get(page, "missed"));
    json_t *event;
    size_t i;

    if (missed)
        print_missed(cli, missed);
    json_array_foreach (json_object_get(page, "events"), i, event) {
        if (cli->json) {
            json_dumpf(event, stdout, JSON_COMPACT);
            putchar('\n');
        } else {
            print_event(event);
        }
    }
    fflush(stdout);
}

/* ---- asking ---- */

/* The question for what comes after a page. */
static void go_on(json_t *question, const json_t *page)
{
    json_object_del(question, "tail");
    json_object_set(question, "after", json_object_get(page, "next"));
}

/* Nothing comes after it. */
static bool is_last(const json_t *page)
{
    const json_t *events = json_object_get(page, "events");
    size_t count = json_array_size(events);

    return count && strcmp(json_text(json_array_get(events, count - 1), "kind"), "stopping") == 0;
}

static int ask_on(const struct cli *cli, struct mc_client *client, json_t *question, bool follow)
{
    struct mc_error err;
    bool more = true;

    while (more || follow) {
        json_t *page;

        if (mc_client_call(client, "events", json_incref(question), &page, &err) < 0)
            return cli_fail(&err);
        print_page(cli, page);
        if (ferror(stdout)) {
            json_decref(page);
            return EXIT_FAILED;
        }
        if (follow && is_last(page)) {
            json_decref(page);
            fputs("memctl: memctld has stopped\n", stderr);
            return EXIT_NO_DAEMON;
        }
        go_on(question, page);
        more = json_is_true(json_object_get(page, "more"));
        json_decref(page);
    }
    return EXIT_OK;
}

static int make_question(const struct cli *cli, json_t **question, struct mc_error *err)
{
    const char *since = cli_option(cli, "since"), *guest = cli_option(cli, "guest");
    bool follow = cli_option(cli, "follow");
    int64_t since_ms = 0;

    if (since && cli_parse_when("--since", since, &since_ms, err) < 0)
        return -EINVAL;
    *question = json_pack("{s:b, s:I}", "wait", follow, "since_ms",
                          (json_int_t)(since_ms > 0 ? since_ms : 0));
    if (guest)
        json_object_set_new(*question, "guest", json_string(guest));
    if (follow && !since)
        json_object_set_new(*question, "tail", json_integer(TAIL));
    return 0;
}

static int run(const struct cli *cli, int argc, char **argv)
{
    struct mc_client *client;
    json_t *question;
    struct mc_error err;
    int code;

    (void)argv;
    if (argc)
        return cli_usage(&command_events, "takes no argument; --guest NAME names a guest");
    if (make_question(cli, &question, &err) < 0)
        return cli_usage(&command_events, "%s", err.text);
    if (mc_client_open(cli->socket, &client, &err) < 0)
        code = cli_fail(&err);
    else {
        code = ask_on(cli, client, question, cli_option(cli, "follow"));
        mc_client_close(client);
    }
    json_decref(question);
    return code;
}

static const struct command_option options[] = {
    {"follow", NULL, "or -f: go on with what happens from now on"},
    {"since", "TIME", "10min (ago), 14:30, 2024-05-01, '2024-05-01 14:30'"},
    {"guest", "GUEST", "only what is about this guest"},
    {0},
};

const struct command command_events = {
    .name = "events",
    .arguments = "[-f | --follow] [--since TIME] [--guest GUEST]",
    .summary = "print what changed, and follow what changes",
    .options = options,
    .letters = "f",
    .help = "The daemon keeps the last 4096 events. --follow begins with the last "
            "ten,\nor with those since TIME. With --json: one object a line.",
    .run = run,
};
