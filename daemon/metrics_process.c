/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What memctld itself costs: names and meanings as in Prometheus' client libraries. */
#include "metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (!folder)
        return MC_UNKNOWN;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 3; /* ".", ".." and the folder itself */
}

/* Of /proc/self/statm: pages in all, and resident. */
static void read_memory(uint64_t *all, uint64_t *resident)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    unsigned long long pages[2];
    FILE *file = fopen("/proc/self/statm", "re");

    *all = *resident = MC_UNKNOWN;
    if (!file)
        return;
    if (fscanf(file, "%llu %llu", &pages[0], &pages[1]) == 2) {
        *all = pages[0] * page;
        *resident = pages[1] * page;
    }
    fclose(file);
}

static void add_one(struct exposition *out, const char *name, const char *help, uint64_t value)
{
    exposition_family(out, name, METRIC_GAUGE, help);
    if (value != MC_UNKNOWN)
        exposition_count(out, name, "", value);
}

void add_process(struct exposition *out)
{
    struct rlimit descriptors = {0};
    struct rusage usage = {0};
    uint64_t all, resident;

    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &descriptors);
    read_memory(&all, &resident);
    exposition_family(out, "process_cpu_seconds_total", METRIC_COUNTER,
                      "Processor time of memctld, of all its threads.");
    exposition_number(out, "process_cpu_seconds_total", "",
                      (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    add_one(out, "process_resident_memory_bytes", "Resident memory of memctld.", resident);
    add_one(out, "process_virtual_memory_bytes", "Virtual memory of memctld.", all);
    add_one(out, "process_open_fds", "Open descriptors of memctld.", open_descriptors());
    add_one(out, "process_max_fds", "The most descriptors that memctld may have open.",
            descriptors.rlim_cur);
}
