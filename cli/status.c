/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void print_uptime(long long seconds)
{
    if (seconds >= 86400)
        printf("%lldd %lldh", seconds / 86400, seconds / 3600 % 24);
    else if (seconds >= 3600)
        printf("%lldh %lldmin", seconds / 3600, seconds / 60 % 60);
    else if (seconds >= 60)
        printf("%lldmin %llds", seconds / 60, seconds % 60);
    else
        printf("%llds", seconds);
}

static void print_hypervisor(const json_t *link)
{
    long long stuck = json_integer_value(json_object_get(link, "stuck_calls"));

    if (json_is_true(json_object_get(link, "up")))
        printf("hypervisor  %s\n", json_text(link, "uri"));
    else
        printf("hypervisor  %s  NOT CONNECTED: %s\n", json_text(link, "uri"),
               json_text(link, "error"));
    if (stuck)
        printf("            %lld calls do not come back: a guest or libvirtd hangs\n", stuck);
}

static void print_refused(const json_t *refused)
{
    if (json_is_object(refused))
        printf("            instead of %s, which was set aside: %s\n", json_text(refused, "policy"),
               json_text(refused, "error"));
}

/* Whatever keeps memctld from moving memory although all is well. */
static void print_standstill(const json_t *status)
{
    const json_t *paused = json_object_get(status, "paused");
    size_t by_name = json_array_size(json_object_get(paused, "guests"));

    if (json_is_true(json_object_get(status, "dry_run")))
        puts("            DRY RUN: everything is decided and shown, no guest is touched");
    if (json_is_true(json_object_get(paused, "all")))
        puts("            ALL GUESTS ARE PAUSED: 'memctl resume' lets them move again");
    if (by_name)
        printf("            %zu paused by name: 'memctl resume GUEST'\n", by_name);
}

static void print_host(const json_t *host)
{
    const json_t *pressure = json_object_get(host, "pressure");

    printf("host        %s of %s available", cli_size(host, "available"), cli_size(host, "total"));
    if (json_is_object(pressure))
        printf(", stalled for memory %.1f%% of the last 10 s",
               json_real_value(json_object_get(pressure, "some_avg10")));
    putchar('\n');
}

static void print_reclaim(const json_t *plan)
{
    static const char *const said[][2] = {
        {"works", "takes guests' idle memory into swap"},
        {"no-swap", "can do nothing: there is no free swap"},
        {"nobody", "can do nothing: no guest has idle memory that may be taken"},
        {"off", "is switched off (host-reclaim = no)"},
    };
    const char *verdict = json_text(plan, "host_reclaim");

    for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++)
        if (strcmp(verdict, said[i][0]) == 0)
            printf("            host reclaim %s\n", said[i][1]);
}

static void print_plan(const json_t *plan)
{
    printf("budget      %s = %s QEMU itself + %s guests left alone + %s for trouble + %s\n",
           cli_size(plan, "budget"), cli_size(plan, "overheads"), cli_size(plan, "exempt"),
           cli_size(plan, "reserve"), cli_size(plan, "strict"));
    printf("promised    %s of %s, %s resident\n", cli_size(plan, "promised"),
           cli_size(plan, "divided"), cli_size(plan, "held"));
    if (json_size(plan, "promised") > json_size(plan, "divided"))
        puts("            too much for now: until it fits, guests only shrink, but for those in "
             "trouble");
    printf("state       %s, headroom %s\n", json_text(plan, "state"), cli_size(plan, "headroom"));
    print_reclaim(plan);
    if (json_size(plan, "deficit"))
        printf("            reservations exceed the budget by %s: lower some min, or add memory\n",
               cli_size(plan, "deficit"));
    if (json_size(plan, "surplus"))
        printf("            every guest may have its max, and %s are left\n",
               cli_size(plan, "surplus"));
}

static void print_stopped(const json_t *stopped)
{
    const json_t *guest;
    size_t i;

    if (!json_array_size(stopped))
        return;
    printf("stopped     by memctl, until the host has memory again:");
    json_array_foreach (stopped, i, guest)
        printf("%s %s (%s)", i ? "," : "", json_text(guest, "name"), json_text(guest, "how"));
    putchar('\n');
}

