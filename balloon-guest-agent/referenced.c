/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What works on any kernel from 4.14 on: clear_refs forgets for a process which of its pages were
 * touched, and smaps_rollup says later how many were. It costs a walk over all page tables each
 * time, and the kernel's own reclaim loses the same knowledge.
 *
 * Memory that processes share is touched by each of them. What of the touched memory can be private
 * is counted so; the rest by the process's part of what it shares.
 */
#include "workset.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define ROLLUP "smaps_rollup"

static int start(union source_state *state, const char *root, uint64_t half_ms)
{
    struct referenced *referenced = &state->referenced;
    char text[2048], path[64];

    (void)half_ms;
    snprintf(referenced->root, sizeof(referenced->root), "%s", root);
    /* Process 1 is somebody else's, mostly: being allowed to look there is being allowed at all. */
    if (file_read_of(root, 1, ROLLUP, text, sizeof(text)) <= 0)
        return -EACCES;
    snprintf(path, sizeof(path), "/proc/%d/clear_refs", 1);
    return file_write(root, path, "1");
}

static bool forget_one(long pid, void *opaque)
{
    const struct referenced *referenced = opaque;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%ld/clear_refs", pid);
    file_write(referenced->root, path, "1"); /* one that has ended needs no more of it */
    return true;
}

static int begin(union source_state *state)
{
    each_process(state->referenced.root, forget_one, &state->referenced);
    return 0;
}

struct sum {
    const struct referenced *referenced;
    uint64_t bytes;
};

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t own_part(const char *rollup)
{
    uint64_t touched = file_value(rollup, "Referenced");
    uint64_t private = file_value(rollup, "Private_Clean") + file_value(rollup, "Private_Dirty");
    uint64_t shared = file_value(rollup, "Shared_Clean") + file_value(rollup, "Shared_Dirty");
    uint64_t proportional = file_value(rollup, "Pss");
    uint64_t own = min(touched, private), rest = touched - own;

    if (shared == 0 || proportional < private)
        return own;
    return own + (uint64_t)((double)min(rest, shared) * (double)(proportional - private) /
                            (double)shared);
}

static bool add_one(long pid, void *opaque)
{
    struct sum *sum = opaque;
    char rollup[2048];

    if (file_read_of(sum->referenced->root, pid, ROLLUP, rollup, sizeof(rollup)) > 0)
        sum->bytes += own_part(rollup);
    return true;
}

static int look(union source_state *state, uint64_t *bytes)
{
    struct sum sum = {.referenced = &state->referenced};

    each_process(state->referenced.root, add_one, &sum);
    *bytes = sum.bytes;
    return sum.bytes > 0 ? 0 : -ENODATA;
}

const struct source source_referenced = {
    .name = "referenced",
    .start = start,
    .begin = begin,
    .read = look,
};
