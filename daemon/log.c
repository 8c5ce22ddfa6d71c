/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <systemd/sd-journal.h>

#define LINE 1024
#define FIELDS_MAX 16
#define FIELD_TEXT 512

static struct {
    enum log_level level;
    bool journal;
} settings = {.level = LOG_LEVEL_INFO};

/* Whoever redirected standard error wants the lines there: systemd.exec(5), $JOURNAL_STREAM. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && /* NOLINT(cert-err34-c) */
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void log_open(enum log_level level)
{
    settings.level = level;
    settings.journal = stderr_is_journal();
}

static int send_to_journal(enum log_level level, const struct log_field *fields, size_t count,
                           const char *line)
{
    struct iovec parts[FIELDS_MAX + 3];
    char texts[FIELDS_MAX][FIELD_TEXT], message[LINE + 16], priority[16];
    char name[] = "SYSLOG_IDENTIFIER=memctld";
    int n = 0;

    snprintf(message, sizeof(message), "MESSAGE=%s", line);
    snprintf(priority, sizeof(priority), "PRIORITY=%d", (int)level);
    parts[n++] = (struct iovec){message, strlen(message)};
    parts[n++] = (struct iovec){priority, strlen(priority)};
    parts[n++] = (struct iovec){name, strlen(name)};
    for (size_t i = 0; i < count && i < FIELDS_MAX; i++)
        if (fields[i].value) {
            snprintf(texts[i], sizeof(texts[i]), "%s=%s", fields[i].name, fields[i].value);
            parts[n++] = (struct iovec){texts[i], strlen(texts[i])};
        }
    return sd_journal_sendv(parts, n);
}

/* A line can hold what a guest or a client said: it stays one line, and moves no cursor. */
static void write_line(enum log_level level, const struct log_field *fields, size_t count,
                       char *line)
{
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    if (!settings.journal)
        fprintf(stderr, "memctld: %s\n", line);
    else if (send_to_journal(level, fields, count, line) < 0)
        fprintf(stderr, "<%d>%s\n", (int)level, line);
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[LINE];
    va_list args;

    if (level > settings.level)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    write_line(level, NULL, 0, line);
}

void log_fields(enum log_level level, const struct log_field *fields, size_t count,
                const char *format, ...)
{
    char line[LINE];
    va_list args;

    if (level > settings.level)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    write_line(level, fields, count, line);
}
