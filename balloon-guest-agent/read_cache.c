/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page cache that is used by read() is touched by the kernel, which no page table notes. But the
 * kernel counts what each process reads, from cache or not, pipes and sockets included: no more of
 * the cache than that can be in use. It is an upper bound, and the memory of a guest that reads
 * nothing is not in it.
 */
#include "workset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool note_one(long pid, void *opaque)
{
    struct read_cache *cache = opaque;
    char text[512];

    if (file_read_of(cache->root, pid, "io", text, sizeof(text)) <= 0)
        return true;
    if (cache->now_count == cache->now_room) {
        size_t room = cache->now_room * 2 + 64;
        struct read_count *more = realloc(cache->now, room * sizeof(*more));

        if (!more)
            return false;
        cache->now = more;
        cache->now_room = room;
    }
    cache->now[cache->now_count++] = (struct read_count){pid, file_value(text, "rchar")};
    return true;
}

static int by_pid(const void *a, const void *b)
{
    const struct read_count *one = a, *other = b;

    return one->pid < other->pid ? -1 : one->pid > other->pid;
}

static void note_all(struct read_cache *cache)
{
    cache->now_count = 0;
    each_process(cache->root, note_one, cache);
    if (cache->now_count > 0)
        qsort(cache->now, cache->now_count, sizeof(*cache->now), by_pid);
}

void read_cache_begin(struct read_cache *cache)
{
    struct read_count *spare = cache->before;
    size_t room = cache->before_room;

    note_all(cache);
    cache->before = cache->now;
    cache->before_count = cache->now_count;
    cache->before_room = cache->now_room;
    cache->now = spare;
    cache->now_room = room;
    cache->now_count = 0;
}

/* A process that began since then has read all that it did, also one with the number of another. */
uint64_t read_cache_bytes(struct read_cache *cache)
{
    uint64_t sum = 0;
    size_t at = 0;

    note_all(cache);
    for (size_t i = 0; i < cache->now_count; i++) {
        const struct read_count *now = &cache->now[i];

        while (at < cache->before_count && cache->before[at].pid < now->pid)
            at++;
        if (at < cache->before_count && cache->before[at].pid == now->pid &&
            cache->before[at].bytes <= now->bytes)
            sum += now->bytes - cache->before[at].bytes;
        else
            sum += now->bytes;
    }
    return sum;
}
