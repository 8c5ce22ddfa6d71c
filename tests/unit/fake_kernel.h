/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A folder with files in place of the kernel's, for what looks at guests from the host. */
#ifndef MEMCTL_TEST_FAKE_KERNEL_H
#define MEMCTL_TEST_FAKE_KERNEL_H

#include <stdint.h>

#define FAKE_BITMAP "/sys/kernel/mm/page_idle/bitmap"
#define FAKE_PAGEMAP "/proc/42/pagemap"

#define FAKE_PAGES 400
#define FAKE_ADDRESS UINT64_C(0x100000)

struct fake_kernel {
    char root[64];
};

/* For cmocka: an empty one. */
int fake_begin(void **state);
int fake_end(void **state);

/* The file, and the folders on the way to it; with this text, unless it is NULL. */
void fake_make(const struct fake_kernel *kernel, const char *path, const char *text);

/* A word of a file; written first, unless set is NULL. */
uint64_t fake_word(const struct fake_kernel *kernel, const char *path, uint64_t number,
                   const uint64_t *set);
void fake_set_word(const struct fake_kernel *kernel, const char *path, uint64_t number,
                   uint64_t value);

/* Idle page tracking, and process 42 with FAKE_PAGES, of which every fourth is resident. */
void fake_make_page_idle(const struct fake_kernel *kernel);
uint64_t fake_frame_of(uint64_t page);

#endif
