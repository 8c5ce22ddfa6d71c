/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memctl simulate: a scenario in virtual time, under one policy or several. Needs no daemon. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <memctl/policy.h>

#include "simulate.h"

#define POLICIES_MAX 32

/* Moments of a plot: about one per pixel of its width. */
#define PLOT_SAMPLES 720

/* As the daemon has it. */
#define INTERVAL_LEAST_MS 200
#define INTERVAL_MOST_MS 60000

/* Somebody who waits longer than this wants to see that it goes on. */
#define PATIENCE_S 2

/* A policy as it was written: [raw:]NAME[:KEY=VALUE]... */
struct spec {
    char *text; /* cut into the pieces below */
    const char *name;
    bool raw;
    const char *params[MC_POLICY_PARAM_MAX];
    size_t param_count;
};

struct simulate {
    struct spec specs[POLICIES_MAX];
    struct mc_simulation *runs[POLICIES_MAX];
    size_t count;
    uint64_t interval_ms;
    size_t samples;
    const char *plot;
    bool compare;
    struct timespec began;
    size_t current; /* the run that is under way */
    bool told;      /* there is a line of progress on the terminal */
};

static int add_param(struct spec *spec, const char *param, struct mc_error *err)
{
    if (spec->param_count == MC_POLICY_PARAM_MAX)
        return mc_error_set(err, -EINVAL, "policy %s: more than %d parameters", spec->name,
                            MC_POLICY_PARAM_MAX);
    spec->params[spec->param_count++] = param;
    return 0;
}

/* From the end, as long as the last piece is KEY=VALUE: a path may have colons of its own. */
static int read_spec(struct spec *spec, const char *text, size_t length, struct mc_error *err)
{
    char *colon;
    int rc = 0;

    spec->text = strndup(text, length);
    if (!spec->text)
        return mc_error_set(err, -ENOMEM, "out of memory");
    spec->raw = strncmp(spec->text, "raw:", 4) == 0;
    spec->name = spec->text + (spec->raw ? 4 : 0);
    while (rc == 0 && (colon = strrchr(spec->name, ':')) && strchr(colon, '=')) {
        *colon = '\0';
        rc = add_param(spec, colon + 1, err);
    }
    if (rc == 0 && !*spec->name)
        return mc_error_set(err, -EINVAL, "'%.*s' names no policy", (int)length, text);
    return rc;
}

static int read_list(struct simulate *simulate, const char *list, struct mc_error *err)
{
    int rc = 0;

    for (const char *next = list; rc == 0 && next; list = next + 1) {
        next = strchr(list, ',');
        if (simulate->count == POLICIES_MAX)
            return mc_error_set(err, -EINVAL, "more than %d policies", POLICIES_MAX);
        rc = read_spec(&simulate->specs[simulate->count++], list,
                       next ? (size_t)(next - list) : strlen(list), err);
    }
    return rc;
}

static int read_options(const struct cli *cli, struct simulate *simulate, struct mc_error *err)
{
    const char *policy = cli_option(cli, "policy"), *list = cli_option(cli, "compare");
    const char *interval = cli_option(cli, "interval"), *series = cli_option(cli, "series");
    uint64_t samples = 0;
    int rc = read_list(simulate, list ? list : policy ? policy : "idle-tax", err);

    simulate->plot = cli_option(cli, "plot");
    simulate->compare = list != NULL;
    if (rc == 0 && list && (policy || simulate->plot || cli_option(cli, "param")))
        return mc_error_set(err, -EINVAL,
                            "--compare goes with neither --policy, --param nor --plot; parameters "
                            "are written NAME:KEY=VALUE");
    for (size_t i = 0; rc == 0 && i < cli->given_count; i++)
        if (strcmp(cli->given[i].name, "param") == 0)
            rc = add_param(&simulate->specs[0], cli->given[i].value, err);
    if (rc == 0 && interval)
        rc = mc_span_parse(interval, &simulate->interval_ms, err);
    if (rc == 0 && interval &&
        (simulate->interval_ms < INTERVAL_LEAST_MS || simulate->interval_ms > INTERVAL_MOST_MS))
        rc = mc_error_set(err, -ERANGE, "interval '%s' is not between 200ms and 1min", interval);
    if (rc == 0 && series)
        rc = mc_number_parse(series, 1, 100000, &samples, err);
    simulate->samples = (size_t)samples;
    if (simulate->plot && !simulate->samples)
        simulate->samples = PLOT_SAMPLES;
    return rc;
}

