/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void print_setting(const json_t *guest, const char *key, const char *value)
{
    const json_t *own = json_object_get(json_object_get(guest, "settings"), key);

    if (own)
        printf("  %-14s %s  (set: %s)\n", key, value, json_string_value(own));
    else
        printf("  %-14s %s\n", key, value);
}

/* As it would be written, so that it reads like what is set. */
static void print_cooldown(const json_t *guest)
{
    char text[24];

    snprintf(text, sizeof(text), "%gs", (double)json_size(guest, "cooldown_ms") / 1000);
    print_setting(guest, "cooldown", text);
}

static void print_terms(const json_t *guest)
{
    char shares[24];

    snprintf(shares, sizeof(shares), "%lld",
             (long long)json_integer_value(json_object_get(guest, "shares")));
    print_setting(guest, "shares", shares);
    print_setting(guest, "min", cli_size(guest, "min"));
    print_setting(guest, "max", cli_size(guest, "max"));
    print_setting(guest, "managed", json_is_true(json_object_get(guest, "managed")) ? "yes" : "no");
    print_setting(guest, "last-resort", json_text(guest, "last_resort"));
    print_cooldown(guest);
    print_setting(guest, "dedupe", json_is_true(json_object_get(guest, "dedupe")) ? "yes" : "no");
    print_setting(guest, "trust-domain", json_text(guest, "trust_domain"));
}

static void print_source(const json_t *guest)
{
    const char *source = json_text(guest, "active_source");
    const json_t *sample = json_object_get(guest, "sample");
    json_int_t window_ms = json_integer_value(json_object_get(guest, "active_window_ms"));

    printf("  %-14s %-8s where that comes from", "source", source);
    if (*json_text(guest, "active_method"))
        printf(": %s, ", json_text(guest, "active_method"));
    if (window_ms)
        printf("%s %.0f s, ", strcmp(source, "balloon") == 0 ? "every" : "within",
               (double)window_ms / 1000);
    if (*json_text(guest, "active_method"))
        printf("%lld%% sure that it is no more",
               (long long)json_integer_value(json_object_get(guest, "active_confidence")));
    putchar('\n');
    if (strcmp(source, "host") == 0)
        printf("  seen from the host: %s to %s are touched\n", cli_size(sample, "least"),
               cli_size(sample, "most"));
}

static void print_memory(const json_t *guest)
{
    static const struct {
        const char *key, *meaning;
    } rows[] = {
        {"memory", "what it is configured with"}, {"actual", "what the balloon leaves it"},
        {"used", "what it cannot give up"},       {"active", "what it works with"},
        {"held", "resident on the host"},         {"overhead", "QEMU's own memory"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        printf("  %-14s %-8s %s\n", rows[i].key, cli_size(guest, rows[i].key), rows[i].meaning);
    print_source(guest);
    if (!json_is_true(json_object_get(guest, "fresh")))
        puts("  its statistics are missing, old or rare: it is not shrunk");
}

/* The chain from the policy's wish to the target, one line for each rule that changed it. */
static void print_plan(const json_t *plan)
{
    const json_t *changes = json_object_get(plan, "changes");
    json_t *change;
    size_t i;

    if (!json_is_object(plan))
        return;
    printf("target\n  %-20s %s\n", "policy", cli_size(plan, "wish"));
    json_array_foreach (changes, i, change)
        printf("  %-20s %s\n", json_text(change, "rule"), cli_size(change, "to"));
    if (json_size(plan, "host_reclaim"))
        printf("  %-20s %s of its idle memory\n", "host-reclaim", cli_size(plan, "host_reclaim"));
    if (strcmp(json_text(plan, "last_resort"), "none") != 0)
        printf("  %-20s %s\n", "last-resort", json_text(plan, "last_resort"));
}

static void print_working_set(const json_t *set)
{
    if (!json_is_object(set))
        return;
    printf(
        "  by %s, within %.0f s: %s touched, %s of page cache read, %s the kernel's; %d%% sure\n",
        json_text(set, "method"),
        (double)json_integer_value(json_object_get(set, "window_ms")) / 1000,
        cli_size(set, "active"), cli_size(set, "read_cache"), cli_size(set, "kernel"),
        (int)json_integer_value(json_object_get(set, "confidence")));
}

static void print_agent(const json_t *agent)
{
    uint64_t stall_us = json_size(agent, "stall_us");

    if (!json_is_object(agent)) {
        puts("agent: none");
        return;
    }
    printf("agent %s: %s of %s available", json_text(agent, "version"),
           cli_size(agent, "available"), cli_size(agent, "total"));
    if (stall_us != MC_UNKNOWN)
        printf(", waits for memory %.1f%% of the time", (double)stall_us / 10000);
    putchar('\n');
    print_working_set(json_object_get(agent, "working_set"));
}

static void print_stop(const json_t *guest)
{
    const json_t *stopped = json_object_get(guest, "stopped");
    time_t at = (time_t)json_integer_value(json_object_get(stopped, "at_s"));
    char when[32];
    struct tm local;

    if (!json_is_object(stopped))
        return;
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&at, &local));
    printf("stopped by memctl as a last resort (%s) at %s, with %s resident\n",
           json_text(stopped, "how"), when, cli_size(stopped, "size"));
}

