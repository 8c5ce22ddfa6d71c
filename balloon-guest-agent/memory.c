/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the guest's kernel says about its memory: /proc/meminfo and /proc/vmstat, both lines of a
 * name and a number, and /proc/pressure/memory. They are opened once and read again from their
 * beginning: opening a file makes the kernel allocate, and this happens when memory is short.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Larger than either file on any kernel so far (vmstat of 6.18: 5 KiB). */
#define FILE_MAX 16384

struct wanted {
    const char *kernel; /* the kernel's name for it */
    size_t value;
};

static const struct wanted in_meminfo[] = {
    {"MemTotal", MEMORY_TOTAL},          {"MemFree", MEMORY_FREE},
    {"MemAvailable", MEMORY_AVAILABLE},  {"Cached", MEMORY_CACHED},
    {"AnonHugePages", MEMORY_ANON_HUGE}, {"SwapTotal", MEMORY_SWAP_TOTAL},
    {"SwapFree", MEMORY_SWAP_FREE},
};

static const struct wanted in_vmstat[] = {
    {"pswpin", COUNTER_SWAP_IN},
    {"pswpout", COUNTER_SWAP_OUT},
    {"pgmajfault", COUNTER_MAJOR_FAULTS},
    {"workingset_refault_anon", COUNTER_REFAULT_ANON},
    {"workingset_refault_file", COUNTER_REFAULT_FILE},
    {"workingset_refault", COUNTER_REFAULT_FILE}, /* before Linux 5.9, which refaulted only files */
    {"oom_kill", COUNTER_OOM_KILL},
    {"balloon_inflate", COUNTER_INFLATED},
    {"balloon_deflate", COUNTER_DEFLATED},
};

const char *const memory_names[MEMORY_COUNT] = {
    [MEMORY_TOTAL] = "total",         [MEMORY_FREE] = "free",
    [MEMORY_AVAILABLE] = "available", [MEMORY_CACHED] = "cached",
    [MEMORY_ANON_HUGE] = "anon_huge", [MEMORY_SWAP_TOTAL] = "swap_total",
    [MEMORY_SWAP_FREE] = "swap_free",
};

const char *const counter_names[COUNTER_SAID] = {
    [COUNTER_SWAP_IN] = "swap_in",           [COUNTER_SWAP_OUT] = "swap_out",
    [COUNTER_MAJOR_FAULTS] = "major_faults", [COUNTER_REFAULT_ANON] = "refault_anon",
    [COUNTER_REFAULT_FILE] = "refault_file", [COUNTER_OOM_KILL] = "oom_kill",
    [COUNTER_STALL_US] = "stall_us",
};

/*
 * 70 ms of waiting within 0.5 s, in any task: what Android's lmkd takes for the first sign of
 * trouble within a second, in the shortest window that the kernel has
 * (Documentation/accounting/psi.rst). It needs CAP_SYS_RESOURCE; without it, or with a kernel that
 * has no triggers (before 5.2), stalls are in reports only.
 */
static const char trigger[] = "some 70000 500000";

void kernel_open(struct kernel *kernel)
{
    static const char pressure[] = "/proc/pressure/memory";

    kernel->meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    kernel->vmstat = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    kernel->pressure = open(pressure, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    kernel->has_trigger = kernel->pressure >= 0 &&
                          write(kernel->pressure, trigger, sizeof(trigger)) == sizeof(trigger);
    if (kernel->pressure < 0)
        kernel->pressure = open(pressure, O_RDONLY | O_CLOEXEC);
}

/* The kernel hands these files out in pieces. */
static int read_file(int fd, char text[FILE_MAX])
{
    size_t length = 0;
    ssize_t piece;

    while (length < FILE_MAX - 1 &&
           (piece = pread(fd, text + length, FILE_MAX - 1 - length, (off_t)length)) > 0)
        length += (size_t)piece;
    text[length] = '\0';
    return length > 0 ? 0 : -ENODATA;
}

/* One line, `name 123` or `name:   123 kB`, into the value that wants it. */
static void take_line(const char *line, const struct wanted *wanted, size_t count, uint64_t *values)
{
    size_t length = strcspn(line, ": \n");

    for (size_t i = 0; i < count; i++) {
        uint64_t number;
        char *end;

        if (strlen(wanted[i].kernel) != length || strncmp(line, wanted[i].kernel, length) != 0)
            continue;
        number = strtoull(line + length + strspn(line + length, ": "), &end, 10);
        values[wanted[i].value] = strncmp(end, " kB", 3) == 0 ? number * 1024 : number;
        return;
    }
}

static void take_file(int fd, const struct wanted *wanted, size_t count, uint64_t *values)
{
    char text[FILE_MAX];
    const char *line = text;

    if (read_file(fd, text) < 0)
        return;
    while (*line) {
        take_line(line, wanted, count, values);
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
}

/*
 * For how long some task has waited for memory since the guest booted: "some avg10=0.00 avg60=0.00
 * avg300=0.00 total=123". Kernels before 4.20 and those with psi=0 do not tell.
 */
void memory_add_stall(const struct kernel *kernel, struct memory *memory)
{
    char text[FILE_MAX];
    const char *total;

    if (read_file(kernel->pressure, text) < 0 || strncmp(text, "some ", 5) != 0)
        return;
    total = strstr(text, "total=");
    if (total)
        memory->counters[COUNTER_STALL_US] = strtoull(total + strlen("total="), NULL, 10);
}

void memory_add_counters(const struct kernel *kernel, struct memory *memory)
{
    take_file(kernel->vmstat, in_vmstat, sizeof(in_vmstat) / sizeof(*in_vmstat), memory->counters);
    memory_add_stall(kernel, memory);
}

int memory_read_sizes(const struct kernel *kernel, struct memory *memory)
{
    for (size_t i = 0; i < MEMORY_COUNT; i++)
        memory->memory[i] = UNTOLD;
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        memory->counters[i] = UNTOLD;
    take_file(kernel->meminfo, in_meminfo, sizeof(in_meminfo) / sizeof(*in_meminfo),
              memory->memory);
    if (memory->memory[MEMORY_TOTAL] == UNTOLD || memory->memory[MEMORY_FREE] == UNTOLD)
        return -ENODATA;
    /* Before Linux 3.14. Too little is the safe side: the host then takes less away. */
    if (memory->memory[MEMORY_AVAILABLE] == UNTOLD)
        memory->memory[MEMORY_AVAILABLE] = memory->memory[MEMORY_FREE];
    return 0;
}
