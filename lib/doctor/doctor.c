/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/doctor.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/facts.h"

#define URI_DEFAULT "qemu:///system"

const char *mc_level_name(enum mc_level level)
{
    static const char *const names[] = {"none", "ok", "note", "warning", "problem"};

    return names[level];
}

/* ---- facts ---- */

struct doctor_guest *doctor_guest_of(struct doctor_facts *facts, const char *uuid)
{
    struct doctor_guest *more;

    for (size_t i = 0; i < facts->guest_count; i++)
        if (strcmp(facts->guests[i].uuid, uuid) == 0)
            return &facts->guests[i];
    more = realloc(facts->guests, (facts->guest_count + 1) * sizeof(*more));
    if (!more)
        return NULL;
    facts->guests = more;
    more += facts->guest_count++;
    *more = (struct doctor_guest){
        .memory = MC_UNKNOWN, .hard_limit = MC_UNKNOWN, .min = MC_UNKNOWN, .max = MC_UNKNOWN};
    snprintf(more->uuid, sizeof(more->uuid), "%s", uuid);
    return more;
}

void doctor_facts_free(struct doctor_facts *facts)
{
    free(facts->guests);
    free(facts->qemus);
    *facts = (struct doctor_facts){0};
}

/* "qemu:///system" and "qemu+unix:///system?...": no host between the slashes. */
static bool is_of_this_host(const char *uri)
{
    const char *host = strstr(uri, "://");

    return host && host[3] == '/' && strncmp(uri, "qemu", 4) == 0;
}

static int gather(const struct mc_doctor_options *options, struct doctor_facts *facts)
{
    const char *root = options->root ? options->root : "", *uri = options->uri;
    int rc;

    facts->of_this_host = !options->root;
    doctor_read_host(root, &facts->host);
    rc = doctor_read_processes(root, facts);
    if (rc == 0 && (!options->root || options->socket))
        rc = doctor_ask_daemon(options->socket, facts);
    if (rc < 0)
        return rc;
    if (!uri && facts->daemon.answers && *facts->daemon.uri)
        uri = facts->daemon.uri;
    if (!uri && !options->root)
        uri = URI_DEFAULT;
    if (!uri || strncmp(uri, "sim:", 4) == 0)
        return 0;
    snprintf(facts->libvirt.uri, sizeof(facts->libvirt.uri), "%s", uri);
    facts->libvirt.reads_host = is_of_this_host(uri) && facts->of_this_host;
    return doctor_ask_libvirt(facts);
}

static int by_name(const void *a, const void *b)
{
    const struct doctor_guest *one = a, *other = b;

    return strcmp(one->name, other->name);
}

/* ---- findings ---- */

static void write_text(char *text, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void write_text(char *text, size_t size, const char *format, va_list args)
{
    vsnprintf(text, size, format, args);
    /* What others said may have line ends. */
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
}

void doctor_find(struct mc_finding *finding, enum mc_level level, const char *format, ...)
{
    va_list args;

    finding->level = level;
    va_start(args, format);
    write_text(finding->what, sizeof(finding->what), format, args);
    va_end(args);
}

void doctor_why(struct mc_finding *finding, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_text(finding->why, sizeof(finding->why), format, args);
    va_end(args);
}

void doctor_fix(struct mc_finding *finding, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_text(finding->fix, sizeof(finding->fix), format, args);
    va_end(args);
}

static int add_finding(struct mc_findings *findings, const struct mc_finding *finding)
{
    if (finding->level == MC_LEVEL_NONE)
        return 0;
    if (findings->count == findings->room) {
        size_t room = findings->room ? findings->room * 2 : 32;
        struct mc_finding *more = realloc(findings->list, room * sizeof(*more));

        if (!more)
            return -ENOMEM;
        findings->list = more;
        findings->room = room;
    }
    findings->list[findings->count++] = *finding;
    return 0;
}

static int judge_host(const struct doctor_facts *facts, const struct doctor_host_check *checks,
                      struct mc_findings *findings)
{
    int rc = 0;

    for (; checks->name && rc == 0; checks++) {
        struct mc_finding finding = {.check = checks->name};

        checks->check(facts, &finding);
        rc = add_finding(findings, &finding);
    }
    return rc;
}

static int judge_guests(const struct doctor_facts *facts, const struct doctor_guest_check *check,
                        struct mc_findings *findings)
{
    int rc = 0;

    for (size_t i = 0; i < facts->guest_count && rc == 0; i++) {
        struct mc_finding finding = {.check = check->name};

        memcpy(finding.guest, facts->guests[i].name, sizeof(finding.guest));
        check->check(facts, &facts->guests[i], &finding);
        rc = add_finding(findings, &finding);
    }
    return rc;
}

int doctor_judge(const struct doctor_facts *facts, struct mc_findings *findings)
{
    int rc = judge_host(facts, doctor_daemon_checks, findings);

    if (rc == 0)
        rc = judge_host(facts, doctor_host_checks, findings);
    for (const struct doctor_guest_check *check = doctor_guest_checks; check->name && rc == 0;
         check++)
        rc = judge_guests(facts, check, findings);
    return rc;
}

int mc_doctor_examine(const struct mc_doctor_options *options, struct mc_findings *findings,
                      struct mc_error *err)
{
    struct doctor_facts facts = {0};
    int rc = gather(options, &facts);

    if (facts.guest_count)
        qsort(facts.guests, facts.guest_count, sizeof(*facts.guests), by_name);
    if (rc == 0)
        rc = doctor_judge(&facts, findings);
    doctor_facts_free(&facts);
    return rc < 0 ? mc_error_set(err, rc, "out of memory") : 0;
}

void mc_findings_free(struct mc_findings *findings)
{
    free(findings->list);
    *findings = (struct mc_findings){0};
}
