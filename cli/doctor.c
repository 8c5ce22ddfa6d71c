/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memctl doctor: what lib/doctor found, the worst first, each once for all guests it is true of. */
#include "cli.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memctl/doctor.h>

#include "paragraph.h"

#define LINE_WIDTH 79
#define LABEL_WIDTH 9

/* More names than that are counted. */
#define NAMES_MAX 8

/* How a fix names the guest; see struct mc_finding. */
#define PLACEHOLDER "\"$GUEST\""

/* ---- commands for a shell ---- */

static void write_quoted(FILE *out, const char *name)
{
    bool plain = *name != '\0';

    for (const char *c = name; *c; c++)
        plain = plain && (isalnum((unsigned char)*c) || strchr("-_.+:@%/", *c));
    if (plain) {
        fputs(name, out);
        return;
    }
    fputc('\'', out);
    for (const char *c = name; *c; c++)
        fputs(*c == '\'' ? "'\\''" : (char[]){*c, '\0'}, out);
    fputc('\'', out);
}

/* The fix with the guest's name in it. */
static void write_fix(FILE *out, const char *fix, const char *guest)
{
    for (const char *at; (at = strstr(fix, PLACEHOLDER)); fix = at + strlen(PLACEHOLDER)) {
        fprintf(out, "%.*s", (int)(at - fix), fix);
        write_quoted(out, guest);
    }
    fputs(fix, out);
}

/* ---- for people ---- */

/* Findings that differ in the guest only, as indices into the list. */
struct group {
    const struct mc_finding **members;
    size_t count;
};

static bool is_alike(const struct mc_finding *a, const struct mc_finding *b)
{
    return strcmp(a->check, b->check) == 0 && a->level == b->level &&
           strcmp(a->what, b->what) == 0 && strcmp(a->why, b->why) == 0 &&
           strcmp(a->fix, b->fix) == 0;
}

static bool uses_colour(void)
{
    const char *no = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && !(no && *no);
}

static void print_label(enum mc_level level)
{
    static const char *const colours[] = {
        [MC_LEVEL_NONE] = "",
        [MC_LEVEL_OK] = "\033[32m",
        [MC_LEVEL_NOTE] = "\033[36m",
        [MC_LEVEL_WARNING] = "\033[33m",
        [MC_LEVEL_PROBLEM] = "\033[1;31m",
    };

    if (uses_colour())
        printf("%s%-*s\033[0m", colours[level], LABEL_WIDTH, mc_level_name(level));
    else
        printf("%-*s", LABEL_WIDTH, mc_level_name(level));
}

static void print_head(const struct group *group)
{
    const struct mc_finding *first = group->members[0];

    print_label(first->level);
    fputs(first->check, stdout);
    for (size_t i = 0; *first->guest && i < group->count && i < NAMES_MAX; i++)
        printf("%s%s", i ? ", " : ": ", group->members[i]->guest);
    if (group->count > NAMES_MAX)
        printf(" and %zu more", group->count - NAMES_MAX);
    putchar('\n');
}

static void print_fix(const struct group *group)
{
    const struct mc_finding *first = group->members[0];

    if (first->fix[0] == '#' || group->count == 1 || !strstr(first->fix, PLACEHOLDER)) {
        printf("%*s", LABEL_WIDTH + 2, "");
        write_fix(stdout, first->fix, first->guest);
        putchar('\n');
        return;
    }
    printf("%*sfor GUEST in", LABEL_WIDTH + 2, "");
    for (size_t i = 0; i < group->count; i++) {
        putchar(' ');
        write_quoted(stdout, group->members[i]->guest);
    }
    printf("; do\n%*s%s\n%*sdone\n", LABEL_WIDTH + 6, "", first->fix, LABEL_WIDTH + 2, "");
}

static void print_group(const struct group *group)
{
    const struct mc_finding *first = group->members[0];
    char text[sizeof(first->what) + sizeof(first->why) + 2];

    snprintf(text, sizeof(text), "%s %s", first->what, first->why);
    print_head(group);
    paragraph_write(stdout, "", LABEL_WIDTH, LINE_WIDTH, text);
    if (*first->fix)
        print_fix(group);
    putchar('\n');
}

/* Group by group, those of one level. */
static void print_level(const struct mc_findings *findings, enum mc_level level,
                        struct group *group)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct mc_finding *first = &findings->list[i];
        bool is_first = first->level == level;

        for (size_t j = 0; j < i && is_first; j++)
            is_first = !is_alike(&findings->list[j], first);
        if (!is_first)
            continue;
        group->count = 0;
        for (size_t j = i; j < findings->count; j++)
            if (is_alike(&findings->list[j], first))
                group->members[group->count++] = &findings->list[j];
        print_group(group);
    }
}

static bool is_ok_everywhere(const struct mc_findings *findings, const char *check)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->list[i].level != MC_LEVEL_OK && strcmp(findings->list[i].check, check) == 0)
            return false;
    return true;
}

