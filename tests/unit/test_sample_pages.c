/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random pages of a real process, where its kernel says that they are: its pagemap and kpageflags
 * are real, only the bitmap of idle pages is a file, in which the test plays the kernel's part. As
 * root; tests/real/sample.py does all of it with a kernel that has idle page tracking.
 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memctl/units.h>

#include "sample/page_idle.h"

#define SIZE (UINT64_C(256) * MC_MIB)

/* Enough for 64 TiB; nothing of it is there until it is written. */
#define BITMAP_SIZE (INT64_C(2) << 30)

struct scene {
    char root[64];
    int bitmap;
    struct mc_page_idle idle;
    struct mc_ram ram;
    volatile char *memory;
};

static void make_folder(const struct scene *scene, const char *path)
{
    char name[128];

    snprintf(name, sizeof(name), "%s%s", scene->root, path);
    assert_int_equal(mkdir(name, 0700), 0);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    char name[128];

    *state = scene;
    strcpy(scene->root, "/tmp/memctl-pages-XXXXXX");
    assert_non_null(mkdtemp(scene->root));
    snprintf(name, sizeof(name), "%s/proc", scene->root);
    assert_int_equal(symlink("/proc", name), 0);
    make_folder(scene, "/sys");
    make_folder(scene, "/sys/kernel");
    make_folder(scene, "/sys/kernel/mm");
    make_folder(scene, "/sys/kernel/mm/page_idle");
    snprintf(name, sizeof(name), "%s/sys/kernel/mm/page_idle/bitmap", scene->root);
    scene->bitmap = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(scene->bitmap >= 0);
    assert_int_equal(ftruncate(scene->bitmap, BITMAP_SIZE), 0);
    scene->memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(scene->memory, MAP_FAILED);
    scene->ram = (struct mc_ram){.address = (uintptr_t)scene->memory, .size = SIZE};
    return 0;
}

static int tear_down(void **state)
{
    static const char *const paths[] = {"/sys/kernel/mm/page_idle/bitmap",
                                        "/sys/kernel/mm/page_idle",
                                        "/sys/kernel/mm",
                                        "/sys/kernel",
                                        "/sys",
                                        "/proc",
                                        ""};
    struct scene *scene = *state;
    char name[128];

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        snprintf(name, sizeof(name), "%s%s", scene->root, paths[i]);
        remove(name);
    }
    munmap((void *)scene->memory, SIZE);
    close(scene->bitmap);
    free(scene);
    return 0;
}

static void fill(const struct scene *scene, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += MC_PAGE)
        scene->memory[at] = 1;
}

static uint64_t read_word(const char *path, uint64_t number)
{
    uint64_t word = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &word, sizeof(word), (off_t)(number * sizeof(word))), sizeof(word));
    close(fd);
    return word;
}

/* Skips where this process may not know where its pages are. */
static void mark(struct scene *scene, struct mc_idle_pages *pages)
{
    int rc = mc_page_idle_open(&scene->idle, scene->root, 7);

    if (rc == 0)
        rc = mc_page_idle_mark(&scene->idle, getpid(), &scene->ram, 1, pages);
    if (rc == -EACCES || rc == -EPERM || rc == -ENOENT) {
        print_message("pagemap, kpageflags: %s\n", strerror(-rc));
        skip();
    }
    assert_int_equal(rc, 0);
}

/* The kernel sets the bits that were written, and keeps the others of the word. */
static void set_marks(const struct scene *scene, const struct mc_idle_pages *pages)
{
    for (size_t i = 0; i < pages->count; i++) {
        off_t at = (off_t)(pages->pages[i].head / 64 * 8);
        uint64_t word = 0;

        assert_int_equal(pread(scene->bitmap, &word, sizeof(word), at), sizeof(word));
        assert_true(word != 0); /* somebody of this word was marked */
        word |= UINT64_C(1) << pages->pages[i].head % 64;
        assert_int_equal(pwrite(scene->bitmap, &word, sizeof(word), at), sizeof(word));
    }
}

static void touch(const struct scene *scene, const struct mc_idle_page *page)
{
    off_t at = (off_t)(page->head / 64 * 8);
    uint64_t word = 0;

    assert_int_equal(pread(scene->bitmap, &word, sizeof(word), at), sizeof(word));
    word &= ~(UINT64_C(1) << page->head % 64);
    assert_int_equal(pwrite(scene->bitmap, &word, sizeof(word), at), sizeof(word));
}

