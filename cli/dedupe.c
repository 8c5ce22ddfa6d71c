/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the page scanner found: equal pages, guest by guest, and what merging them would save. */
#include "dedupe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void print_guest(const json_t *guest)
{
    const char *state = json_text(guest, "state");

    if (strcmp(state, "scanned") != 0) {
        printf("%-16s %s%s%s\n", json_text(guest, "name"), state,
               strcmp(state, "failed") == 0 ? ": " : "",
               strcmp(state, "failed") == 0 ? json_text(guest, "why") : "");
        return;
    }
    printf("%-16s %7s %7s %7s %7s %8s %7s %7s %7s\n", json_text(guest, "name"),
           cli_size(guest, "scanned"), cli_size(guest, "zero"), cli_size(guest, "inside"),
           cli_size(guest, "across"), cli_size(guest, "volatile"), cli_size(guest, "unique"),
           cli_size(guest, "merged"), cli_size(guest, "saving"));
}

/* The domain of a guest that is in none has its UUID for a name. */
static const char *domain_name(const json_t *report, const json_t *domain)
{
    const char *name = json_text(domain, "name");
    json_t *guest;
    size_t i;

    json_array_foreach (json_object_get(report, "guests"), i, guest)
        if (strcmp(json_text(guest, "uuid"), name) == 0)
            return NULL;
    return name;
}

static void print_domains(const json_t *report)
{
    json_t *domain;
    size_t i, alone = 0;

    json_array_foreach (json_object_get(report, "domains"), i, domain) {
        const char *name = domain_name(report, domain);

        if (!name) {
            alone++;
            continue;
        }
        printf("trust domain %s: %lld guests, merging saves %s", name,
               (long long)json_integer_value(json_object_get(domain, "guests")),
               cli_size(domain, "saving"));
        if (json_integer_value(json_object_get(domain, "error")))
            printf(" +- %s", cli_size(domain, "error"));
        printf(" and %s of zeros\n", cli_size(domain, "zero"));
    }
    if (alone)
        printf("%zu guest%s without a trust domain: only what is equal inside can be saved\n",
               alone, alone == 1 ? "" : "s");
}

static void print_pass(const json_t *report)
{
    time_t at = (time_t)json_integer_value(json_object_get(report, "wall_s"));
    long long sample = json_integer_value(json_object_get(report, "sample"));
    char when[32];
    struct tm local;

    strftime(when, sizeof(when), "%m-%d %H:%M:%S", localtime_r(&at, &local));
    printf("pass %lld, finished %s after %.1f s, %.2f s of processor time; table %s%s\n",
           (long long)json_integer_value(json_object_get(report, "pass")), when,
           (double)json_integer_value(json_object_get(report, "took_ms")) / 1000,
           (double)json_integer_value(json_object_get(report, "cpu_ms")) / 1000,
           cli_size(report, "table_bytes"), sample > 1 ? ", sampled" : "");
}

static void print_table(const json_t *report)
{
    json_t *guest;
    size_t i;

    printf("%-16s %7s %7s %7s %7s %8s %7s %7s %7s\n", "GUEST", "SCANNED", "ZERO", "INSIDE",
           "ACROSS", "VOLATILE", "UNIQUE", "MERGED", "SAVING");
    json_array_foreach (json_object_get(report, "guests"), i, guest)
        print_guest(guest);
    print_domains(report);
    print_pass(report);
}

/* There is no report; say why, and what to do. */
static int explain_nothing(const json_t *scanner)
{
    const char *last_end = json_string_value(json_object_get(scanner, "last_end"));

    if (strcmp(json_text(scanner, "mode"), "off") == 0)
        fputs("memctl: the page scanner is off; set mode = scan or merge under [dedupe] in "
              "memctld.conf\n",
              stderr);
    else if (json_is_true(json_object_get(scanner, "running")))
        fprintf(stderr, "memctl: the first pass is not finished: %s of %s\n",
                cli_size(scanner, "met"), cli_size(scanner, "all"));
    else
        fprintf(stderr, "memctl: the page scanner does not run: %s; see memctld's log\n",
                last_end ? last_end : "it was not started yet");
    return EXIT_FAILED;
}

static int show_matrix(const struct cli *cli, const json_t *report)
{
    const char *file = cli_option(cli, "plot");
    struct matrix *matrix = matrix_new(report);
    int code = EXIT_OK;

    if (!matrix)
        return EXIT_FAILED;
    if (file)
        code = matrix_plot(matrix, file);
    else
        matrix_print(matrix);
    matrix_free(matrix);
    return code;
}

static int show(const struct cli *cli)
{
    json_t *result;
    const json_t *report;
    int code = cli_ask(cli, "dedupe", NULL, &result);

    if (code != EXIT_OK)
        return code;
    report = json_object_get(result, "report");
    if (cli->json && !cli_option(cli, "plot"))
        return cli_print_json(result);
    if (!json_is_object(report))
        code = explain_nothing(json_object_get(result, "scanner"));
    else if (cli_option(cli, "matrix") || cli_option(cli, "plot"))
        code = show_matrix(cli, report);
    else
        print_table(report);
    if (json_is_object(json_object_get(result, "merging")) && !cli_option(cli, "matrix") &&
        !cli_option(cli, "plot"))
        merging_print(json_object_get(result, "merging"));
    json_decref(result);
    return code;
}

static int run(const struct cli *cli, int argc, char **argv)
{
    const char *file = cli_option(cli, "sketch");

    if (cli_option(cli, "overlap")) {
        if (argc < 2)
            return cli_usage(&command_dedupe, "--overlap compares two sketches or more");
        return sketch_overlap(cli, argc, argv);
    }
    if (file && argc > 1)
        return cli_usage(&command_dedupe, "a sketch is of one guest, or of all");
    if (file)
        return sketch_save(cli, file, argc ? argv[0] : NULL);
    if (argc)
        return cli_usage(&command_dedupe, "'%s' is not expected", argv[0]);
    return show(cli);
}

static const struct command_option options[] = {
    {"matrix", NULL, "who shares with whom"},
    {"plot", "FILE.svg", "the same as a picture"},
    {"sketch", "FILE", "write what a guest, or all, contain in little"},
    {"overlap", NULL, "estimate from sketches what guests or hosts share"},
    {0},
};

const struct command command_dedupe = {
    .name = "dedupe",
    .arguments = "[--matrix | --plot FILE.svg | --sketch FILE [GUEST] | --overlap FILE FILE...]",
    .summary = "show which guests have equal pages, and what merging them would save",
    .options = options,
    .help =
        "SCANNED is divided without rest: ZERO pages; INSIDE, copies of pages that the guest has\n"
        "already; ACROSS, one page of each content that another guest has, too; VOLATILE, what\n"
        "was written since the last pass; and UNIQUE. MERGED is shared already, and not read.\n"
        "SAVING is the guest's part of what merging in its trust domain would save, zeros apart.\n"
        "With mode = merge a second table says who is MERGEABLE, what was PROMISED before ksmd "
        "looked,\n"
        "zeros included, what is SAVED of it and how much that is (KEPT), what finding it COSTs "
        "ksmd in\n"
        "processor time, and why.",
    .run = run,
};