/* The names of the checks that found nothing, in one paragraph. */
static int print_ok(const struct mc_findings *findings)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    const char *last = "";

    if (!out)
        return -1;
    for (size_t i = 0; i < findings->count; i++) {
        const struct mc_finding *finding = &findings->list[i];

        if (strcmp(finding->check, last) == 0 || !is_ok_everywhere(findings, finding->check))
            continue;
        fprintf(out, "%s%s", *last ? ", " : "", finding->check);
        last = finding->check;
    }
    if (fclose(out) == 0 && *text) { /* without colour: its signs would count as text */
        paragraph_write(stdout, mc_level_name(MC_LEVEL_OK), LABEL_WIDTH, LINE_WIDTH, text);
        putchar('\n');
    }
    free(text);
    return 0;
}

static void print_summary(const size_t counts[])
{
    static const enum mc_level levels[] = {MC_LEVEL_PROBLEM, MC_LEVEL_WARNING, MC_LEVEL_NOTE};
    bool any = false;

    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        size_t count = counts[levels[i]];

        if (!count)
            continue;
        printf("%s%zu %s%s", any ? ", " : "", count, mc_level_name(levels[i]),
               count == 1 ? "" : "s");
        any = true;
    }
    puts(any ? "" : "Nothing to say: all is well.");
}

static int print_all(const struct mc_findings *findings, const size_t counts[], bool also_ok)
{
    struct group group = {.members =
                              calloc(findings->count + 1, sizeof(const struct mc_finding *))};

    if (!group.members)
        return EXIT_FAILED;
    for (int level = MC_LEVEL_PROBLEM; level > MC_LEVEL_OK; level--)
        print_level(findings, (enum mc_level)level, &group);
    if (also_ok)
        print_level(findings, MC_LEVEL_OK, &group);
    else
        print_ok(findings);
    print_summary(counts);
    free(group.members);
    return EXIT_OK;
}

/* ---- for programs ---- */

static json_t *finding_json(const struct mc_finding *finding)
{
    char *fix = NULL;
    size_t size;
    FILE *out = open_memstream(&fix, &size);
    json_t *object;

    if (!out)
        return NULL;
    write_fix(out, finding->fix, finding->guest);
    fclose(out);
    object = json_pack("{s:s, s:s, s:s?, s:s, s:s?, s:s?}", "check", finding->check, "level",
                       mc_level_name(finding->level), "guest",
                       *finding->guest ? finding->guest : NULL, "what", finding->what, "why",
                       *finding->why ? finding->why : NULL, "fix", *finding->fix ? fix : NULL);
    free(fix);
    return object;
}

static int print_json(const struct mc_findings *findings, const size_t counts[])
{
    json_t *list = json_array();

    for (size_t i = 0; i < findings->count; i++)
        json_array_append_new(list, finding_json(&findings->list[i]));
    return cli_print_json(json_pack(
        "{s:o, s:I, s:I, s:I, s:I}", "findings", list, "problems",
        (json_int_t)counts[MC_LEVEL_PROBLEM], "warnings", (json_int_t)counts[MC_LEVEL_WARNING],
        "notes", (json_int_t)counts[MC_LEVEL_NOTE], "ok", (json_int_t)counts[MC_LEVEL_OK]));
}

static int run(const struct cli *cli, int argc, char **argv)
{
    const struct mc_doctor_options wanted = {
        .uri = cli_option(cli, "connect"), .socket = cli->socket, .root = cli_option(cli, "root")};
    struct mc_findings findings = {0};
    size_t counts[MC_LEVEL_PROBLEM + 1] = {0};
    struct mc_error err;
    int code;

    (void)argv;
    if (argc)
        return cli_usage(&command_doctor, "takes no argument; it looks at all guests");
    if (mc_doctor_examine(&wanted, &findings, &err) < 0) {
        mc_findings_free(&findings);
        return cli_fail(&err);
    }
    for (size_t i = 0; i < findings.count; i++)
        counts[findings.list[i].level]++;
    code = cli->json ? print_json(&findings, counts)
                     : print_all(&findings, counts, cli_option(cli, "all") != NULL);
    mc_findings_free(&findings);
    return code == EXIT_OK && counts[MC_LEVEL_PROBLEM] ? EXIT_FAILED : code;
}

static const struct command_option options[] = {
    {"all", NULL, "also say in full what is well"},
    {"connect", "URI", "libvirt's, if not the daemon's own or qemu:///system"},
    {"root", "DIR", "look at a copy of a host's files (/proc, /sys, /etc) instead"},
    {0},
};

const struct command command_doctor = {
    .name = "doctor",
    .arguments = "[--all] [--connect URI] [--root DIR]",
    .summary = "find what keeps host and guests from sharing memory well, and how to mend it",
    .options = options,
    .help = "It changes nothing, and needs no running memctld. Commands that it prints are for\n"
            "root's shell; read them first. Exit code: 0 no problem, 1 at least one.",
    .run = run,
};
