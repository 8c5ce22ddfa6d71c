/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines for the operator: to the journal, with fields that can be searched for, if that is where
 * standard error goes; else to standard error.
 */
#ifndef MEMCTLD_LOG_H
#define MEMCTLD_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/* A field of the journal, named in capitals; one without a value is left out. */
struct log_field {
    const char *name, *value;
};

/* Lines below this level are dropped. Set once, before threads. */
void log_open(enum log_level level);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line with fields, of which at most 16 are taken. */
void log_fields(enum log_level level, const struct log_field *fields, size_t count,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
