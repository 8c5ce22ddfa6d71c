/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

enum operation { FILL, DROP, MERGEABLE, PAGE_OUT, CHURN };

struct command {
    enum operation operation;
    uint64_t first, count, id, step;
};

/* ---- in the victim ---- */

static void write_page(uint8_t *page, uint64_t id)
{
    uint64_t words[MC_PAGE / sizeof(uint64_t)];
    uint64_t state = id * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        words[i] = state;
    }
    memcpy(page, words, sizeof(words));
}

static void churn(uint8_t *from, uint64_t count)
{
    for (uint64_t id = UINT64_C(1) << 60;; id += count)
        for (uint64_t i = 0; i < count; i++)
            write_page(from + i * MC_PAGE, id + i);
}

static void obey(const struct command *command, uint8_t *memory, enum victim_kind kind)
{
    uint8_t *from = memory + command->first * MC_PAGE;
    size_t size = command->count * MC_PAGE;

    switch (command->operation) {
    case FILL:
        for (uint64_t i = 0; i < command->count; i++)
            write_page(from + i * MC_PAGE, command->id + i * command->step);
        break;
    case DROP:
        madvise(from, size,
                kind == VICTIM_PRIVATE || kind == VICTIM_HUGE ? MADV_DONTNEED : MADV_REMOVE);
        break;
    case MERGEABLE:
        madvise(from, size, MADV_MERGEABLE);
        break;
    case PAGE_OUT:
        madvise(from, size, MADV_PAGEOUT);
        break;
    case CHURN:
        churn(from, command->count);
    }
}

