/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Documentation/admin-guide/mm/idle_page_tracking.rst and pagemap.rst of the kernel. A page that
 * was marked as idle stays so until somebody touches it; under KVM the kernel looks at the guest's
 * own page tables as well.
 *
 * Pages are chosen by their address until one is resident, so that each resident page is as likely
 * as any other, and no list of them is needed. A huge page has one mark, with its first frame: it
 * counts as touched wherever it was, so a guest in huge pages looks larger than it is.
 */
#include "sample/page_idle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <memctl/units.h>

#define BITMAP "/sys/kernel/mm/page_idle/bitmap"
#define FLAGS "/proc/kpageflags"

#define PRESENT (UINT64_C(1) << 63)
#define FRAME ((UINT64_C(1) << 55) - 1)

/* linux/kernel-page-flags.h */
#define KPF_LRU 5
#define KPF_COMPOUND_HEAD 15
#define KPF_COMPOUND_TAIL 16
#define KPF_ZERO_PAGE 24

/* Pages of one huge page, whose first frame is a multiple of that: 2 MiB. */
#define HUGE_FRAMES 512

/* Of a guest of which a hundredth is resident, one try in a hundred finds a page. */
#define TRIES (MC_SAMPLE_PAGES * 100)

static int open_file(const char *root, const char *path, int how)
{
    char name[4096];

    snprintf(name, sizeof(name), "%s%s", root, path);
    return open(name, how | O_CLOEXEC);
}

static bool read_word(int fd, uint64_t number, uint64_t *word)
{
    return pread(fd, word, sizeof(*word), (off_t)(number * sizeof(*word))) == sizeof(*word);
}

int mc_page_idle_open(struct mc_page_idle *idle, const char *root, uint64_t seed)
{
    int rc;

    *idle = (struct mc_page_idle){.root = root, .bitmap = -1, .flags = -1, .seed = seed};
    idle->bitmap = open_file(root, BITMAP, O_RDWR);
    if (idle->bitmap < 0)
        return -errno;
    idle->flags = open_file(root, FLAGS, O_RDONLY);
    if (idle->flags >= 0)
        return 0;
    rc = -errno;
    mc_page_idle_close(idle);
    return rc;
}

void mc_page_idle_close(struct mc_page_idle *idle)
{
    if (idle->bitmap >= 0)
        close(idle->bitmap);
    if (idle->flags >= 0)
        close(idle->flags);
    idle->bitmap = idle->flags = -1;
}

/* Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014. */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t choose_address(const struct mc_ram *ram, unsigned count, uint64_t pages,
                               uint64_t *seed)
{
    uint64_t page = next_random(seed) % pages;

    for (unsigned i = 0; i < count; i++) {
        if (page < ram[i].size / MC_PAGE)
            return ram[i].address + page * MC_PAGE;
        page -= ram[i].size / MC_PAGE;
    }
    return 0;
}

/* The first frame of the page that this one is a part of. False: no page that can be marked. */
static bool find_head(const struct mc_page_idle *idle, uint64_t frame, uint64_t *head)
{
    uint64_t flags, first = frame / HUGE_FRAMES * HUGE_FRAMES;

    for (*head = frame; read_word(idle->flags, *head, &flags); (*head)--) {
        bool is_tail = flags >> KPF_COMPOUND_TAIL & 1;

        if (flags >> KPF_ZERO_PAGE & 1 || (is_tail && *head == first))
            return false;
        if (!is_tail)
            return flags >> KPF_LRU & 1;
    }
    return false;
}

/* Only bits that are set say anything to the kernel. */
static bool mark(const struct mc_page_idle *idle, uint64_t frame)
{
    uint64_t bit = UINT64_C(1) << frame % 64;

    return pwrite(idle->bitmap, &bit, sizeof(bit), (off_t)(frame / 64 * sizeof(bit))) ==
           sizeof(bit);
}

/* 1: it was marked; 0: it is not there, or of a kind that has no mark. */
static int try_page(const struct mc_page_idle *idle, int pagemap, uint64_t address,
                    struct mc_idle_page *page)
{
    uint64_t entry;

    if (!read_word(pagemap, address / MC_PAGE, &entry))
        return -ESRCH;
    if (!(entry & PRESENT))
        return 0;
    *page = (struct mc_idle_page){.address = address, .frame = entry & FRAME};
    if (!page->frame)
        return -EPERM;
    return find_head(idle, page->frame, &page->head) && mark(idle, page->head);
}

int mc_page_idle_mark(struct mc_page_idle *idle, pid_t pid, const struct mc_ram *ram,
                      unsigned ram_count, struct mc_idle_pages *pages)
{
    uint64_t total = 0;
    char path[64];
    int rc = 0;

    *pages = (struct mc_idle_pages){.pagemap = -1};
    for (unsigned i = 0; i < ram_count; i++)
        total += ram[i].size / MC_PAGE;
    if (!total)
        return -ENODATA;
    snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
    pages->pagemap = open_file(idle->root, path, O_RDONLY);
    if (pages->pagemap < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    for (unsigned i = 0; i < TRIES && pages->count < MC_SAMPLE_PAGES && rc >= 0; i++) {
        rc = try_page(idle, pages->pagemap, choose_address(ram, ram_count, total, &idle->seed),
                      &pages->pages[pages->count]);
        pages->count += rc > 0;
    }
    if (rc >= 0)
        return 0;
    close(pages->pagemap);
    pages->pagemap = -1;
    return rc;
}

void mc_page_idle_look(const struct mc_page_idle *idle, struct mc_idle_pages *pages,
                       unsigned *looked, unsigned *touched)
{
    *looked = *touched = 0;
    for (size_t i = 0; i < pages->count && pages->pagemap >= 0; i++) {
        const struct mc_idle_page *page = &pages->pages[i];
        uint64_t entry, bits;

        /* One that was taken away, or moved to another frame, is none of which anything is known.
         */
        if (!read_word(pages->pagemap, page->address / MC_PAGE, &entry) || !(entry & PRESENT) ||
            (entry & FRAME) != page->frame || !read_word(idle->bitmap, page->head / 64, &bits))
            continue;
        ++*looked;
        *touched += !(bits >> page->head % 64 & 1);
    }
    if (pages->pagemap >= 0)
        close(pages->pagemap);
    pages->pagemap = -1;
    pages->count = 0;
}
