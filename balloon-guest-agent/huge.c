/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Splitting huge pages, by Linux's own means (5.13, mm/huge_memory.c): debugfs takes a process and
 * a range of its addresses. khugepaged puts them together again when it comes by.
 */
#include "workset.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HUGE (UINT64_C(2) << 20)
#define SPLIT "/sys/kernel/debug/split_huge_pages"
#define TEXT_MAX ((size_t)2 << 20)
#define RANGES_MAX 4096

/* Attempts for each page that shall be split. */
#define TRIES 4

/* Where a program has huge pages. */
struct range {
    long pid;
    uint64_t start, pages; /* of 2 MiB */
};

struct search {
    const char *root;
    char *text;
    struct range *ranges;
    size_t count;
    uint64_t pages;
};

static void add_range(struct search *search, long pid, uint64_t start, uint64_t end)
{
    uint64_t first = (start + HUGE - 1) / HUGE * HUGE;

    if (end < first + HUGE || search->count == RANGES_MAX)
        return;
    search->ranges[search->count++] =
        (struct range){.pid = pid, .start = first, .pages = (end - first) / HUGE};
    search->pages += (end - first) / HUGE;
}

static bool search_process(long pid, void *opaque)
{
    struct search *search = opaque;
    uint64_t start = 0, end = 0;
    char rollup[2048];

    if (file_read_of(search->root, pid, "smaps_rollup", rollup, sizeof(rollup)) <= 0 ||
        file_value(rollup, "AnonHugePages") == 0 ||
        file_read_of(search->root, pid, "smaps", search->text, TEXT_MAX) <= 0)
        return true;
    for (const char *line = search->text; line && *line;) {
        uint64_t from, to;

        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2) {
            start = from;
            end = to;
        } else if (strncmp(line, "AnonHugePages:", 14) == 0 && strtoull(line + 14, NULL, 10) > 0) {
            add_range(search, pid, start, end);
        }
        line = strchr(line, '\n');
        line += line != NULL;
    }
    return search->count < RANGES_MAX;
}

static int split_one(const struct search *search, uint64_t number)
{
    const struct range *range = search->ranges;
    char command[96];
    uint64_t at;

    while (number >= range->pages)
        number -= range++->pages;
    at = range->start + number * HUGE;
    snprintf(command, sizeof(command), "%ld,0x%" PRIx64 ",0x%" PRIx64 "\n", range->pid, at,
             at + HUGE);
    return file_write(search->root, SPLIT, command);
}

/* Not every place has a huge page, and not every huge page can be split at this moment. */
static uint64_t split_some(const struct search *search, unsigned count, uint64_t before,
                           uint64_t *seed)
{
    struct kinds kinds = {.anon_huge = before};

    for (unsigned i = 0; i < TRIES * count && kinds.anon_huge + count * HUGE > before; i++)
        if (split_one(search, next_random(seed) % search->pages) < 0 ||
            kinds_read(search->root, false, &kinds) < 0)
            break;
    return kinds.anon_huge < before ? before - kinds.anon_huge : 0;
}

uint64_t huge_split(const char *root, unsigned count, uint64_t *seed)
{
    struct search search = {.root = root};
    struct kinds kinds;
    uint64_t split = 0;

    search.text = malloc(TEXT_MAX);
    search.ranges = calloc(RANGES_MAX, sizeof(*search.ranges));
    if (search.text && search.ranges && kinds_read(root, false, &kinds) == 0)
        each_process(root, search_process, &search);
    if (search.pages > 0)
        split = split_some(&search, count, kinds.anon_huge, seed);
    free(search.text);
    free(search.ranges);
    return split;
}
