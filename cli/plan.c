/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What would have happened if something had been different: the past, through the real engine. */
#include "gather.h"
#include "simulate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SINCE_MS (UINT64_C(24) * 3600000)
#define ADDED_MAX 256

/* What is asked. */
struct change {
    struct mc_what_if what_if;
    struct mc_added_guest added[ADDED_MAX];
    const char *removed[OPTIONS_MAX];
    char text[512]; /* in a sentence */
};

/* ---- what is asked ---- */

static void say(struct change *change, const char *text)
{
    size_t length = strlen(change->text);

    snprintf(change->text + length, sizeof(change->text) - length, "%s%s", length ? ", " : "",
             text);
}

/* "8G" or "8Gx3" */
static int add_guests(const char *text, const struct mc_added_guest *pattern, struct change *change,
                      struct mc_error *err)
{
    const char *times = strrchr(text, 'x');
    char size[64], memory[MC_SIZE_TEXT], said[96];
    uint64_t count = 1, bytes;

    snprintf(size, sizeof(size), "%.*s", (int)(times ? times - text : 63), text);
    if ((times && mc_number_parse(times + 1, 1, ADDED_MAX, &count, err) < 0) ||
        mc_size_parse(size, 0, &bytes, err) < 0) {
        mc_error_prefix(err, "--add %.32s: ", text);
        return -EINVAL;
    }
    if (bytes < 16 * MC_MIB || change->what_if.added_count + count > ADDED_MAX)
        return mc_error_set(err, -EINVAL, "--add %.32s: is less than 16M, or more than %d guests",
                            text, ADDED_MAX);
    for (uint64_t i = 0; i < count; i++) {
        struct mc_added_guest *guest = &change->added[change->what_if.added_count++];

        *guest = *pattern;
        guest->memory = bytes;
        snprintf(guest->name, sizeof(guest->name), "new%zu", change->what_if.added_count);
    }
    snprintf(said, sizeof(said), "%" PRIu64 " more of %s", count, mc_size_format(memory, bytes));
    say(change, said);
    return 0;
}

static int remove_guest(const char *name, const struct gathered *gathered, struct change *change,
                        struct mc_error *err)
{
    const struct mc_past_guest *guest = gathered_find(gathered, name);
    char said[96];

    if (!guest || !guest->count)
        return mc_error_set(err, -ENOENT, "--remove: no guest named '%.64s' ran in that time",
                            name);
    change->removed[change->what_if.removed_count++] = guest->shape.uuid;
    snprintf(said, sizeof(said), "without %.64s", guest->shape.name);
    say(change, said);
    return 0;
}

static int read_size(const char *option, const char *text, struct change *change, uint64_t *bytes,
                     struct mc_error *err)
{
    char said[96], size[MC_SIZE_TEXT];

    if (mc_size_parse(text, 0, bytes, err) < 0) {
        mc_error_prefix(err, "--%s: ", option);
        return -EINVAL;
    }
    if (*bytes < 64 * MC_MIB)
        return mc_error_set(err, -EINVAL, "--%s: is less than 64M", option);
    snprintf(said, sizeof(said), "%s %s", strcmp(option, "budget") == 0 ? "budget" : "host of",
             mc_size_format(size, *bytes));
    say(change, said);
    return 0;
}

/* How the new guests use their memory. */
static int read_pattern(const struct cli *cli, const struct gathered *gathered,
                        struct mc_added_guest *pattern, struct mc_error *err)
{
    const char *like = cli_option(cli, "like"), *use = cli_option(cli, "use");
    const struct mc_past_guest *guest = like ? gathered_find(gathered, like) : NULL;
    struct mc_amount amount;

    *pattern = (struct mc_added_guest){0};
    if (like && use)
        return mc_error_set(err, -EINVAL, "--like and --use say different things; choose one");
    if (like && (!guest || !guest->count))
        return mc_error_set(err, -ENOENT, "--like: no guest named '%.64s' ran in that time", like);
    if (guest)
        pattern->like = guest->shape.uuid;
    if (!use)
        return 0;
    if (mc_amount_parse(use, &amount, err) < 0 || !amount.percent || !amount.value ||
        amount.value > MC_AMOUNT_WHOLE)
        return mc_error_set(err, -EINVAL, "--use '%.32s' is not a part of the memory, as 60%%",
                            use);
    pattern->use = (unsigned)amount.value;
    return 0;
}