static void *make_memory(enum victim_kind kind, size_t size)
{
    unsigned of_huge_pages = kind == VICTIM_SHARED_HUGE ? MFD_HUGETLB : 0;
    bool shared = kind == VICTIM_SHARED || kind == VICTIM_SHARED_HUGE;
    int fd = shared ? memfd_create("victim", MFD_CLOEXEC | of_huge_pages) : -1;
    uint8_t *memory;

    if (fd >= 0 && ftruncate(fd, (off_t)size) < 0)
        _exit(1);
    /* From the start of a huge page on, in any case. */
    memory = mmap(NULL, size + 2 * MC_MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    if (memory == MAP_FAILED)
        _exit(1);
    memory += -(uintptr_t)memory % (2 * MC_MIB);
    memory = mmap(memory, size, PROT_READ | PROT_WRITE,
                  MAP_FIXED | MAP_NORESERVE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED),
                  fd, 0);
    if (memory == MAP_FAILED)
        _exit(1);
    madvise(memory, size, kind == VICTIM_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    return memory;
}

static void live(enum victim_kind kind, size_t size, int commands, int answers)
{
    void *memory = make_memory(kind, size);
    struct command command;

    if (write(answers, &memory, sizeof(memory)) != sizeof(memory))
        _exit(1);
    while (read(commands, &command, sizeof(command)) == sizeof(command)) {
        if (command.operation == CHURN && write(answers, "", 1) != 1)
            _exit(1);
        obey(&command, memory, kind);
        if (write(answers, "", 1) != 1)
            break;
    }
    _exit(0);
}

/* ---- in the test ---- */

struct victim victim_start(enum victim_kind kind, uint64_t pages)
{
    struct victim victim = {.pages = pages};
    int commands[2], answers[2];
    pid_t parent = getpid();
    void *memory;

    assert_int_equal(pipe2(commands, O_CLOEXEC), 0);
    assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
    victim.pid = fork();
    assert_true(victim.pid >= 0);
    if (victim.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        close(commands[1]);
        close(answers[0]);
        live(kind, pages * MC_PAGE, commands[0], answers[1]);
    }
    close(commands[0]);
    close(answers[1]);
    victim.commands = commands[1];
    victim.answers = answers[0];
    assert_int_equal(read(victim.answers, &memory, sizeof(memory)), sizeof(memory));
    victim.address = (uint64_t)(uintptr_t)memory;
    return victim;
}

void victim_end(struct victim *victim)
{
    kill(victim->pid, SIGKILL);
    waitpid(victim->pid, NULL, 0);
    close(victim->commands);
    close(victim->answers);
}

static void tell(struct victim *victim, struct command command)
{
    char answer;

    assert_true(command.first + command.count <= victim->pages);
    assert_int_equal(write(victim->commands, &command, sizeof(command)), sizeof(command));
    assert_int_equal(read(victim->answers, &answer, 1), 1);
}

void victim_fill(struct victim *victim, uint64_t first, uint64_t count, uint64_t id, uint64_t step)
{
    tell(victim, (struct command){FILL, first, count, id, step});
}

void victim_drop(struct victim *victim, uint64_t first, uint64_t count)
{
    tell(victim, (struct command){DROP, first, count, 0, 0});
}

void victim_make_mergeable(struct victim *victim)
{
    tell(victim, (struct command){MERGEABLE, 0, victim->pages, 0, 0});
}

void victim_page_out(struct victim *victim, uint64_t first, uint64_t count)
{
    tell(victim, (struct command){PAGE_OUT, first, count, 0, 0});
}

void victim_churn(struct victim *victim, uint64_t first, uint64_t count)
{
    tell(victim, (struct command){CHURN, first, count, 0, 0});
}

static uint64_t first_word(const struct victim *victim, uint64_t page)
{
    uint64_t word = 0;
    struct iovec here = {&word, sizeof(word)};
    struct iovec there = {(void *)(uintptr_t)(victim->address + page * MC_PAGE), sizeof(word)};

    assert_int_equal(process_vm_readv(victim->pid, &here, 1, &there, 1, 0), sizeof(word));
    return word;
}

void victim_await_churn(const struct victim *victim, uint64_t first, uint64_t count)
{
    for (unsigned rounds = 0; rounds < 2; rounds++) {
        uint64_t was = first_word(victim, first + count - 1);

        while (first_word(victim, first + count - 1) == was)
            usleep(100);
    }
}

uint64_t victim_smaps(const struct victim *victim, const char *field)
{
    char path[64], line[512];
    uint64_t start = 0, sum = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)victim->pid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (*line < 'A' || *line > 'Z')
            start = strtoull(line, NULL, 16);
        else if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':' &&
                 start >= victim->address && start < victim->address + victim->pages * MC_PAGE)
            sum += strtoull(line + strlen(field) + 1, NULL, 10) * MC_KIB;
    }
    fclose(file);
    return sum;
}

uint64_t victim_faults(const struct victim *victim)
{
    char path[64], text[1024];
    uint64_t minor, major;
    const char *field;
    size_t length;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)victim->pid);
    file = fopen(path, "re");
    assert_non_null(file);
    length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    field = strrchr(text, ')');
    assert_non_null(field);
    assert_int_equal(
        sscanf(field, ") %*c %*d %*d %*d %*d %*d %*u %" SCNu64 " %*u %" SCNu64, &minor, &major), 2);
    return minor + major;
}

struct mc_scan_guest victim_guest(const struct victim *victim, const char *name, const char *domain)
{
    struct mc_scan_guest guest = {.state = MC_DEDUPE_WAITING};
    struct mc_error err;

    mc_scan_guest_init(&guest);
    snprintf(guest.uuid, sizeof(guest.uuid), "uuid-%s", name);
    snprintf(guest.name, sizeof(guest.name), "%s", name);
    snprintf(guest.domain, sizeof(guest.domain), "%s", domain);
    guest.regions[0].address = victim->address;
    guest.regions[0].size = victim->pages * MC_PAGE;
    guest.region_count = 1;
    if (mc_scan_guest_open(&guest, victim->pid, &err) < 0)
        fail_msg("%s", err.text);
    return guest;
}
