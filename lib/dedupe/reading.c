/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/reading.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "dedupe/pagemap.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* Large enough that mapping costs little, small enough that its page tables do. */
#define WINDOW ((uint64_t)256 * MC_MIB)

/* What the kernel maps besides the page that was touched, if it is there; its default. */
#define FAULT_AROUND ((uint64_t)64 * MC_KIB)

static _Thread_local sigjmp_buf *landing;

static void on_sigbus(int number)
{
    if (landing)
        siglongjmp(*landing, 1);
    signal(number, SIG_DFL);
    raise(number);
}

int mc_reader_try(void (*work)(void *opaque), void *opaque)
{
    sigjmp_buf here;

    /* The signal is not blocked in its handler: there is no mask to save, which would be a call. */
    if (sigsetjmp(here, 0) != 0) {
        landing = NULL;
        return -EFAULT;
    }
    landing = &here;
    work(opaque);
    landing = NULL;
    return 0;
}

static void watch_sigbus(void)
{
    struct sigaction action = {.sa_handler = on_sigbus, .sa_flags = SA_NODEFER};

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

static int open_uffd(void)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_SIGBUS};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

    if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static uint8_t *buffer(void)
{
    return aligned_alloc(MC_PAGE, MC_BATCH_PAGES * MC_PAGE);
}

int mc_reader_init(struct mc_reader *reader)
{
    *reader = (struct mc_reader){.copies = buffer(), .peers = buffer(), .uffd = open_uffd()};
    if (!reader->copies || !reader->peers) {
        mc_reader_free(reader);
        return -ENOMEM;
    }
    watch_sigbus();
    return 0;
}

void mc_reader_free(struct mc_reader *reader)
{
    mc_reader_unmap(reader);
    if (reader->uffd >= 0)
        close(reader->uffd);
    free(reader->copies);
    free(reader->peers);
    *reader = (struct mc_reader){.uffd = -1};
}

/* ---- private memory ---- */

/* Remote pages from `first` on as few pieces as there are runs of adjoining ones. */
static size_t gather(const struct mc_batch *batch, size_t first, struct iovec *pieces)
{
    size_t count = 0;

    for (size_t i = first; i < batch->count; i++) {
        if (i > first && batch->addresses[i] == batch->addresses[i - 1] + MC_PAGE)
            pieces[count - 1].iov_len += MC_PAGE;
        else
            pieces[count++] = (struct iovec){(void *)(uintptr_t)batch->addresses[i], MC_PAGE};
    }
    return count;
}

int mc_read_private(pid_t pid, struct mc_batch *batch, uint8_t *copies)
{
    struct iovec pieces[MC_COPIED_PAGES];
    size_t done = 0;

    for (size_t i = 0; i < batch->count; i++)
        batch->pages[i] = copies + i * MC_PAGE;
    while (done < batch->count) {
        struct iovec local = {copies + done * MC_PAGE, (batch->count - done) * MC_PAGE};
        size_t count = gather(batch, done, pieces);
        ssize_t got = process_vm_readv(pid, &local, 1, pieces, count, 0);

        if (got < 0 && errno != EFAULT && errno != EINTR)
            return -errno;
        if (got > 0)
            done += (size_t)got / MC_PAGE;
        /* It stops at a page that has vanished; the others are still wanted. */
        if (done < batch->count && (got >= 0 || errno == EFAULT))
            batch->pages[done++] = NULL;
    }
    return 0;
}

/* ---- shared memory ---- */

/* How many pages from `first` on adjoin each other. */
static size_t run_from(const struct mc_batch *batch, size_t first)
{
    size_t end = first + 1;

    while (end < batch->count && batch->addresses[end] == batch->addresses[end - 1] + MC_PAGE)
        end++;
    return end - first;
}

static int copy_shared(const struct mc_scan_region *region, struct mc_batch *batch, uint8_t *copies)
{
    size_t run;

    for (size_t first = 0; first < batch->count; first += run) {
        uint64_t offset = region->offset + (batch->addresses[first] - region->address);
        uint8_t *copy = copies + first * MC_PAGE;
        ssize_t got;

        run = run_from(batch, first);
        got = pread(region->fd, copy, run * MC_PAGE, (off_t)offset);
        for (size_t i = 0; i < run; i++)
            batch->pages[first + i] =
                got >= (ssize_t)((i + 1) * MC_PAGE) ? copy + i * MC_PAGE : NULL;
    }
    return 0;
}