static int take_option(const struct given *given, const struct mc_added_guest *pattern,
                       const struct gathered *gathered, struct change *change, struct mc_error *err)
{
    if (strcmp(given->name, "add") == 0)
        return add_guests(given->value, pattern, change, err);
    if (strcmp(given->name, "remove") == 0)
        return remove_guest(given->value, gathered, change, err);
    if (strcmp(given->name, "host-memory") == 0)
        return read_size(given->name, given->value, change, &change->what_if.host_memory, err);
    if (strcmp(given->name, "budget") == 0)
        return read_size(given->name, given->value, change, &change->what_if.budget, err);
    return 0;
}

static int read_change(const struct cli *cli, const struct gathered *gathered,
                       struct change *change, struct mc_error *err)
{
    struct mc_added_guest pattern;
    int rc = read_pattern(cli, gathered, &pattern, err);

    *change = (struct change){.what_if = {.added = change->added, .removed = change->removed}};
    for (size_t i = 0; rc == 0 && i < cli->given_count; i++)
        rc = take_option(&cli->given[i], &pattern, gathered, change, err);
    if (rc == 0 && !*change->text)
        rc = mc_error_set(err, -EINVAL,
                          "nothing to change; say --add SIZE, --remove GUEST, --host-memory SIZE "
                          "or --budget SIZE");
    return rc;
}

/* ---- the answer ---- */

static void print_moment(const struct mc_past *past, uint64_t ms)
{
    time_t at = (time_t)((past->since_ms + (int64_t)ms) / 1000);
    struct tm local;
    char text[32];

    strftime(text, sizeof(text), "%m-%d %H:%M:%S", localtime_r(&at, &local));
    fputs(text, stdout);
}

static void print_way(const struct cli *cli, const struct mc_past *past,
                      const struct change *change, const struct mc_simulation *was)
{
    const char *like = cli_option(cli, "like"), *use = cli_option(cli, "use");
    char size[MC_SIZE_TEXT];

    fputs("Replayed ", stdout);
    print_moment(past, 0);
    fputs(" to ", stdout);
    print_moment(past, was->duration_ms);
    printf(" (%s rows): %zu guests on %s, policy %s.\n", mc_tier_name(past->tier), was->count,
           mc_size_format(size, was->host_memory), was->policy);
    printf("Change: %s.", change->text);
    if (change->what_if.added_count && like)
        printf(" New guests use memory as %s did.", like);
    else if (change->what_if.added_count && use)
        printf(" New guests use %s of theirs all the time.", use);
    else if (change->what_if.added_count)
        fputs(" New guests use memory as the others did on average.", stdout);
    puts("\n");
}

static void print_row(const char *name, const char *was, const char *is)
{
    printf("%-34s %12s %12s\n", name, was, is);
}

static uint64_t worst_of(const struct mc_simulation *run)
{
    uint64_t most = 0;

    for (size_t i = 0; i < run->count; i++)
        most = mc_max_u64(most, run->guests[i].shortage.most);
    return most;
}

static void print_figures(const struct mc_simulation *was, const struct mc_simulation *is)
{
    char a[SIMULATE_NUMBER_TEXT], b[SIMULATE_NUMBER_TEXT];

    print_row("", "AS RECORDED", "CHANGED");
    print_row("guests short of memory, s in all", simulate_seconds(a, was->all.distress_ms),
              simulate_seconds(b, is->all.distress_ms));
    print_row("memory that was missing, GiB s", simulate_missing(a, was->all.unmet),
              simulate_missing(b, is->all.unmet));
    print_row("at the worst moment, one guest", mc_size_format(a, worst_of(was)),
              mc_size_format(b, worst_of(is)));
    print_row("guests beyond the budget, at most", mc_size_format(a, was->over_budget_most),
              mc_size_format(b, is->over_budget_most));
    print_row("host beyond its memory, at most", mc_size_format(a, was->overrun_most),
              mc_size_format(b, is->overrun_most));
}

static void print_short_guests(const struct mc_past *past, const struct mc_simulation *run)
{
    puts("\nSHORT                    SECONDS  TIMES  FIRST           WORST              BY");
    for (size_t i = 0; i < run->count; i++) {
        const struct mc_simulated_guest *guest = &run->guests[i];
        char seconds[SIMULATE_NUMBER_TEXT], size[MC_SIZE_TEXT];

        if (!guest->shortage.count)
            continue;
        printf("%-22.22s %9s %6u  ", guest->name,
               simulate_seconds(seconds, guest->fare.distress_ms), guest->shortage.count);
        print_moment(past, guest->shortage.first_ms);
        fputs("  ", stdout);
        print_moment(past, guest->shortage.most_ms);
        printf(" %6s\n", mc_size_format(size, guest->shortage.most));
    }
}

