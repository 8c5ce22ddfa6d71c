/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "testing.h"

#include "bench/ksmd.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

pid_t ksmd_find(void)
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    pid_t found = 0;

    while (folder && !found && (entry = readdir(folder))) {
        char path[300], name[32] = "";
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
        file = *entry->d_name >= '0' && *entry->d_name <= '9' ? fopen(path, "re") : NULL;
        if (!file)
            continue;
        if (fgets(name, sizeof(name), file) && strcmp(name, "ksmd\n") == 0)
            found = (pid_t)strtol(entry->d_name, NULL, 10);
        fclose(file);
    }
    if (folder)
        closedir(folder);
    return found;
}

double ksmd_seconds(pid_t pid)
{
    char path[64], text[1024] = "";
    uint64_t user, kernel;
    const char *field;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    field = strrchr(text, ')');
    assert_non_null(field);
    assert_int_equal(sscanf(field,
                            ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                            &user, &kernel),
                     2);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}