/* What the kernel's page merging does with it; the scanner's figure where nothing is merged. */
static void print_equal_pages(const json_t *guest)
{
    const json_t *merging = json_object_get(guest, "merging");
    const json_t *found = json_object_get(guest, "equal_pages");
    char kept[16];

    if (json_is_object(merging)) {
        merging_kept(merging, kept);
        puts("equal pages");
        printf("  %-14s %-8s %s\n", "mergeable", merging_state(merging), json_text(merging, "why"));
        printf("  %-14s %-8s what merging it saves, by the scanner%s\n", "promised",
               merging_promise(merging),
               json_size(merging, "foretold") != MC_UNKNOWN ? ", before it was merged" : "");
        printf("  %-14s %-8s what is saved of it, read back from the kernel: %s\n", "saved",
               cli_size(merging, "saved"), kept);
        printf("  %-14s %.2fs    of ksmd's processor time until it is merged; %s of huge pages may "
               "break\n",
               "cost", merging_seconds(merging), cli_size(merging, "splits"));
    } else if (json_is_object(found)) {
        puts("equal pages");
        printf("  %-14s %-8s what merging it would save, pages of zeros apart\n", "saving",
               cli_size(found, "saving"));
    }
}

static void print_running(const json_t *guest)
{
    print_stop(guest);
    if (strcmp(json_text(guest, "exempt"), "no") != 0)
        printf("left alone: %s\n", json_text(guest, "exempt"));
    puts("settings");
    print_terms(guest);
    puts("memory");
    print_memory(guest);
    print_plan(json_object_get(guest, "plan"));
    print_equal_pages(guest);
    print_agent(json_object_get(guest, "agent"));
}

static void print_stopped(const json_t *guest)
{
    print_stop(guest);
    puts("it does not run\nsettings from its next start on");
    print_terms(guest);
    printf("memory\n  %-14s %-8s what it is configured with\n", "memory",
           cli_size(guest, "memory"));
}

static int run(const struct cli *cli, int argc, char **argv)
{
    json_t *guest;
    int code;

    if (argc != 1)
        return cli_usage(&command_show, "takes the name or UUID of one guest");
    code = cli_ask(cli, "show", json_pack("{s:s}", "guest", argv[0]), &guest);
    if (code != EXIT_OK)
        return code;
    if (cli->json)
        return cli_print_json(guest);
    printf("%s  %s  %s\n", json_text(guest, "name"), json_text(guest, "uuid"),
           json_text(guest, "state"));
    if (strcmp(json_text(guest, "state"), "stopped") == 0)
        print_stopped(guest);
    else
        print_running(guest);
    json_decref(guest);
    return EXIT_OK;
}

const struct command command_show = {
    .name = "show",
    .arguments = "GUEST",
    .summary = "show all about one guest, running or not, by name or UUID",
    .run = run,
};