static void unmap(struct mc_window *window)
{
    if (window->memory)
        munmap(window->memory, window->mapped);
    *window = (struct mc_window){0};
}

void mc_reader_unmap(struct mc_reader *reader)
{
    unmap(&reader->own);
    unmap(&reader->others);
}

static bool shows(const struct mc_window *window, const struct mc_scan_region *region,
                  uint64_t address)
{
    return window->memory && window->fd == region->fd && address >= window->at &&
           address < window->at + window->mapped &&
           window->offset == region->offset + (window->at - region->address);
}

/* Holes of huge pages must not be reserved for us, hence MAP_NORESERVE. */
static int show(int uffd, struct mc_window *window, const struct mc_scan_region *region,
                uint64_t address)
{
    uint64_t from = (address - region->address) / WINDOW * WINDOW;
    uint64_t size = mc_min_u64(WINDOW, region->size - from);
    struct uffdio_register watched = {.mode = UFFDIO_REGISTER_MODE_MISSING};
    void *memory;

    unmap(window);
    memory = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, region->fd,
                  (off_t)(region->offset + from));
    if (memory == MAP_FAILED)
        return -errno;
    watched.range.start = (uint64_t)(uintptr_t)memory;
    watched.range.len = size;
    if (ioctl(uffd, UFFDIO_REGISTER, &watched) < 0) {
        munmap(memory, size);
        return -errno;
    }
    /* Without it our looks would count as uses of the pages when they are unmapped. */
    madvise(memory, size, MADV_SEQUENTIAL);
    *window = (struct mc_window){.memory = memory,
                                 .mapped = size,
                                 .at = region->address + from,
                                 .offset = region->offset + from,
                                 .fd = region->fd};
    return 0;
}

/* Around the batch's pages, which need not be in order. */
static struct mc_page_range range_of(const struct mc_batch *batch)
{
    struct mc_page_range range = {.start = UINT64_MAX};

    for (size_t i = 0; i < batch->count; i++) {
        range.start = mc_min_u64(range.start, batch->addresses[i]);
        range.end = mc_max_u64(range.end, batch->addresses[i] + MC_PAGE);
    }
    return range;
}

/* Can one window show all of it, and does this one? */
static bool is_shown(const struct mc_reader *reader, struct mc_window *window,
                     const struct mc_scan_region *region, const struct mc_batch *batch)
{
    struct mc_page_range range = range_of(batch);

    if (reader->uffd < 0 ||
        (range.start - region->address) / WINDOW != (range.end - 1 - region->address) / WINDOW)
        return false;
    return shows(window, region, range.start) ||
           show(reader->uffd, window, region, range.start) == 0;
}

int mc_read_shared(struct mc_reader *reader, struct mc_window *window,
                   const struct mc_scan_region *region, struct mc_batch *batch, uint8_t *copies)
{
    if (!is_shown(reader, window, region, batch))
        return copy_shared(region, batch, copies);
    /* A touch maps sixteen of them. To ask for all of them (MADV_POPULATE_READ) takes longer, as
     * the kernel then looks at each again, and counts as a use of each. */
    for (size_t i = 0; i < batch->count; i++)
        batch->pages[i] = window->memory + (batch->addresses[i] - window->at);
    return 0;
}

void mc_reader_release(const struct mc_window *window, const struct mc_batch *batch)
{
    struct mc_page_range range = range_of(batch);
    uint64_t start, end;

    if (!batch->count || !window->memory || range.start < window->at ||
        range.end > window->at + window->mapped)
        return;
    start = mc_less_u64(range.start - window->at, FAULT_AROUND);
    end = mc_min_u64(range.end - window->at + FAULT_AROUND, window->mapped);
    madvise(window->memory + start, end - start, MADV_DONTNEED);
}

size_t mc_reader_likes(const struct mc_reader *reader, const struct mc_scan_region *region)
{
    return region->fd >= 0 && reader->uffd >= 0 ? MC_BATCH_PAGES : MC_COPIED_PAGES;
}
