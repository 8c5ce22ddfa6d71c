/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include <stdio.h>
#include <time.h>

#include "simulate.h"

static void print_moment(const struct mc_past *past, uint64_t ms)
{
    time_t at = (time_t)((past->since_ms + (int64_t)ms) / 1000);
    struct tm local;
    char text[32];

    strftime(text, sizeof(text), "%m-%d %H:%M:%S", localtime_r(&at, &local));
    fputs(text, stdout);
}

static void print_way(const struct cli *cli, const struct mc_past *past,
                      const struct plan_change *change, const struct mc_simulation *was)
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

void plan_print(const struct cli *cli, const struct mc_past *past, const struct plan_change *change,
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