/* The promise is elastic, so that a little more than the budget for a moment is nothing new. */
#define BEYOND_LEAST (64 * MC_MIB)

static bool is_worse(uint64_t is, uint64_t was)
{
    return is > was + BEYOND_LEAST;
}

static void print_verdict(const struct mc_past *past, const struct mc_simulation *was,
                          const struct mc_simulation *is)
{
    bool beyond = is_worse(is->over_budget_most, was->over_budget_most);
    char size[MC_SIZE_TEXT], seconds[SIMULATE_NUMBER_TEXT];
    size_t count = 0;

    for (size_t i = 0; i < is->count; i++)
        count += is->guests[i].shortage.count > 0;
    if (count)
        print_short_guests(past, is);
    putchar('\n');
    if (is_worse(is->overrun_most, was->overrun_most))
        printf("The host itself would have been short of %s: it would have had to swap.\n",
               mc_size_format(size, is->overrun_most));
    else if (beyond)
        printf("The guests would have used %s more than the budget.\n",
               mc_size_format(size, is->over_budget_most));
    if (!count)
        printf("No guest would have been short of memory%s.\n",
               beyond ? ", at the cost of the host" : "");
    else if (is->all.distress_ms <= was->all.distress_ms)
        puts("No guest would have been worse off than it was.");
    else
        printf("%zu guest%s would have been short of memory, for %s s in all.\n", count,
               count > 1 ? "s" : "", simulate_seconds(seconds, is->all.distress_ms));
}

static json_t *moment_of(const struct mc_past *past, uint64_t ms)
{
    return json_integer(past->since_ms + (int64_t)ms);
}

static json_t *run_to_json(const struct mc_past *past, const struct mc_simulation *run)
{
    json_t *guests = json_array();

    for (size_t i = 0; i < run->count; i++) {
        const struct mc_simulated_guest *guest = &run->guests[i];
        json_t *object = json_pack(
            "{s:s, s:I, s:I, s:I, s:i}", "name", guest->name, "memory", (json_int_t)guest->memory,
            "short_ms", (json_int_t)guest->fare.distress_ms, "missing",
            (json_int_t)guest->fare.unmet, "times", (int)guest->shortage.count);

        if (guest->shortage.count)
            json_object_update_new(object,
                                   json_pack("{s:o, s:o, s:I}", "first_ms",
                                             moment_of(past, guest->shortage.first_ms), "worst_ms",
                                             moment_of(past, guest->shortage.most_ms), "most",
                                             (json_int_t)guest->shortage.most));
        json_array_append_new(guests, object);
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "host_memory", (json_int_t)run->host_memory,
                     "over_budget", (json_int_t)run->over_budget_most, "short_ms",
                     (json_int_t)run->all.distress_ms, "missing", (json_int_t)run->all.unmet,
                     "overrun", (json_int_t)run->overrun_most, "guests", guests);
}

static void print(const struct cli *cli, const struct mc_past *past, const struct change *change,
                  const struct mc_simulation *was, const struct mc_simulation *is)
{
    if (cli->json) {
        cli_print_json(json_pack("{s:s, s:I, s:I, s:s, s:o, s:o}", "tier", mc_tier_name(past->tier),
                                 "since_ms", (json_int_t)past->since_ms, "until_ms",
                                 (json_int_t)past->until_ms, "change", change->text, "recorded",
                                 run_to_json(past, was), "changed", run_to_json(past, is)));
        return;
    }
    print_way(cli, past, change, was);
    print_figures(was, is);
    print_verdict(past, was, is);
}

/* ---- doing it ---- */

static void show_progress(void *opaque, uint64_t now_ms, uint64_t duration_ms)
{
    fprintf(stderr, "\r%s %3d%%", (const char *)opaque, (int)(now_ms * 100 / duration_ms));
    if (now_ms + duration_ms / 100 >= duration_ms)
        fputs("\r                                \r", stderr);
}

static void set_progress(const struct cli *cli, const char *text, struct mc_what_if *what_if)
{
    if (cli->json || !isatty(STDERR_FILENO))
        return;
    what_if->progress = show_progress;
    what_if->opaque = (void *)text;
}

static int replay(const struct cli *cli, const struct mc_past *past, struct change *change,
                  struct mc_error *err)
{
    struct mc_simulation *was = NULL, *is = NULL;
    struct mc_what_if as_it_was = {0};
    int rc;