static void show_progress(void *opaque, uint64_t now_ms, uint64_t duration_ms)
{
    struct simulate *simulate = opaque;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec - simulate->began.tv_sec < PATIENCE_S || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r%zu of %zu: %-20.20s %3d%%", simulate->current + 1, simulate->count,
            simulate->specs[simulate->current].name, (int)(now_ms * 100 / duration_ms));
    simulate->told = true;
}

static int run_all(struct simulate *simulate, const char *scenario, struct mc_error *err)
{
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &simulate->began);
    for (simulate->current = 0; rc == 0 && simulate->current < simulate->count;
         simulate->current++) {
        const struct spec *spec = &simulate->specs[simulate->current];
        const struct mc_simulate_config config = {
            .policy = spec->name,
            .raw = spec->raw,
            .params = spec->params,
            .param_count = spec->param_count,
            .interval_ms = simulate->interval_ms,
            .samples = simulate->samples,
            .progress = show_progress,
            .opaque = simulate,
        };

        rc = mc_simulate(scenario, &config, &simulate->runs[simulate->current], err);
    }
    if (simulate->told)
        fprintf(stderr, "\r%60s\r", "");
    return rc;
}

static int draw(const struct simulate *simulate, struct mc_error *err)
{
    FILE *file = fopen(simulate->plot, "we");
    int failed;

    if (!file)
        return mc_error_set(err, -errno, "%s cannot be written: %s", simulate->plot,
                            strerror(errno));
    simulate_draw(file, simulate->runs[0]);
    failed = ferror(file);
    if (fclose(file) != 0 || failed)
        return mc_error_set(err, -EIO, "%s cannot be written to its end", simulate->plot);
    return 0;
}

static json_t *to_json(const struct simulate *simulate)
{
    json_t *runs;

    if (!simulate->compare)
        return simulate_to_json(simulate->runs[0]);
    runs = json_array();
    for (size_t i = 0; i < simulate->count; i++)
        json_array_append_new(runs, simulate_to_json(simulate->runs[i]));
    return runs;
}

static void print(const struct cli *cli, const struct simulate *simulate)
{
    if (cli->json)
        cli_print_json(to_json(simulate));
    else if (simulate->compare)
        simulate_print_comparison(simulate->runs, simulate->count);
    else
        simulate_print(simulate->runs[0]);
    for (size_t i = 0; i < simulate->count; i++)
        if (simulate->runs[i]->broken_promises)
            fprintf(stderr, "memctl: %s: the governor broke its promises %u times; please report\n",
                    simulate->runs[i]->policy, simulate->runs[i]->broken_promises);
}

static void free_simulate(struct simulate *simulate)
{
    for (size_t i = 0; i < simulate->count; i++) {
        free(simulate->specs[i].text);
        mc_simulation_free(simulate->runs[i]);
    }
}

static int run(const struct cli *cli, int argc, char **argv)
{
    struct simulate simulate = {.count = 0};
    struct mc_error err;
    int code = EXIT_OK;

    if (argc != 1)
        return cli_usage(&command_simulate, "takes one scenario file");
    if (read_options(cli, &simulate, &err) < 0)
        code = cli_usage(&command_simulate, "%s", err.text);
    else if (run_all(&simulate, argv[0], &err) < 0)
        code = cli_fail(&err);
    else if (simulate.plot && draw(&simulate, &err) < 0)
        code = cli_fail(&err);
    else
        print(cli, &simulate);
    free_simulate(&simulate);
    return code;
}

static const struct command_option options[] = {
    {"policy", "POLICY", "under this one (default idle-tax)"},
    {"param", "KEY=VALUE", "one of its parameters; may be given again"},
    {"compare", "POLICY,...", "under each of these; print one line for each"},
    {"interval", "TIME", "between two looks at the guests (default 2s)"},
    {"plot", "FILE.svg", "draw memory over time"},
    {"series", "N", "put so many moments into the JSON"},
    {0},
};

const struct command command_simulate = {
    .name = "simulate",
    .arguments = "[OPTION]... SCENARIO.json",
    .summary = "try policies on a simulated host, in virtual time",
    .options = options,
    .help = "A POLICY is the name or path of a module, with parameters if need be:\n"
            "idle-tax:tax=75%. With raw: before it, its targets go to the balloons as they are,\n"
            "past the governor. Scenarios and measures are described in simulation.md.",
    .run = run,
};
