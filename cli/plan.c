/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What would have happened if something had been different: the past, through the real engine. */
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "simulate.h"

#define SINCE_MS (UINT64_C(24) * 3600000)

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

static int draw(const char *path, const struct mc_simulation *run, struct mc_error *err)
{
    FILE *file = fopen(path, "we");
    int rc = file ? 0 : -errno;

    if (file) {
        simulate_draw(file, run);
        rc = fclose(file) == 0 ? 0 : -errno;
    }
    return rc < 0 ? mc_error_set(err, rc, "%s cannot be written: %s", path, strerror(-rc)) : 0;
}

static int replay(const struct cli *cli, const struct mc_past *past, struct plan_change *change,
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
    if (rc == 0 && cli_option(cli, "plot"))
        rc = draw(cli_option(cli, "plot"), is, err);
    if (rc == 0)
        plan_print(cli, past, change, was, is);
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
    struct plan_change change;
    int rc =
        gather(past, tier ? tier : best_tier(past, since_ms), since_ms, until_ms, &gathered, err);

    if (rc < 0)
        return rc;
    rc = plan_read_change(cli, &gathered, &change, err);
    if (rc == 0)
        rc = replay(cli, &gathered.past, &change, err);
    gathered_free(&gathered);
    return rc;
}

static int run(const struct cli *cli, int argc, char **argv)
{
    (void)argv;
    return gather_run(cli, &command_plan, argc, SINCE_MS, plan);
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
