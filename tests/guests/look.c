/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * look METHOD WINDOW ROUNDS TOTAL HOT [huge]: looks at a process as memctld looks at a QEMU
 * (lib/sample), where a real kernel can do it: in a lab guest, in the agent's place. The process
 * has TOTAL MiB and touches the first HOT of them ten times a second. Prints a line of JSON for
 * each round. Without arguments it waits for ever, which is what the guest's init has of it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <memctl/sample.h>
#include <memctl/units.h>

#define TOUCH_MS 100

static void pause_ms(uint64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000)};

    while (nanosleep(&left, &left) < 0)
        ;
}

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void touch(volatile char *memory, size_t size)
{
    for (size_t at = 0; at < size; at += MC_PAGE)
        memory[at]++;
}

/* Returns when it has all its memory. */
static pid_t start_victim(char *memory, size_t size, size_t hot, bool huge)
{
    int ready[2];
    char word;
    pid_t pid;

    if (pipe(ready) < 0 || (pid = fork()) < 0)
        exit(1);
    if (pid) {
        close(ready[1]);
        (void)!read(ready[0], &word, 1);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    madvise(memory, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    touch(memory, size);
    close(ready[1]);
    for (;;) {
        touch(memory, hot);
        pause_ms(TOUCH_MS);
    }
}

static void print_round(const struct mc_host_sample *result, uint64_t spent_us)
{
    printf("{\"method\":\"%s\",\"active\":%lu,\"least\":%lu,\"most\":%lu,\"pages\":%u,"
           "\"confidence\":%u,\"cpu_us\":%lu}\n",
           result->method, (unsigned long)result->active, (unsigned long)result->least,
           (unsigned long)result->most, result->pages, result->confidence, (unsigned long)spent_us);
    fflush(stdout);
}

static int look(const char *method, uint64_t window_ms, unsigned rounds,
                struct mc_sample_subject *subject)
{
    struct mc_sampler *sampler;
    struct mc_error err;

    if (mc_sampler_open("", method, window_ms, &sampler, &err) < 0) {
        printf("{\"error\":\"%s\"}\n", err.text);
        return 1;
    }
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t spent = clock_us(CLOCK_PROCESS_CPUTIME_ID);

        mc_sampler_begin(sampler, subject, 1, &err);
        pause_ms(window_ms);
        mc_sampler_look(sampler, subject, 1, clock_us(CLOCK_MONOTONIC) / 1000);
        print_round(&subject->result, clock_us(CLOCK_PROCESS_CPUTIME_ID) - spent);
    }
    mc_sampler_close(sampler);
    return 0;
}

int main(int argc, char **argv)
{
    struct mc_sample_subject subject = {.uuid = "victim", .run_id = 1, .ram_count = 1};
    char *memory;
    int rc;

    if (argc < 6) {
        pause();
        return 1;
    }
    subject.resident = subject.ram[0].size = strtoull(argv[4], NULL, 10) * MC_MIB;
    memory =
        mmap(NULL, subject.ram[0].size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    subject.ram[0].address = (uintptr_t)memory;
    subject.pid =
        start_victim(memory, subject.ram[0].size, strtoull(argv[5], NULL, 10) * MC_MIB, argc > 6);
    pause_ms(1000);
    rc = look(argv[1], strtoull(argv[2], NULL, 10) * 1000, (unsigned)strtoul(argv[3], NULL, 10),
              &subject);
    kill(subject.pid, SIGKILL);
    return rc;
}