static void pages_are_found_where_they_are(void **state)
{
    struct scene *scene = *state;
    unsigned looked, touched, expected = 0;
    struct mc_idle_pages pages;

    madvise((void *)scene->memory, SIZE, MADV_NOHUGEPAGE);
    fill(scene, SIZE);
    mark(scene, &pages);
    assert_int_equal(pages.count, MC_SAMPLE_PAGES);
    set_marks(scene, &pages);
    for (size_t i = 0; i < pages.count; i++) {
        const struct mc_idle_page *page = &pages.pages[i];

        assert_in_range(page->address, scene->ram.address, scene->ram.address + SIZE - 1);
        assert_int_equal(read_word("/proc/self/pagemap", page->address / MC_PAGE) << 9 >> 9,
                         page->frame);
        assert_int_equal(page->head, page->frame);
    }
    /* Of a quarter of the memory the pages are touched: about a quarter of the sample. */
    for (size_t i = 0; i < pages.count; i++) {
        if (pages.pages[i].address >= scene->ram.address + SIZE / 4)
            continue;
        touch(scene, &pages.pages[i]);
        expected++;
    }
    assert_in_range(expected, 8, 45);
    mc_page_idle_look(&scene->idle, &pages, &looked, &touched);
    assert_int_equal(looked, MC_SAMPLE_PAGES);
    assert_int_equal(touched, expected);
    mc_page_idle_close(&scene->idle);
}

/* What the guest gave back, to its balloon or by itself, is neither idle nor touched. */
static void pages_that_are_given_back_say_nothing(void **state)
{
    struct scene *scene = *state;
    struct mc_idle_pages pages;
    unsigned looked, touched, left = 0;

    madvise((void *)scene->memory, SIZE, MADV_NOHUGEPAGE);
    fill(scene, SIZE);
    mark(scene, &pages);
    set_marks(scene, &pages);
    assert_int_equal(madvise((void *)scene->memory, SIZE / 2, MADV_DONTNEED), 0);
    for (size_t i = 0; i < pages.count; i++)
        left += pages.pages[i].address >= scene->ram.address + SIZE / 2;
    mc_page_idle_look(&scene->idle, &pages, &looked, &touched);
    assert_int_equal(looked, left);
    assert_int_equal(touched, 0);
    mc_page_idle_close(&scene->idle);
}

/* A guest that has touched a part of its memory is sampled there; what it only read is not its. */
static void what_is_not_resident_is_not_sampled(void **state)
{
    struct scene *scene = *state;
    struct mc_idle_pages pages;
    unsigned looked, touched;

    madvise((void *)scene->memory, SIZE, MADV_NOHUGEPAGE);
    fill(scene, SIZE / 8);
    for (uint64_t at = SIZE / 2; at < SIZE; at += MC_PAGE)
        assert_int_equal(scene->memory[at], 0); /* the zero page */
    mark(scene, &pages);
    assert_int_equal(pages.count, MC_SAMPLE_PAGES);
    for (size_t i = 0; i < pages.count; i++)
        assert_true(pages.pages[i].address < scene->ram.address + SIZE / 8);
    mc_page_idle_look(&scene->idle, &pages, &looked, &touched);
    mc_page_idle_close(&scene->idle);
}

static void a_huge_page_has_one_mark(void **state)
{
    struct scene *scene = *state;
    struct mc_idle_pages pages;
    unsigned looked, touched, huge = 0;

    madvise((void *)scene->memory, SIZE, MADV_HUGEPAGE);
    fill(scene, SIZE);
    mark(scene, &pages);
    for (size_t i = 0; i < pages.count; i++) {
        const struct mc_idle_page *page = &pages.pages[i];

        if (page->head == page->frame)
            continue;
        huge++;
        assert_int_equal(page->head, page->frame / 512 * 512);
    }
    mc_page_idle_look(&scene->idle, &pages, &looked, &touched);
    assert_int_equal(looked, MC_SAMPLE_PAGES);
    mc_page_idle_close(&scene->idle);
    if (huge == 0) {
        print_message("this kernel gave no huge pages\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_are_found_where_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pages_that_are_given_back_say_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_resident_is_not_sampled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_huge_page_has_one_mark, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
