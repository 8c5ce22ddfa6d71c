/*
 * The load of a lab guest: the memory that lab-hog holds, in a process of its own.
 *
 * The process is separate so that the guest's OOM killer can take it and leave the one that
 * answers the host. What the host may ask about it at any time lies in a page that both share.
 */
#ifndef LAB_LOAD_H
#define LAB_LOAD_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct load_state {
    _Atomic uint64_t held;     /* bytes of memory with content */
    _Atomic uint64_t hot;      /* bytes at its beginning that a thread keeps touching */
    _Atomic uint64_t passes;   /* times it went over the hot part */
    _Atomic uint64_t pass_us;  /* how long the last pass took */
    _Atomic uint64_t filling;  /* bytes that a running fill has still to allocate */
    _Atomic uint64_t cached;   /* bytes of page cache that a thread keeps reading */
    _Atomic uint64_t cache_us; /* how long the last reading took */
};

struct load {
    pid_t pid;    /* 0: not running */
    int fd;       /* commands to it and replies from it, one packet each */
    int oomscore; /* its oom_score_adj */
    unsigned int kills;
    struct load_state *state;
};

/* 0 or -errno. The process starts with nothing; `state` is made at the first start. */
int load_start(struct load *load);

/* Reads "100M" or "4096"; 0 on success, -EINVAL. */
int parse_size(const char *text, uint64_t *bytes);

/* Writes the number or word into a file of /proc or /sys; 0 or -errno. */
int write_file(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes a zram disk of that size and gives its number, or -errno. */
int zram_create(uint64_t bytes);

#endif
