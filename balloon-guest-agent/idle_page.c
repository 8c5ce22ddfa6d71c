/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Idle page tracking (Documentation/admin-guide/mm/idle_page_tracking.rst): a bitmap with a bit for
 * each page frame. A bit that was set stays so until the page is used, by read() as well.
 *
 * Looking at a frame means finding all who map it, so not all are looked at but a random part, in
 * words of 64: as good as all of them for a sum, and it costs the same in a guest of any size.
 */
#include "workset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BITMAP "/sys/kernel/mm/page_idle/bitmap"
#define FLAGS "/proc/kpageflags"

/* linux/kernel-page-flags.h */
#define KPF_LRU 5
#define KPF_COMPOUND_HEAD 15
#define KPF_THP 22

#define FRAMES 64 /* in a word */
#define HUGE_FRAMES 512

/* No machine has more words: 64 TiB. */
#define WORDS_MOST (UINT64_C(1) << 28)

static int open_below(const char *root, const char *path, int how)
{
    char name[PATH_ROOM];

    snprintf(name, sizeof(name), "%s%s", root, path);
    return open(name, how | O_CLOEXEC);
}

/* The file does not tell its size: reading behind its end gives nothing. */
static uint64_t count_words(int bitmap)
{
    uint64_t low = 0, high = WORDS_MOST, word;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (pread(bitmap, &word, sizeof(word), (off_t)(middle * sizeof(word))) == sizeof(word))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void stop(union source_state *state)
{
    close(state->idle_page.bitmap);
    close(state->idle_page.flags);
}

static int start(union source_state *state, const char *root, uint64_t half_ms)
{
    struct idle_page *idle = &state->idle_page;

    (void)half_ms;
    idle->bitmap = open_below(root, BITMAP, O_RDWR);
    if (idle->bitmap < 0)
        return -errno;
    idle->flags = open_below(root, FLAGS, O_RDONLY);
    if (idle->flags < 0) {
        close(idle->bitmap);
        return -EACCES;
    }
    idle->words = count_words(idle->bitmap);
    idle->seed = (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15) | 1;
    if (idle->words > 0)
        return 0;
    stop(state);
    return -ENODATA;
}

static int begin(union source_state *state)
{
    static const uint64_t all = UINT64_MAX;
    struct idle_page *idle = &state->idle_page;
    bool every = idle->words <= IDLE_WORDS;

    idle->chosen = every ? (size_t)idle->words : IDLE_WORDS;
    for (size_t i = 0; i < idle->chosen; i++) {
        idle->word[i] = every ? i : next_random(&idle->seed) % idle->words;
        /* Frames without memory refuse; they are not counted either. */
        (void)!pwrite(idle->bitmap, &all, sizeof(all), (off_t)(idle->word[i] * sizeof(all)));
    }
    return 0;
}

static uint64_t count_used(uint64_t still_idle, const uint64_t flags[FRAMES])
{
    uint64_t used = 0;

    for (unsigned i = 0; i < FRAMES; i++) {
        if (still_idle >> i & 1 || !(flags[i] >> KPF_LRU & 1))
            continue;
        used += flags[i] >> KPF_THP & flags[i] >> KPF_COMPOUND_HEAD & 1 ? HUGE_FRAMES : 1;
    }
    return used;
}

static int look(union source_state *state, uint64_t *bytes)
{
    const struct idle_page *idle = &state->idle_page;
    uint64_t used = 0, word, flags[FRAMES];

    for (size_t i = 0; i < idle->chosen; i++) {
        off_t at = (off_t)(idle->word[i] * sizeof(word));

        if (pread(idle->bitmap, &word, sizeof(word), at) == sizeof(word) &&
            pread(idle->flags, flags, sizeof(flags), at * FRAMES) == sizeof(flags))
            used += count_used(word, flags);
    }
    *bytes = (uint64_t)((double)used * (double)idle->words / (double)idle->chosen) *
             (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

const struct source source_idle_page = {
    .name = "idle-page",
    .start = start,
    .begin = begin,
    .read = look,
    .stop = stop,
    .sees_read = true,
};
