/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process that finds out how much memory is worked with, and the agent's side of it. They speak
 * over a socket: worksets come up; down goes one byte, whether to work. The end of the agent is the
 * end of the socket, and so of the sampler.
 *
 * It knows what it costs by the processor time that it has used, and rests between two rounds for
 * so long that it keeps to its part of a processor. The agent's protection from the OOM killer is
 * not for it: it can always be started again.
 */
#include "workset.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LRU_GEN_ENABLED "/sys/kernel/mm/lru_gen/enabled"

/* Half a window, when it is not given. */
#define HALF_LEAST_MS 5000
#define HALF_MOST_MS 60000

/* A process that ended, or found nothing to work with, is not started again for so long. */
#define RESTART_MS 300000

/* However dear a round is, another one follows after this. */
#define REST_MOST_MS 600000

/* Of a lot; and as many as khugepaged, as it is installed, joins again within the window. */
#define SPLIT_PAGES 32
#define JOINED_MS 1250

/* A window that cannot be longer was tried so often. */
#define MEASURE_UNSETTLED 3

/* Rounds of one measurement: until the window is long enough, and then for each lot of huge pages.
 */
#define MEASURE_ROUNDS 16

struct work {
    struct sampler_options options;
    int channel; /* -1: there is nobody to listen to */
    bool ended, stopped;
    const struct source *source;
    union source_state state;
    struct round round;
    struct huge huge;
    struct read_cache cache;
    bool with_balloon; /* meminfo counts it */
    bool has_lru_gen;  /* reclaim works with generations */
    char lru_gen_was[32];
    uint64_t seed;
    unsigned rounds; /* done, as far as they matter */
    uint64_t active; /* as told last */
};

static uint64_t read_clock(clockid_t clock, uint64_t unit_ns)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * (1000000000 / unit_ns) + (uint64_t)now.tv_nsec / unit_ns;
}

static uint64_t now_ms(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000000);
}

static uint64_t cpu_us(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID, 1000);
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- what the work begins with ---- */

static bool lru_gen_is_on(const char *root)
{
    char text[32];

    return file_read(root, LRU_GEN_ENABLED, text, sizeof(text)) > 0 && strtoul(text, NULL, 0) > 0;
}

/* In order: the most exact ones first, and of these the one that disturbs least. */
static int choose_source(struct work *work)
{
    static const struct source *const sources[] = {&source_lru_gen, &source_idle_page,
                                                   &source_referenced, &source_damon};
    const char *method = work->options.method;
    int rc = -ENOENT;

    for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
        if (method && strcmp(method, sources[i]->name) != 0)
            continue;
        rc = sources[i]->start(&work->state, work->options.root, work->round.half_ms);
        if (rc < 0)
            continue;
        work->source = sources[i];
        return 0;
    }
    return rc;
}

static int work_begin(struct work *work)
{
    const struct sampler_options *options = &work->options;
    uint64_t half = options->window_ms / 2;

    work->round = round_begin(half ? half : HALF_LEAST_MS, half ? half : HALF_MOST_MS);
    work->seed = (now_ms() + (uint64_t)getpid()) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    snprintf(work->cache.root, sizeof(work->cache.root), "%s", options->root);
    if (options->enable_lru_gen && !lru_gen_is_on(options->root) &&
        file_read(options->root, LRU_GEN_ENABLED, work->lru_gen_was, sizeof(work->lru_gen_was)) > 0)
        file_write(options->root, LRU_GEN_ENABLED, "y");
    work->has_lru_gen = lru_gen_is_on(options->root);
    work->with_balloon = balloon_is_counted(options->root);
    return choose_source(work);
}

static void work_end(struct work *work)
{
    if (work->source && work->source->stop)
        work->source->stop(&work->state);
    if (*work->lru_gen_was)
        file_write(work->options.root, LRU_GEN_ENABLED, work->lru_gen_was);
    free(work->cache.before);
    free(work->cache.now);
}

/* ---- a round ---- */