    set_progress(cli, "as it was", &as_it_was);
    set_progress(cli, "changed", &change->what_if);
    change->what_if.title = change->text;
    change->what_if.samples = cli_option(cli, "plot") ? 1000 : 0;
    rc = mc_replay_past(past, &as_it_was, &was, err);
    if (rc == 0)
        rc = mc_replay_past(past, &change->what_if, &is, err);
    if (rc == 0 && cli_option(cli, "plot")) {
        FILE *file = fopen(cli_option(cli, "plot"), "we");

        if (file) {
            simulate_draw(file, is);
            rc = fclose(file) == 0 ? 0 : -errno;
        } else {
            rc = -errno;
        }
        if (rc < 0)
            mc_error_set(err, rc, "%s cannot be written: %s", cli_option(cli, "plot"),
                         strerror(-rc));
    }
    if (rc == 0)
        print(cli, past, change, was, is);
    mc_simulation_free(was);
    mc_simulation_free(is);
    return rc;
}

/*
 * The finest rows that go back so far, or as far as any do: raw ones know when in a minute
 * something was needed. Host and guests have to be of one tier, or some would seem to end before
 * others.
 */
static const char *best_tier(const struct past *past, int64_t since_ms)
{
    int64_t oldest_ms[MC_TIER_COUNT], first_ms = INT64_MAX;
    json_t *facts;

    if (past_ask(past, json_pack("{s:s}", "what", "facts"), &facts, NULL) < 0)
        return "raw";
    for (enum mc_tier tier = 0; tier < MC_TIER_COUNT; tier++) {
        const json_t *oldest =
            json_object_get(json_object_get(facts, "oldest_ms"), mc_tier_name(tier));

        oldest_ms[tier] = json_is_integer(oldest) ? json_integer_value(oldest) : INT64_MAX;
        if (oldest_ms[tier] < first_ms)
            first_ms = oldest_ms[tier];
    }
    json_decref(facts);
    if (first_ms < since_ms)
        first_ms = since_ms;
    for (enum mc_tier tier = 0; tier < MC_TIER_COUNT; tier++)
        if (oldest_ms[tier] <= first_ms + 3600000)
            return mc_tier_name(tier);
    return "raw";
}

static int plan(const struct cli *cli, const struct past *past, int64_t since_ms, int64_t until_ms,
                struct mc_error *err)
{
    const char *tier = cli_option(cli, "tier");
    struct gathered gathered;
    struct change change;
    int rc =
        gather(past, tier ? tier : best_tier(past, since_ms), since_ms, until_ms, &gathered, err);

    if (rc < 0)
        return rc;
    rc = read_change(cli, &gathered, &change, err);
    if (rc == 0)
        rc = replay(cli, &gathered.past, &change, err);
    gathered_free(&gathered);
    return rc;
}

static int run(const struct cli *cli, int argc, char **argv)
{
    int64_t since_ms, until_ms;
    struct past past;
    struct mc_error err;
    int rc;

    (void)argv;
    if (argc)
        return cli_usage(&command_plan, "takes no argument; see --help");
    if (past_window(cli, SINCE_MS, &since_ms, &until_ms, &err) < 0)
        return cli_usage(&command_plan, "%s", err.text);
    rc = past_open(cli, &past, &err);
    if (rc == 0) {
        rc = plan(cli, &past, since_ms, until_ms, &err);
        past_close(&past);
    }
    if (rc == -EINVAL)
        return cli_usage(&command_plan, "%s", err.text);
    return rc < 0 ? cli_fail(&err) : EXIT_OK;
}

static const struct command_option options[] = {
    {"add", "SIZE[xN]", "with N more guests of this memory; can be said several times"},
    {"like", "GUEST", "the new ones use memory as this guest did"},
    {"use", "PART", "or use this part of theirs all the time, as 60%"},
    {"remove", "GUEST", "without this guest; can be said several times"},
    {"host-memory", "SIZE", "with so much memory in the host"},
    {"budget", "SIZE", "with this budget for all guests"},
    {"since", "TIME", "replay what was from then on; default 24h"},
    {"until", "TIME", "up to then; default now"},
    {"tier", "TIER", "raw, minute or hour rows, whatever fits otherwise"},
    {"plot", "FILE", "draw the changed run into this file, in SVG"},
    PAST_OPTION,
    {0},
};

const struct command command_plan = {
    .name = "plan",
    .arguments =
        "[--add SIZE[xN] [--like GUEST | --use PART]] [--remove GUEST]\n"
        "              [--host-memory SIZE] [--budget SIZE] [--since TIME] [--until TIME]\n"
        "              [--tier TIER] [--plot FILE] [--store FILE]",
    .summary = "would anyone have been short if something had been different",
    .options = options,
    .help = "Replays the recorded history through the engine as it is configured now, once as it\n"
            "was and once with the change. No guest is touched.",
    .run = run,
};