/* "6 h", "12 days": what there is of a tier. */
static const char *age_of(char *text, size_t size, const json_t *history, const char *tier)
{
    const json_t *oldest = json_object_get(json_object_get(history, "oldest_ms"), tier);
    long long hours = ((long long)time(NULL) - json_integer_value(oldest) / 1000) / 3600;

    if (!json_is_integer(oldest))
        return "none";
    if (hours < 48)
        snprintf(text, size, "%lld h", hours < 1 ? 1 : hours);
    else
        snprintf(text, size, "%lld days", hours / 24);
    return text;
}

/* The size bounds it before the times do. */
static void print_shortened(const json_t *history)
{
    char raw[32], minutes[32], hours[32];

    if (!json_is_integer(json_object_get(history, "shortened_ms")))
        return;
    printf("            SHORTENED to fit its size: raw rows of %s, minutes of %s, hours of %s;\n"
           "            'size' under [history] in memctld.conf allows more\n",
           age_of(raw, sizeof(raw), history, "raw"),
           age_of(minutes, sizeof(minutes), history, "minute"),
           age_of(hours, sizeof(hours), history, "hour"));
}

static void print_history(const json_t *history)
{
    const json_t *oldest = json_object_get(history, "oldest_ms");
    static const char *const tiers[] = {"hour", "minute", "raw"};
    time_t since = 0;
    struct tm local;
    char text[32];

    if (!json_is_object(history))
        return;
    for (size_t i = 0; !since && i < sizeof(tiers) / sizeof(*tiers); i++)
        since = (time_t)(json_integer_value(json_object_get(oldest, tiers[i])) / 1000);
    printf("history     %s of %s", cli_size(history, "size"), cli_size(history, "size_max"));
    if (since && strftime(text, sizeof(text), "%Y-%m-%d", localtime_r(&since, &local)))
        printf(", since %s", text);
    if (json_integer_value(json_object_get(history, "dropped")))
        printf(", %lld rows lost",
               (long long)json_integer_value(json_object_get(history, "dropped")));
    putchar('\n');
    print_shortened(history);
    if (!json_is_true(json_object_get(history, "up")))
        printf("            NOT KEPT for now: %s\n", json_text(history, "error"));
}

static void print_sampling(const json_t *sampling)
{
    if (!json_is_object(sampling))
        return;
    if (json_is_string(json_object_get(sampling, "method")))
        printf("looks at    %lld guests without agent, by %s, every %.0f s\n",
               (long long)json_integer_value(json_object_get(sampling, "guests")),
               json_text(sampling, "method"),
               (double)json_integer_value(json_object_get(sampling, "window_ms")) / 1000);
    else
        printf("looks at    no guest from the host: %s\n", json_text(sampling, "error"));
}

static int run(const struct cli *cli, int argc, char **argv)
{
    json_t *status, *plan;
    int code;

    (void)argv;
    if (argc)
        return cli_usage(&command_status, "takes no argument");
    code = cli_ask(cli, "status", NULL, &status);
    if (code != EXIT_OK)
        return code;
    if (cli->json)
        return cli_print_json(status);
    printf("memctld     %s, up ", json_text(status, "version"));
    print_uptime(json_integer_value(json_object_get(status, "uptime_s")));
    printf(", policy %s, every %.1f s\n", json_text(status, "policy"),
           (double)json_integer_value(json_object_get(status, "interval_ms")) / 1000);
    print_refused(json_object_get(status, "policy_refused"));
    print_standstill(status);
    print_hypervisor(json_object_get(status, "hypervisor"));
    plan = json_object_get(status, "plan");
    if (json_is_object(plan)) {
        print_host(json_object_get(status, "host"));
        print_plan(plan);
        print_stopped(json_object_get(status, "stopped"));
        printf("guests      %lld, %lld managed\n",
               (long long)json_integer_value(json_object_get(status, "guests")),
               (long long)json_integer_value(json_object_get(status, "managed")));
    }
    print_sampling(json_object_get(status, "host_sampling"));
    print_history(json_object_get(status, "history"));
    json_decref(status);
    return EXIT_OK;
}

const struct command command_status = {
    .name = "status",
    .arguments = "",
    .summary = "show the daemon, the host and the budget",
    .run = run,
};
