/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much memory the guest works with: the working set.
 *
 *   lru_gen.c, damon.c, idle_page.c, referenced.c
 *                 the sources, each one way in which a kernel tells which memory was touched
 *   kinds.c       what kind of memory there is
 *   files.c       the kernel's small files
 *   read_cache.c  the part of the page cache that is used by read(), which no source sees
 *   huge.c        what a transparent huge page hides: one touch makes all of it look used
 *   round.c       windows, and what two looks at different distances say together
 *   sampler.c     the process that does the work
 *
 * Everything here runs in a process of its own. Reading another process's page tables can wait for
 * a lock that is held by a task without memory, and the watch for distress may not.
 *
 * Functions return 0 or a negative errno. `root` is "" in a guest; tests put a directory before the
 * kernel's files.
 */
#ifndef BALLOON_GUEST_AGENT_WORKSET_H
#define BALLOON_GUEST_AGENT_WORKSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "round.h"

/* The longest name of a source, with its NUL. */
#define METHOD_MAX 16

/* What was found out, as it goes from the sampler to the agent. Bytes. */
struct workset {
    char method[METHOD_MAX];
    uint64_t active;     /* programs' memory and mapped files, touched within the window */
    uint64_t read_cache; /* page cache that may have been used by read() within the window */
    uint64_t kernel;     /* the kernel's own, which is always in use */
    uint64_t window_ms;
    uint64_t at_ms;      /* CLOCK_MONOTONIC */
    unsigned confidence; /* percent */
    unsigned cost;       /* of a processor, millionths: what finding out takes on average */
};

/* Where the kernel's files are: a directory, for tests, or "". */
#define PATH_ROOM 400

struct lru_gen {
    char root[PATH_ROOM / 2];
    unsigned made; /* generations since begin() */
};

struct damon {
    char root[PATH_ROOM / 2];
    unsigned reads; /* since begin() */
};

/* 64 pages at a time, chosen at random anew in each round. */
#define IDLE_WORDS 2048

struct idle_page {
    int bitmap, flags;
    uint64_t words; /* of the whole bitmap */
    uint64_t seed;
    size_t chosen;
    uint64_t word[IDLE_WORDS]; /* their places */
};

struct referenced {
    char root[PATH_ROOM / 2];
};

union source_state {
    struct lru_gen lru_gen;
    struct damon damon;
    struct idle_page idle_page;
    struct referenced referenced;
};

struct source {
    const char *name;
    /* Turn it on; an error when this kernel does not have it or does not let us. */
    int (*start)(union source_state *state, const char *root, uint64_t half_ms);
    /* What was touched so far does not count. */
    int (*begin)(union source_state *state);
    /* Bytes that were touched since begin(). Asked twice, half a window and a window later. */
    int (*read)(union source_state *state, uint64_t *bytes);
    /* Leave the kernel as it was; may be NULL. */
    void (*stop)(union source_state *state);
    bool sees_read;  /* page cache that is used by read() as well */
    unsigned learns; /* rounds until what it says can be relied on */
};

extern const struct source source_damon, source_lru_gen, source_idle_page, source_referenced;

/* The pages of the youngest `count` generations of each group, in debugfs's text. */
uint64_t lru_gen_count(const char *text, unsigned count);

/* What processes have read by read() since the last read_cache_begin(). */
struct read_cache {
    char root[PATH_ROOM / 2];
    struct read_count {
        long pid;
        uint64_t bytes;
    } * before, *now;
    size_t before_count, now_count, before_room, now_room;
};

void read_cache_begin(struct read_cache *cache);
uint64_t read_cache_bytes(struct read_cache *cache);

/* Sizes of /proc/meminfo that tell what kind of memory there is. */
struct kinds {
    uint64_t page_cache; /* not mapped by a program, nor in a tmpfs */
    uint64_t used_twice; /* the kernel's list of page cache that was read more than once */
    uint64_t anon_huge;
    uint64_t kernel;
};

/* with_balloon: the balloon is counted in meminfo. */
int kinds_read(const char *root, bool with_balloon, struct kinds *kinds);
bool balloon_is_counted(const char *root);

/* Split that many huge pages of programs, chosen at random; returns the bytes that were split. */
uint64_t huge_split(const char *root, unsigned count, uint64_t *seed);

/* How the sampler is to work. */
struct sampler_options {
    const char *root;
    const char *method;  /* NULL: the best that there is */
    uint64_t window_ms;  /* 0: finds out how long it has to be */
    unsigned cost;       /* of a processor, millionths */
    bool enable_lru_gen; /* where the kernel has it and does not use it */
};

struct sampler {
    struct sampler_options options;
    pid_t pid;   /* of the process that does the work, 0 for none */
    int channel; /* to it, -1 */
    bool runs;   /* it was told to work */
    uint64_t started_ms;
    struct workset last; /* at_ms 0: nothing yet */
};

/* Let it work, or not: nobody listens, or there is no memory. Starts the process, if need be. */
void sampler_let_run(struct sampler *sampler, bool runs, uint64_t now_ms);
/* There is something to read from the channel. */
void sampler_take(struct sampler *sampler);
/* End the process, which leaves the kernel as it was. */
void sampler_end(struct sampler *sampler);

/* Find out here and now. It takes a window, or three where there are huge pages. */
int sampler_measure(const struct sampler_options *options, struct workset *workset);

/* Read a whole file below root, or of a process; at most room - 1 bytes. Returns their number. */
ssize_t file_read(const char *root, const char *path, char *text, size_t room);
ssize_t file_read_of(const char *root, long pid, const char *name, char *text, size_t room);
int file_write(const char *root, const char *path, const char *text);
/* The number behind a name at the beginning of a line, times 1024 if it is in kB; 0 without it. */
uint64_t file_value(const char *text, const char *name);
/* Call for each process until it says no. */
void each_process(const char *root, bool (*visit)(long pid, void *opaque), void *opaque);

/* A number that need not be secret. seed is never 0. */
uint64_t next_random(uint64_t *seed);

#endif
