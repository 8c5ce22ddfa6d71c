/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Multi-gen LRU (Linux 6.1, Documentation/admin-guide/mm/multigen_lru.rst): the kernel keeps pages
 * in up to four generations, and moves what was touched into the youngest one each time that it
 * makes another, which it does when asked. So what was touched since a moment are the pages of all
 * generations that began after it.
 *
 * Every control group has generations of its own, on every node.
 */
#include "workset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENABLED "/sys/kernel/mm/lru_gen/enabled"
#define GENERATIONS "/sys/kernel/debug/lru_gen"

/* 200 bytes for each control group and node. */
#define TEXT_MAX ((size_t)4 << 20)

/* One that is being walked: what its header lines said. */
struct place {
    unsigned memcg, node;
};

/* A generation: "seq age anon file", after "memcg ID PATH" and " node ID" lines. */
struct generation {
    struct place place;
    uint64_t seq, pages;
    bool is_last; /* the youngest there */
};

/* The next one at *text, which moves on; false at the end. */
static bool next_generation(const char **text, struct generation *generation)
{
    while (**text) {
        uint64_t seq, age, anon, file;
        const char *line = *text;

        *text += strcspn(line, "\n");
        *text += **text == '\n';
        if (sscanf(line, "memcg %u", &generation->place.memcg) == 1 ||
            sscanf(line, " node %u", &generation->place.node) == 1)
            continue;
        if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64 "%*[ xo]%" SCNu64, &seq, &age, &anon,
                   &file) != 4)
            continue;
        generation->seq = seq;
        generation->pages = anon + file;
        line = *text + strspn(*text, " ");
        generation->is_last = *line < '0' || *line > '9';
        return true;
    }
    return false;
}

static char *read_generations(const struct lru_gen *lru)
{
    char *text = malloc(TEXT_MAX);

    if (text && file_read(lru->root, GENERATIONS, text, TEXT_MAX) <= 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* Make another generation everywhere; anonymous memory as well, and by a walk over all of it. */
static int age(const struct lru_gen *lru, const char *text)
{
    struct generation generation = {0};
    int rc = -ENODATA;

    while (next_generation(&text, &generation)) {
        char command[96];
        int done;

        if (!generation.is_last)
            continue;
        snprintf(command, sizeof(command), "+ %u %u %" PRIu64 " 1 1\n", generation.place.memcg,
                 generation.place.node, generation.seq);
        done = file_write(lru->root, GENERATIONS, command);
        /* A group that ended, or a generation that the kernel made itself meanwhile. */
        if (done == 0 || rc == -ENODATA)
            rc = done;
    }
    return rc;
}

static int start(union source_state *state, const char *root, uint64_t half_ms)
{
    struct lru_gen *lru = &state->lru_gen;
    char text[32];

    (void)half_ms;
    snprintf(lru->root, sizeof(lru->root), "%s", root);
    if (file_read(root, ENABLED, text, sizeof(text)) <= 0)
        return -ENOENT;
    if (strtoul(text, NULL, 0) == 0)
        return -EOPNOTSUPP;
    return file_read(root, GENERATIONS, text, sizeof(text)) > 0 ? 0 : -ENOENT;
}

/*
 * Generations have numbers of their own in each group, so what is noted of the beginning is how
 * many were made since: each read makes one more, and those made since begin() are the last reads
 * + 1.
 */
static int begin(union source_state *state)
{
    struct lru_gen *lru = &state->lru_gen;
    char *text = read_generations(lru);
    int rc = text ? age(lru, text) : -ENODATA;

    free(text);
    lru->made = 0;
    return rc;
}

uint64_t lru_gen_count(const char *text, unsigned count)
{
    struct generation generation = {0};
    uint64_t pages[4] = {0}, sum = 0;
    unsigned seen = 0;

    while (next_generation(&text, &generation)) {
        pages[seen++ % 4] = generation.pages;
        if (!generation.is_last)
            continue;
        for (unsigned i = 1; i <= count && i <= seen && i <= 4; i++)
            sum += pages[(seen - i) % 4];
        seen = 0;
    }
    return sum;
}

static int look(union source_state *state, uint64_t *bytes)
{
    struct lru_gen *lru = &state->lru_gen;
    char *text = read_generations(lru);
    int rc = text ? age(lru, text) : -ENODATA;

    free(text);
    if (rc < 0)
        return rc;
    lru->made++;
    text = read_generations(lru);
    if (!text)
        return -ENODATA;
    *bytes = lru_gen_count(text, lru->made + 1) * (uint64_t)sysconf(_SC_PAGESIZE);
    free(text);
    return 0;
}

const struct source source_lru_gen = {
    .name = "lru-gen",
    .start = start,
    .begin = begin,
    .read = look,
};
