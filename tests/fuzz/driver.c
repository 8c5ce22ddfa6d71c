/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzzing for a compiler without libFuzzer, and as a test that ends: random mutations of the
 * target's seeds. It knows nothing of coverage; it is quick, and the same everywhere.
 *
 *   fuzz-NAME                  so many inputs ($MEMCTL_TEST_CASES), from a seed that it prints
 *   MEMCTL_TEST_SEED=N fuzz-NAME    the same again
 *   fuzz-NAME FILE...          these inputs, as libFuzzer leaves them behind
 *   fuzz-NAME --seeds DIR      the inputs to begin with, for libFuzzer
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"

#define INPUT_MAX 5000
#define CASES 200000

static uint64_t state;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t below(size_t limit)
{
    return (size_t)(next_random() % limit);
}

struct input {
    uint8_t bytes[INPUT_MAX];
    size_t size;
};

static void insert(struct input *input, size_t at, const void *bytes, size_t size)
{
    if (size > INPUT_MAX - input->size)
        return;
    memmove(input->bytes + at + size, input->bytes + at, input->size - at);
    memcpy(input->bytes + at, bytes, size);
    input->size += size;
}

static void erase(struct input *input, size_t at, size_t size)
{
    if (size > input->size - at)
        size = input->size - at;
    memmove(input->bytes + at, input->bytes + at + size, input->size - at - size);
    input->size -= size;
}

/* What a parser of such texts may stumble over. */
static const char *const words[] = {
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-1",
    "0",
    "00",
    "1e9",
    "0.5",
    "9007199254740991",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "1e999",
    "\xff\xfe",
    "\n",
    "{\"a\":",
    "[[[[",
    "\"total\":",
    "\"seq\":",
    "\"type\":",
    "\"memctl-agent\":1,",
};

static void mutate(struct input *input)
{
    const char *word = words[below(sizeof(words) / sizeof(*words))];
    uint8_t byte = (uint8_t)next_random(), part[64];
    size_t at = below(input->size + 1), from, size;

    switch (below(7)) {
    case 0:
        if (at < input->size)
            input->bytes[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        insert(input, at, &byte, 1);
        break;
    case 2:
        erase(input, at, 1 + below(16));
        break;
    case 3:
        insert(input, at, word, strlen(word));
        break;
    case 4:
        erase(input, at, 1 + below(8));
        insert(input, at, word, strlen(word));
        break;
    case 5: /* a piece of it once more, somewhere else */
        from = below(input->size + 1);
        size = below(sizeof(part));
        if (size > input->size - from)
            size = input->size - from;
        memcpy(part, input->bytes + from, size);
        insert(input, at, part, size);
        break;
    default:
        if (at < input->size && input->bytes[at] >= '0' && input->bytes[at] <= '9')
            input->bytes[at] = (uint8_t)('0' + below(10));
        break;
    }
}

static void begin(struct input *input)
{
    size_t count = 0;
    const char *seed;

    while (fuzz_seeds[count])
        count++;
    seed = fuzz_seeds[below(count)];
    input->size = strlen(seed);
    memcpy(input->bytes, seed, input->size);
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static int run_file(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file) {
        perror(path);
        return EXIT_FAILURE;
    }
    size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, size);
    return EXIT_SUCCESS;
}

static int write_seeds(const char *dir)
{
    char path[4096];

    for (size_t i = 0; fuzz_seeds[i]; i++) {
        FILE *file;

        snprintf(path, sizeof(path), "%s/seed-%zu", dir, i);
        file = fopen(path, "wb");
        if (!file || fputs(fuzz_seeds[i], file) < 0 || fclose(file) != 0) {
            perror(path);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct input input;
    uint64_t cases = number_of("MEMCTL_TEST_CASES", CASES);
    uint64_t seed = number_of("MEMCTL_TEST_SEED", (uint64_t)time(NULL));
    int status = EXIT_SUCCESS;

    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            status |= run_file(argv[i]);
        return status;
    }
    printf("1..1\n# %" PRIu64 " inputs, MEMCTL_TEST_SEED=%" PRIu64 "\n", cases, seed);
    fflush(stdout);
    state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (uint64_t i = 0; i < cases; i++) {
        begin(&input);
        for (size_t changes = below(6); changes > 0; changes--)
            mutate(&input);
        LLVMFuzzerTestOneInput(input.bytes, input.size);
    }
    puts("ok 1 - no_input_breaks_it");
    return EXIT_SUCCESS;
}
