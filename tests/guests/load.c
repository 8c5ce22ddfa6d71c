#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define WORDS (PAGE / sizeof(uint64_t))
#define STEP (UINT64_C(1) << 20)
#define POOL_PAGES 1024u
#define POOL_SEED UINT64_C(0x6d656d63746c)

enum content { RANDOM, ZERO, POOL };

struct chunk {
    uint8_t *base;
    uint64_t size;
};

/*
 * One lock guards the list of chunks; it is held for a mebibyte of work at most, so that touching,
 * filling and freeing go on beside one another.
 */
struct worker {
    pthread_mutex_t lock;
    struct chunk *chunks;
    size_t count;
    struct load_state *state;
    _Atomic unsigned int hot_period_ms;
    _Atomic bool hot_writes;
    _Atomic bool hot_scatters; /* over all that is held */
    _Atomic bool small_pages;
    _Atomic uint64_t fill_rate; /* bytes a second */
    enum content fill_content;
    bool hot_runs, fill_runs, cache_runs;
    _Atomic unsigned int cache_period_ms;
    _Atomic bool cache_maps; /* instead of reading */
    uint64_t cache_size;     /* of the disk */
    const volatile uint8_t *cache_mapped;
    int cache_disk;
    uint64_t seed;
    uint64_t random_page[WORDS];
    uint64_t (*pool)[WORDS];
};

int parse_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;

    if (!text || *text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    *bytes = strtoull(text, &end, 10);
    if (errno)
        return -EINVAL;
    const char *unit = *end ? strchr(units, *end) : NULL;

    if (unit) {
        *bytes <<= 10 * (unit - units + 1);
        end++;
    }
    return *end ? -EINVAL : 0;
}

int write_file(const char *path, const char *format, ...)
{
    char text[64];
    va_list args;

    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);

    va_end(args);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int result = write(fd, text, (size_t)length) == length ? 0 : -errno;

    close(fd);
    return result;
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void sleep_us(uint64_t us)
{
    struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

    nanosleep(&t, NULL);
}

