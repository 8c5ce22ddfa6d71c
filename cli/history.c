/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a guest, or the host, fared. */
#include "history.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SINCE_MS (2 * UINT64_C(3600000))
#define DECISIONS 20

/* The guest's memory at the end of that time; and its name, if it was asked for by its UUID. */
static int read_shape(const struct past *past, struct history *history, struct mc_error *err)
{
    json_t *answer, *list, *last;
    int rc = past_ask(past,
                      json_pack("{s:s, s:s, s:I, s:I}", "what", "guests", "guest", history->guest,
                                "since_ms", (json_int_t)history->since_ms, "until_ms",
                                (json_int_t)history->until_ms),
                      &answer, err);

    if (rc < 0)
        return rc;
    list = json_object_get(answer, "guests");
    last = json_array_get(list, json_array_size(list) - 1);
    history->memory = last ? (uint64_t)json_integer_value(json_object_get(last, "memory")) : 0;
    json_decref(answer);
    return 0;
}

static void note_host_memory(struct history *history)
{
    const struct series *series = &history->series;
    uint64_t total =
        series->count ? series->points[series->count - 1].values[MC_VALUE_TOTAL].avg : MC_UNKNOWN;

    history->memory = total == MC_UNKNOWN ? 0 : total;
}

/* A raw row from before the window holds into it. */
static int read_rows(const struct cli *cli, const struct past *past, struct history *history,
                     struct mc_error *err)
{
    int64_t since_ms = history->since_ms - MC_RAW_HOLDS_MS, first_ms;
    int rc = past_series(past, history->guest, cli_option(cli, "tier"), since_ms > 0 ? since_ms : 0,
                         history->until_ms, &history->series, err);

    if (rc < 0)
        return rc;
    if (history->of_host)
        note_host_memory(history);
    else
        rc = read_shape(past, history, err);
    if (rc == 0 && !history->series.count)
        return mc_error_set(err, -ENOENT, "nothing was kept of '%.64s' in that time",
                            history->guest);
    /* A history that is younger than what nobody asked for is drawn over the whole width. */
    first_ms = rc == 0 ? history->series.points[0].at_ms : 0;
    if (!cli_option(cli, "since") && first_ms > history->since_ms)
        history->since_ms = first_ms;
    return rc;
}

static int draw(const struct history *history, const char *name, struct mc_error *err)
{
    FILE *file = fopen(name, "we");
    bool failed;

    if (!file)
        return mc_error_set(err, -errno, "%s cannot be written: %s", name, strerror(errno));
    history_draw(file, history);
    failed = ferror(file);
    if (fclose(file) != 0 || failed)
        return mc_error_set(err, -EIO, "%s could not be written", name);
    return 0;
}

static void print_decision(const json_t *decision)
{
    time_t at = (time_t)(json_integer_value(json_object_get(decision, "at_ms")) / 1000);
    const char *rules = json_string_value(json_object_get(decision, "rules"));
    struct tm local;
    char when[32];

    strftime(when, sizeof(when), "%m-%d %H:%M:%S", localtime_r(&at, &local));
    printf("%s  %7s -> %-7s policy %s%s%s\n", when, cli_size(decision, "actual"),
           cli_size(decision, "target"), cli_size(decision, "wish"), rules && *rules ? ", " : "",
           rules ? rules : "");
}

/* The newest come first from the file, and last on the screen. */
static int print_decisions(const struct cli *cli, const struct past *past,
                           const struct history *history, struct mc_error *err)
{
    json_t *answer, *list;
    int rc = past_ask(past,
                      json_pack("{s:s, s:s, s:I, s:I, s:i}", "what", "decisions", "guest",
                                history->guest, "since_ms", (json_int_t)history->since_ms,
                                "until_ms", (json_int_t)history->until_ms, "limit", DECISIONS),
                      &answer, err);

    if (rc < 0)
        return rc;
    if (cli->json) {
        cli_print_json(answer);
        return 0;
    }
    list = json_object_get(answer, "decisions");
    for (size_t i = json_array_size(list); i-- > 0;)
        print_decision(json_array_get(list, i));
    if (!json_array_size(list))
        puts("No target was sent in that time.");
    json_decref(answer);
    return 0;
}

static int show(const struct cli *cli, const struct past *past, struct history *history,
                struct mc_error *err)
{
    const char *plot = cli_option(cli, "plot");
    int rc;

    if (cli_option(cli, "decisions"))
        return print_decisions(cli, past, history, err);
    rc = read_rows(cli, past, history, err);
    if (rc == 0 && plot)
        rc = draw(history, plot, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        cli_print_json(history_to_json(history));
    else if (cli_option(cli, "csv"))
        history_print_csv(history);
    else if (!plot)
        history_print(history);
    return 0;
}

static int run(const struct cli *cli, int argc, char **argv)
{
    struct history history = {0};
    struct past past;
    struct mc_error err;
    int rc;

    if (argc != 1)
        return cli_usage(&command_history, "takes the name or UUID of a guest, or host");
    history.guest = argv[0];
    history.of_host = strcmp(argv[0], "host") == 0;
    if (history.of_host && cli_option(cli, "decisions"))
        return cli_usage(&command_history, "--decisions are a guest's");
    if (past_window(cli, SINCE_MS, &history.since_ms, &history.until_ms, &err) < 0)
        return cli_usage(&command_history, "%s", err.text);
    rc = past_open(cli, &past, &err);
    if (rc == 0) {
        rc = show(cli, &past, &history, &err);
        series_free(&history.series);
        past_close(&past);
    }
    return rc < 0 ? cli_fail(&err) : EXIT_OK;
}

static const struct command_option options[] = {
    {"since", "TIME",
     "from then on: 2h (ago), 14:30, 2024-05-01; default 2h,\n                       or what there "
     "is"},
    {"until", "TIME", "up to then; default now"},
    {"tier", "TIER", "raw, minute or hour rows, whatever fits otherwise"},
    {"csv", NULL, "print all rows; sizes are bytes, times UTC"},
    {"plot", "FILE", "draw into this file, in SVG"},
    {"decisions", NULL, "print the last 20 targets that were sent, and why"},
    PAST_OPTION,
    {0},
};

const struct command command_history = {
    .name = "history",
    .arguments = "GUEST|host [--since TIME] [--until TIME] [--tier TIER] [--csv] [--plot FILE]\n"
                 "              [--decisions] [--store FILE]",
    .summary = "show how a guest, or the host, fared",
    .options = options,
    .help =
        "Lines show the mean of ACTUAL, TARGET and HELD, and the most of the rest. With --json:\n"
        "all rows, those of minutes and hours with [least, mean, most] of each value.",
    .run = run,
};