/* False when it is over: the agent has gone, or does not want us to work now. */
static bool nap(struct work *work, uint64_t ms)
{
    uint64_t until = now_ms() + ms, now;

    while (!work->ended && !work->stopped && (now = now_ms()) < until) {
        struct pollfd ear = {.fd = work->channel, .events = POLLIN};
        char word;

        if (poll(&ear, 1, (int)min(until - now, 3600000)) <= 0)
            continue;
        if (recv(work->channel, &word, 1, MSG_DONTWAIT) == 1)
            work->stopped = word == 's';
        else
            work->ended = true;
    }
    return !work->ended && !work->stopped;
}

static void wait_for_permission(struct work *work)
{
    char word;

    while (work->stopped && !work->ended) {
        if (recv(work->channel, &word, 1, 0) == 1)
            work->stopped = word == 's';
        else if (errno != EINTR)
            work->ended = true;
    }
}

static void tell(struct work *work, const struct workset *workset)
{
    work->active = workset->active;
    if (work->channel >= 0)
        (void)!send(work->channel, workset, sizeof(*workset), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* What the bytes that were touched mean, huge pages and page cache considered. */
static int fill_in(struct work *work, uint64_t touched, unsigned confidence, uint64_t window_ms,
                   struct workset *workset)
{
    struct kinds kinds;
    int rc = kinds_read(work->options.root, work->with_balloon, &kinds);

    if (rc < 0)
        return rc;
    snprintf(workset->method, sizeof(workset->method), "%s", work->source->name);
    workset->active = huge_correct(&work->huge, touched, kinds.anon_huge);
    workset->confidence = confidence;
    workset->kernel = kinds.kernel;
    workset->window_ms = window_ms;
    workset->at_ms = now_ms();
    workset->read_cache = 0;
    if (!work->source->sees_read)
        workset->read_cache = min(read_cache_bytes(&work->cache),
                                  work->has_lru_gen ? kinds.page_cache : kinds.used_twice);
    return 0;
}

/* More than was known is told at once, after half of the window. */
static int tell_growth(struct work *work, uint64_t touched, uint64_t began, struct workset *workset)
{
    int rc;

    if (work->channel < 0)
        return 0;
    rc = fill_in(work, touched, 50, now_ms() - began, workset);
    if (rc == 0 && workset->active > work->active)
        tell(work, workset);
    return rc;
}

/* DAMON is set up for a length. */
static int follow_window(struct work *work, uint64_t half_was)
{
    if (work->round.half_ms == half_was || !work->source->stop)
        return 0;
    work->source->stop(&work->state);
    return work->source->start(&work->state, work->options.root, work->round.half_ms);
}

/* Shall some be split? */
static bool look_into_huge_pages(struct work *work, uint64_t touched, bool settled)
{
    struct kinds kinds;

    return kinds_read(work->options.root, work->with_balloon, &kinds) == 0 &&
           huge_take(&work->huge, touched, kinds.anon_huge, settled);
}

static void split_huge_pages(struct work *work)
{
    unsigned pages = SPLIT_PAGES + (unsigned)(2 * work->round.half_ms / JOINED_MS);

    work->huge.split = huge_split(work->options.root, pages, &work->seed);
    if (!work->huge.split)
        work->huge.wait = UINT32_MAX; /* this kernel does not let us */
    round_expect_less(&work->round, work->huge.split);
}

/* 0, 1 when it was interrupted, or an error. */
static int do_round(struct work *work, struct workset *workset)
{
    uint64_t began = now_ms(), half_was = work->round.half_ms, first, second, touched;
    unsigned confidence;
    bool splits;
    int rc = work->source->begin(&work->state);

    if (rc < 0)
        return rc;
    if (!work->source->sees_read)
        read_cache_begin(&work->cache);
    if (!nap(work, half_was))
        return 1;
    rc = work->source->read(&work->state, &first);
    if (rc < 0 || (rc = tell_growth(work, first, began, workset)) < 0)
        return rc;
    if (!nap(work, half_was))
        return 1;
    rc = work->source->read(&work->state, &second);
    if (rc < 0)
        return rc;
    touched = round_take(&work->round, first, second, &confidence);
    if (work->rounds < work->source->learns) {
        work->rounds++;
        confidence /= 2;
    }
    splits = look_into_huge_pages(work, touched, confidence == 100);
    rc = fill_in(work, touched, confidence, now_ms() - began, workset);
    if (splits)
        split_huge_pages(work);
    return rc < 0 ? rc : follow_window(work, half_was);
}

/* The rest that makes the round's cost no more than its part, and what it comes to. */
static uint64_t rest_after(const struct work *work, uint64_t spent_us, uint64_t passed_ms,
                           unsigned *cost)
{
    uint64_t whole_ms = spent_us * 1000 / work->options.cost;
    uint64_t rest = whole_ms > passed_ms ? min(whole_ms - passed_ms, REST_MOST_MS) : 0;

    *cost = (unsigned)(spent_us * 1000 / (passed_ms + rest + 1));
    return rest;
}

static int do_rounds(struct work *work)
{
    while (!work->ended) {
        uint64_t began = now_ms(), spent = cpu_us(), rest;
        struct workset workset = {0};
        int rc;

        wait_for_permission(work);
        rc = do_round(work, &workset);
        if (rc < 0)
            return rc;
        if (rc > 0)
            continue;
        rest = rest_after(work, cpu_us() - spent, now_ms() - began, &workset.cost);
        tell(work, &workset);
        nap(work, rest);
    }
    return 0;
}

/* Nothing more is to be had by another round. */
static bool is_measured(const struct work *work, const struct workset *workset)
{
    const struct round *round = &work->round;
    struct kinds kinds;

    if (work->rounds < work->source->learns)
        return false;
    if (workset->confidence < 100)
        return round->half_ms >= round->most_ms && round->unsettled >= MEASURE_UNSETTLED;
    return kinds_read(work->options.root, work->with_balloon, &kinds) < 0 ||
           !huge_asks(&work->huge, workset->active, kinds.anon_huge);
}

int sampler_measure(const struct sampler_options *options, struct workset *workset)
{
    struct work work = {.options = *options, .channel = -1};
    int rc = work_begin(&work);

    for (unsigned i = 0; rc == 0 && i < MEASURE_ROUNDS + work.source->learns; i++) {
        rc = do_round(&work, workset);
        if (rc == 0 && is_measured(&work, workset))
            break;
    }
    work_end(&work);
    return rc;
}

/* ---- the agent's side ---- */

/* The sampler itself; does not return. */
static void work_as_child(const struct sampler_options *options, int channel)
{
    struct work work = {.options = *options, .channel = channel};
    sigset_t none;
    int rc;

    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_IGN); /* a terminal's; the agent ends us */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpriority(PRIO_PROCESS, 0, 10);
    file_write("", "/proc/self/oom_score_adj", "0");
    rc = work_begin(&work);
    if (rc == 0)
        rc = do_rounds(&work);
    work_end(&work);
    _exit(rc < 0);
}

static void start(struct sampler *sampler, uint64_t now_ms)
{
    int pair[2];

    sampler->started_ms = now_ms;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return;
    sampler->pid = fork();
    if (sampler->pid == 0) {
        close(pair[0]);
        work_as_child(&sampler->options, pair[1]);
    }
    close(pair[1]);
    sampler->channel = pair[0];
    sampler->runs = true;
    if (sampler->pid < 0)
        sampler_end(sampler);
}

void sampler_let_run(struct sampler *sampler, bool runs, uint64_t now_ms)
{
    if (sampler->options.cost == 0)
        return;
    if (runs && sampler->channel < 0 &&
        (!sampler->started_ms || now_ms - sampler->started_ms >= RESTART_MS))
        start(sampler, now_ms);
    if (sampler->channel < 0 || sampler->runs == runs)
        return;
    if (send(sampler->channel, runs ? "r" : "s", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
        sampler->runs = runs;
}

void sampler_take(struct sampler *sampler)
{
    struct workset workset;
    ssize_t length = recv(sampler->channel, &workset, sizeof(workset), MSG_DONTWAIT);

    if (length == (ssize_t)sizeof(workset))
        sampler->last = workset;
    else if (length >= 0 || errno != EAGAIN)
        sampler_end(sampler);
}

void sampler_end(struct sampler *sampler)
{
    if (sampler->channel >= 0)
        close(sampler->channel);
    if (sampler->pid > 0)
        waitpid(sampler->pid, NULL, 0);
    sampler->channel = -1;
    sampler->pid = 0;
    sampler->last = (struct workset){0};
}
