/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "testing.h"

#include "fake_kernel.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memctl/units.h>

void fake_make(const struct fake_kernel *kernel, const char *path, const char *text)
{
    char name[512];
    int fd;

    snprintf(name, sizeof(name), "%s%s", kernel->root, path);
    for (char *slash = name + strlen(kernel->root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(name, 0700);
        *slash = '/';
    }
    fd = open(name, O_WRONLY | O_CREAT | (text ? O_TRUNC : 0), 0600);
    assert_true(fd >= 0);
    if (text)
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

uint64_t fake_word(const struct fake_kernel *kernel, const char *path, uint64_t number,
                   const uint64_t *set)
{
    uint64_t value = 0;
    char name[512];
    int fd;

    snprintf(name, sizeof(name), "%s%s", kernel->root, path);
    fd = open(name, O_RDWR);
    assert_true(fd >= 0);
    if (set)
        assert_int_equal(pwrite(fd, set, sizeof(*set), (off_t)(number * 8)), 8);
    else
        (void)!pread(fd, &value, sizeof(value), (off_t)(number * 8));
    close(fd);
    return value;
}

void fake_set_word(const struct fake_kernel *kernel, const char *path, uint64_t number,
                   uint64_t value)
{
    fake_word(kernel, path, number, &value);
}

int fake_begin(void **state)
{
    struct fake_kernel *kernel = calloc(1, sizeof(*kernel));

    strcpy(kernel->root, "/tmp/memctl-sample-XXXXXX");
    *state = kernel;
    return mkdtemp(kernel->root) ? 0 : -1;
}

int fake_end(void **state)
{
    struct fake_kernel *kernel = *state;
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", kernel->root);
    free(kernel);
    return system(command);
}

uint64_t fake_frame_of(uint64_t page)
{
    return (page + 1) * 64; /* in words of their own: a file does not keep a word's other bits */
}

void fake_make_page_idle(const struct fake_kernel *kernel)
{
    fake_make(kernel, FAKE_BITMAP, "");
    fake_make(kernel, "/proc/kpageflags", "");
    fake_make(kernel, FAKE_PAGEMAP, "");
    fake_set_word(kernel, FAKE_PAGEMAP, (FAKE_ADDRESS + FAKE_PAGES * MC_PAGE) / MC_PAGE, 0);
    for (uint64_t page = 0; page < FAKE_PAGES; page += 4) {
        fake_set_word(kernel, FAKE_PAGEMAP, FAKE_ADDRESS / MC_PAGE + page,
                      UINT64_C(1) << 63 | fake_frame_of(page));
        fake_set_word(kernel, "/proc/kpageflags", fake_frame_of(page), UINT64_C(1) << 5);
    }
}