int zram_create(uint64_t bytes)
{
    char text[64];
    int fd = -1;

    /* The module comes after us: see lab-init. */
    for (int i = 0; i < 100 && fd < 0; i++) {
        fd = open("/sys/class/zram-control/hot_add", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            sleep_us(20000);
    }
    if (fd < 0)
        return -errno;
    ssize_t length = read(fd, text, sizeof(text) - 1);

    close(fd);
    if (length <= 0)
        return -EIO;
    text[length] = '\0';
    int disk = atoi(text);

    snprintf(text, sizeof(text), "/sys/block/zram%d/disksize", disk);
    int result = write_file(text, "%llu", (unsigned long long)bytes);

    return result ? result : disk;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/*
 * Two guests restored from one saved image would go on with the same numbers: the time-stamp
 * counter, which no two of them read alike, sets them apart.
 */
static void reseed(struct worker *w)
{
    uint64_t fresh = 0;

    if (getrandom(&fresh, sizeof(fresh), 0) < 0)
        fresh = now_us();
    w->seed = (fresh ^ __builtin_ia32_rdtsc() * UINT64_C(0x9e3779b97f4a7c15)) | 1;
    for (size_t i = 0; i < WORDS; i++)
        w->random_page[i] = next_random(&w->seed);
}

static int make_pool(struct worker *w)
{
    uint64_t seed = POOL_SEED;

    if (w->pool)
        return 0;
    w->pool = calloc(POOL_PAGES, sizeof(*w->pool));
    if (!w->pool)
        return -ENOMEM;
    for (size_t page = 0; page < POOL_PAGES; page++)
        for (size_t i = 0; i < WORDS; i++)
            w->pool[page][i] = next_random(&seed);
    return 0;
}

static void write_page(struct worker *w, uint64_t *page, enum content content)
{
    uint64_t key;

    switch (content) {
    case ZERO:
        memset(page, 0, PAGE);
        break;
    case POOL:
        memcpy(page, w->pool[next_random(&w->seed) % POOL_PAGES], PAGE);
        break;
    case RANDOM:
        key = next_random(&w->seed);
        for (size_t i = 0; i < WORDS; i++)
            page[i] = w->random_page[i] ^ key;
        break;
    }
}

/* Adds a chunk and writes it all; 0 or -errno. */
static int grow(struct worker *w, uint64_t size, enum content content)
{
    int result = content == POOL ? make_pool(w) : 0;

    if (result)
        return result;
    size = (size + PAGE - 1) / PAGE * PAGE;
    uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    if (w->small_pages)
        madvise(base, size, MADV_NOHUGEPAGE);
    for (uint64_t done = 0; done < size; done += PAGE) {
        write_page(w, (uint64_t *)(void *)(base + done), content);
        w->state->held += PAGE;
    }

    pthread_mutex_lock(&w->lock);
    struct chunk *more = reallocarray(w->chunks, w->count + 1, sizeof(*more));

    if (more) {
        w->chunks = more;
        w->chunks[w->count++] = (struct chunk){base, size};
    }
    pthread_mutex_unlock(&w->lock);
    if (more)
        return 0;
    munmap(base, size);
    w->state->held -= size;
    return -ENOMEM;
}

/* Gives back from the end, so that the hot part stays. */
static void shrink(struct worker *w, uint64_t size)
{
    pthread_mutex_lock(&w->lock);
    while (size >= PAGE && w->count) {
        struct chunk *last = &w->chunks[w->count - 1];
        uint64_t part = size < last->size ? size / PAGE * PAGE : last->size;

        munmap(last->base + last->size - part, part);
        last->size -= part;
        w->count -= last->size == 0;
        w->state->held -= part;
        size -= part;
    }
    pthread_mutex_unlock(&w->lock);
}

/* Whether a page is one of the part that is touched, in thousandths, when it is scattered. */
static bool is_chosen(uint64_t page, uint64_t part)
{
    return (page * UINT64_C(0x9e3779b97f4a7c15) >> 32) % 1000 < part;
}

/*
 * Touches one mebibyte at an offset into all that is held, or the pages of it that are among a part
 * of all pages; false past the end.
 */
static bool touch(struct worker *w, uint64_t offset, uint64_t part)
{
    bool found = false;

    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->count && !found; i++) {
        struct chunk *chunk = &w->chunks[i];

        if (offset >= chunk->size) {
            offset -= chunk->size;
            continue;
        }
        found = true;
        for (uint64_t at = offset; at < offset + STEP && at < chunk->size; at += PAGE) {
            volatile uint8_t *byte = chunk->base + at;

            if (part < 1000 && !is_chosen((uint64_t)(uintptr_t)byte / PAGE, part))
                continue;

            uint8_t value = *byte;

            if (w->hot_writes)
                *byte = (uint8_t)(value + 1);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return found;
}

static void *hot_thread(void *data)
{
    struct worker *w = data;

    for (;;) {
        uint64_t start = now_us();
        uint64_t hot = w->state->hot, held = w->state->held;
        uint64_t part = w->hot_scatters && held ? hot * 1000 / held : 1000;
        uint64_t end = part < 1000 ? held : hot;

        for (uint64_t offset = 0; hot && offset < end && touch(w, offset, part);)
            offset += STEP;
        uint64_t took = now_us() - start;
        uint64_t period = w->hot_period_ms * UINT64_C(1000);

        if (hot) {
            w->state->pass_us = took;
            w->state->passes++;
        }
        sleep_us(took < period ? period - took : 1000);
    }
    return NULL;
}

static void *fill_thread(void *data)
{
    struct worker *w = data;
    uint64_t next = now_us();

    for (;;) {
        uint64_t left = w->state->filling;
        uint64_t size = left < STEP ? left : STEP;

        if (!left) {
            sleep_us(20000);
            next = now_us();
            continue;
        }
        if (grow(w, size, w->fill_content) == 0)
            atomic_compare_exchange_strong(&w->state->filling, &left, left - size);
        next += size * 1000000 / w->fill_rate;
        uint64_t now = now_us();

        if (next > now)
            sleep_us(next - now);
    }
    return NULL;
}

/*
 * Page cache without a disk: a zram disk that was never written costs nothing, and what is read
 * from it is page cache like any other, clean and reclaimable, with refaults when it comes back.
 */
static void use_cache(struct worker *w, int fd, uint64_t size)
{
    static uint8_t buffer[STEP];

    if (w->cache_maps && !w->cache_mapped) {
        void *all = mmap(NULL, w->cache_size, PROT_READ, MAP_SHARED, fd, 0);

        if (all == MAP_FAILED)
            return;
        w->cache_mapped = all;
    }
    for (uint64_t at = 0; w->cache_mapped && at < size; at += PAGE)
        (void)w->cache_mapped[at];
    for (uint64_t at = 0; !w->cache_mapped && at < size; at += STEP)
        if (pread(fd, buffer, STEP, (off_t)at) <= 0)
            break;
}

static void *cache_thread(void *data)
{
    struct worker *w = data;
    char path[32];
    int fd = -1;

    for (;;) {
        uint64_t size = w->state->cached;
        uint64_t start = now_us();

        if (!size && fd >= 0) {
            if (w->cache_mapped)
                munmap((void *)(uintptr_t)w->cache_mapped, w->cache_size);
            w->cache_mapped = NULL;
            close(fd);
            fd = -1;
        }
        if (size && fd < 0) {
            snprintf(path, sizeof(path), "/dev/zram%d", w->cache_disk);
            fd = open(path, O_RDONLY | O_CLOEXEC);
        }
        if (fd >= 0)
            use_cache(w, fd, size);
        uint64_t took = now_us() - start;
        uint64_t period = w->cache_period_ms * UINT64_C(1000);

        if (size)
            w->state->cache_us = took;
        sleep_us(took < period ? period - took : 1000);
    }
    return NULL;
}

static int thread_once(bool *runs, void *(*body)(void *), struct worker *w)
{
    pthread_t thread;

    if (*runs)
        return 0;
    int result = -pthread_create(&thread, NULL, body, w);

    *runs = result == 0;
    return result;
}

static int parse_content(const char *text, enum content *content)
{
    static const char *const names[] = {"random", "zero", "pool"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (text && strcmp(text, names[i]) == 0) {
            *content = (enum content)i;
            return 0;
        }
    }
    *content = RANDOM;
    return text ? -EINVAL : 0;
}

static int do_alloc(struct worker *w, char **arg)
{
    enum content content;
    uint64_t size;

    if (parse_size(arg[0], &size) || parse_content(arg[1], &content))
        return -EINVAL;
    reseed(w);
    return grow(w, size, content);
}

static int do_free(struct worker *w, char **arg)
{
    uint64_t size = UINT64_MAX;

    if (arg[0] && parse_size(arg[0], &size))
        return -EINVAL;
    w->state->filling = 0;
    shrink(w, size);
    return 0;
}

static bool has_word(char **arg, const char *word)
{
    while (*arg && strcmp(*arg, word) != 0)
        arg++;
    return *arg != NULL;
}

static int do_hot(struct worker *w, char **arg)
{
    uint64_t size;
    uint64_t period = 100;

    if (parse_size(arg[0], &size) || (arg[1] && parse_size(arg[1], &period)) || period > 3600000)
        return -EINVAL;
    w->hot_period_ms = (unsigned int)period;
    w->hot_writes = arg[1] && has_word(arg + 2, "write");
    w->hot_scatters = arg[1] && has_word(arg + 2, "scattered");
    w->state->passes = 0;
    w->state->hot = size;
    return thread_once(&w->hot_runs, hot_thread, w);
}

static int do_fill(struct worker *w, char **arg)
{
    enum content content;
    uint64_t size;
    uint64_t rate;

    if (parse_size(arg[0], &size) || parse_size(arg[1], &rate) || !rate || rate > 1000000 ||
        parse_content(arg[2], &content))
        return -EINVAL;
    if (w->state->filling)
        return -EBUSY;
    reseed(w);
    w->fill_content = content;
    w->fill_rate = rate << 20;
    w->state->filling = size;
    return thread_once(&w->fill_runs, fill_thread, w);
}

static int do_cache(struct worker *w, char **arg)
{
    uint64_t size;
    uint64_t period = 1000;

    if (parse_size(arg[0], &size) || (arg[1] && parse_size(arg[1], &period)) || period > 3600000)
        return -EINVAL;
    /* A part of what is there stays in use; a larger disk would have to be another one. */
    if (size && w->state->cached && size > w->cache_size)
        return -EBUSY;
    if (size && !w->state->cached) {
        w->cache_disk = zram_create(size);
        if (w->cache_disk < 0)
            return w->cache_disk;
        w->cache_size = size;
        w->cache_maps = arg[1] && has_word(arg + 2, "mapped");
    }
    w->cache_period_ms = (unsigned int)period;
    w->state->cached = size;
    return thread_once(&w->cache_runs, cache_thread, w);
}

static int do_hugepages(struct worker *w, char **arg)
{
    if (!arg[0])
        return -EINVAL;
    w->small_pages = strcmp(arg[0], "off") == 0;
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct worker *w, char **arg);
} commands[] = {
    {"alloc", do_alloc}, {"free", do_free},   {"hot", do_hot},
    {"fill", do_fill},   {"cache", do_cache}, {"hugepages", do_hugepages},
};

/* The process: takes "verb argument...", answers with a result as a number. */
static void serve(int fd, struct load_state *state)
{
    struct worker w = {.lock = PTHREAD_MUTEX_INITIALIZER, .state = state};
    char line[256];
    ssize_t length;

    while ((length = recv(fd, line, sizeof(line) - 1, 0)) > 0) {
        char *arg[8] = {NULL};
        char *rest = line;
        int result = -ENOSYS;

        line[length] = '\0';
        for (size_t i = 0; i < 7 && (arg[i] = strtok_r(rest, " ", &rest)); i++)
            ;
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
            if (arg[0] && strcmp(arg[0], commands[i].name) == 0)
                result = commands[i].run(&w, arg + 1);
        if (send(fd, &result, sizeof(result), MSG_NOSIGNAL) < 0)
            break;
    }
}

int load_start(struct load *load)
{
    int pair[2];

    if (!load->state) {
        void *shared = mmap(NULL, sizeof(*load->state), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
            return -errno;
        load->state = shared;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return -errno;
    memset(load->state, 0, sizeof(*load->state));
    load->pid = fork();
    if (load->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "lab-load");
        write_file("/proc/self/oom_score_adj", "%d", load->oomscore);
        close(pair[0]);
        serve(pair[1], load->state);
        _exit(0);
    }
    close(pair[1]);
    load->fd = pair[0];
    if (load->pid > 0)
        return 0;
    load->pid = 0;
    close(pair[0]);
    return -EAGAIN;
}
