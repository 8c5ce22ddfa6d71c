/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/scanner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "dedupe/tally.h"

/* Of the table's memory, this part finds frequent contents. */
#define HEAVY_PART 8

static const uint8_t zeros[MC_PAGE];

struct mc_scanner_config mc_scanner_config_default(void)
{
    return (struct mc_scanner_config){
        .table_share = 50, .table_least = MC_MIB, .compare = true, .threads = 1};
}

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- making it ---- */

static int draw_secret(uint8_t secret[MC_HASH_SECRET], struct mc_error *err)
{
    uint8_t seed[64];

    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return mc_error_set(err, -EIO, "no random numbers: %s", strerror(errno));
    mc_page_hash_secret(secret, seed, sizeof(seed));
    return 0;
}

int mc_scanner_new(const struct mc_scanner_config *config, struct mc_scanner **scanner,
                   struct mc_error *err)
{
    struct mc_scanner *made = calloc(1, sizeof(*made));
    int rc;

    if (!made)
        return mc_error_set(err, -ENOMEM, "out of memory");
    made->config = *config;
    made->hash = mc_page_hash_best();
    rc = mc_workers_init(made, config->threads);
    if (rc < 0)
        mc_error_set(err, rc, "no threads: %s", strerror(-rc));
    if (rc == 0)
        rc = draw_secret(made->secret, err);
    made->zero_hash = made->hash(zeros, made->secret);
    if (rc == 0 && (mc_frames_init(&made->frames, MC_FRAMES_LEAST) < 0 ||
                    mc_heavy_init(&made->heavy, MC_PAGE) < 0))
        rc = mc_error_set(err, -ENOMEM, "out of memory");
    if (rc < 0) {
        mc_scanner_free(made);
        return rc;
    }
    *scanner = made;
    return 0;
}

void mc_scanner_free(struct mc_scanner *scanner)
{
    if (!scanner)
        return;
    mc_workers_free(scanner);
    for (size_t i = 0; i < scanner->slot_count; i++)
        mc_scan_guest_close(&scanner->slots[i].guest);
    mc_frames_free(&scanner->frames);
    mc_heavy_free(&scanner->heavy);
    mc_dedupe_report_free(&scanner->report);
    free(scanner);
}

void mc_scanner_configure(struct mc_scanner *scanner, const struct mc_scanner_config *config)
{
    scanner->config = *config;
}

void mc_scanner_set_sketch_key(struct mc_scanner *scanner, const void *key, size_t size)
{
    scanner->sketches = size > 0;
    if (size)
        mc_page_hash_secret(scanner->sketch_secret, key, size);
    for (size_t i = 0; i < scanner->slot_count; i++) {
        mc_sketch_clear(&scanner->slots[i].sketch);
        mc_sketch_clear(&scanner->slots[i].last_sketch);
        scanner->slots[i].whole = false; /* half of a pass is no sketch */
    }
}

const struct mc_sketch *mc_scanner_sketch(const struct mc_scanner *scanner, const char *uuid)
{
    for (size_t i = 0; i < scanner->slot_count; i++) {
        const struct slot *slot = &scanner->slots[i];

        if (slot->used && !slot->gone && strcmp(slot->guest.uuid, uuid) == 0)
            return slot->last_sketch.count ? &slot->last_sketch : NULL;
    }
    return NULL;
}

/* ---- guests ---- */

static struct slot *find_slot(struct mc_scanner *scanner, const char *uuid)
{
    for (size_t i = 0; i < scanner->slot_count; i++) {
        struct slot *slot = &scanner->slots[i];

        if (slot->used && !slot->gone && strcmp(slot->guest.uuid, uuid) == 0)
            return slot;
    }
    return NULL;
}

static struct slot *new_slot(struct mc_scanner *scanner)
{
    for (size_t i = 0; i < MC_DEDUPE_GUESTS_MAX; i++) {
        struct slot *slot = &scanner->slots[i];

        if (slot->used)
            continue;
        if (i >= scanner->slot_count)
            scanner->slot_count = i + 1;
        *slot = (struct slot){.used = true};
        mc_scan_guest_init(&slot->guest);
        return slot;
    }
    return NULL;
}

static bool has_same_regions(const struct mc_scan_guest *a, const struct mc_scan_guest *b)
{
    if (a->pid != b->pid || a->region_count != b->region_count)
        return false;
    for (size_t i = 0; i < a->region_count; i++)
        if (a->regions[i].address != b->regions[i].address ||
            a->regions[i].size != b->regions[i].size ||
            (a->regions[i].fd < 0) != (b->regions[i].fd < 0))
            return false;
    return true;
}

/* The cursor leaves the guest for this pass: what it pointed to is not there any more. */
static void leave(struct mc_scanner *scanner, const struct slot *slot)
{
    if (!scanner->running || &scanner->slots[scanner->cursor.slot] != slot)
        return;
    scanner->cursor.next = scanner->cursor.count = 0;
    scanner->cursor.region = MC_SCAN_REGIONS_MAX;
}

int mc_scanner_put(struct mc_scanner *scanner, struct mc_scan_guest *guest)
{
    struct slot *slot = find_slot(scanner, guest->uuid);
    bool same = slot && has_same_regions(&slot->guest, guest);
    bool was_read = slot && mc_slot_is_read(slot);

    if (!slot)
        slot = new_slot(scanner);
    if (!slot) {
        mc_scan_guest_close(guest);
        return -ENOSPC;
    }
    mc_workers_unmap(scanner);
    mc_scan_guest_close(&slot->guest);
    slot->guest = *guest;
    slot->map = (struct mc_pagemap){.fd = guest->pagemap};
    mc_scan_guest_init(guest);
    if (!same || !was_read || !mc_slot_is_read(slot)) {
        leave(scanner, slot);
        slot->whole = false;
        if (!same || !mc_slot_is_read(slot))
            slot->passes = 0;
    }
    if (mc_slot_is_read(slot))
        slot->guest.state = slot->passes ? MC_DEDUPE_SCANNED : MC_DEDUPE_WAITING;
    return 0;
}

void mc_scanner_remove(struct mc_scanner *scanner, const char *uuid)
{
    struct slot *slot = find_slot(scanner, uuid);

    if (!slot)
        return;
    mc_workers_unmap(scanner);
    leave(scanner, slot);
    mc_scan_guest_close(&slot->guest);
    slot->gone = true;
}

/* ---- passes ---- */

/* The table for so much memory. One that is about right stays, as it has its pages already. */
static int fit_table(struct mc_scanner *scanner, uint64_t bytes)
{
    uint64_t room =
        mc_max_u64(bytes / 10000 * scanner->config.table_share, scanner->config.table_least);
    size_t wanted = (size_t)(room / HEAVY_PART * (HEAVY_PART - 1) / sizeof(struct mc_frame));

    if (scanner->shift == 0)
        wanted = (size_t)(room / sizeof(struct mc_frame));
    if (wanted < MC_FRAMES_LEAST)
        wanted = MC_FRAMES_LEAST;
    if (wanted / 4 * 3 <= scanner->frames.size && wanted >= scanner->frames.size / 4 * 3)
        return 0;
    if (wanted < 2 * scanner->frames.used)
        wanted = mc_min_u64(2 * scanner->frames.used, scanner->frames.size);
    if (wanted != scanner->frames.size && mc_frames_resize(&scanner->frames, wanted) < 0)
        return -ENOMEM;
    mc_heavy_free(&scanner->heavy);
    return mc_heavy_init(&scanner->heavy, (size_t)(room / HEAVY_PART));
}

static int begin_pass(struct mc_scanner *scanner)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < scanner->slot_count; i++) {
        struct slot *slot = &scanner->slots[i];

        slot->met = (struct met){0};
        mc_sketch_clear(&slot->sketch);
        slot->whole = mc_slot_is_read(slot);
        if (slot->whole)
            bytes += mc_walk_census(slot);
    }
    scanner->last_shift = scanner->shift;
    /* Twice the sample fits, with room for as much again that is new. */
    if (scanner->shift && scanner->frames.used * 4 < scanner->frames.size)
        scanner->shift--;
    if (fit_table(scanner, bytes) < 0)
        return -ENOMEM;
    if (scanner->shift)
        mc_heavy_clear(&scanner->heavy);
    scanner->calibrating = false;
    scanner->all = bytes;
    scanner->done = 0;
    scanner->cpu_us = 0;
    scanner->compared = scanner->different = 0;
    scanner->began_ms = clock_us(CLOCK_MONOTONIC) / 1000;
    scanner->running = true;
    mc_walk_go_to(scanner, 0);
    return 0;
}

/* What was not seen is forgotten; what was is old from now on. */
static bool age(struct mc_frame *frame, const void *opaque)
{
    const struct mc_scanner *scanner = opaque;
    bool left_over = !frame->seen || !mc_slot_is_read(&scanner->slots[frame->guest]);

    frame->seen = 0;
    frame->fresh = 0;
    return left_over;
}

static void age_frames(struct mc_scanner *scanner)
{
    mc_frames_drop(&scanner->frames, age, scanner);
    for (size_t i = 0; i < scanner->slot_count; i++)
        if (scanner->slots[i].gone)
            scanner->slots[i] = (struct slot){0};
}

static void take_sketches(struct mc_scanner *scanner)
{
    for (size_t i = 0; i < scanner->slot_count; i++)
        if (scanner->sketches && scanner->slots[i].whole)
            scanner->slots[i].last_sketch = scanner->slots[i].sketch;
}

static int finish_pass(struct mc_scanner *scanner)
{
    int rc = 0;

    mc_workers_unmap(scanner);
    scanner->running = false;
    for (size_t i = 0; i < scanner->slot_count; i++)
        scanner->slots[i].passes += scanner->slots[i].whole;
    take_sketches(scanner);
    if (!scanner->calibrating) {
        struct mc_dedupe_report report = {.pass = scanner->report.pass + 1};

        rc = mc_report_make(scanner, &report);
        if (rc == 0) {
            report.took_ms = clock_us(CLOCK_MONOTONIC) / 1000 - scanner->began_ms;
            report.wall_s = (int64_t)time(NULL);
            mc_dedupe_report_free(&scanner->report);
            scanner->report = report;
        } else {
            mc_dedupe_report_free(&report);
        }
    }
    age_frames(scanner);
    return rc < 0 ? rc : !scanner->calibrating;
}

static void fail_guest(struct slot *slot)
{
    struct mc_error err;

    if (slot->failed == -ESRCH)
        mc_error_set(&err, slot->failed, "its process has ended");
    else
        mc_error_set(&err, slot->failed, "its memory cannot be read: %s", strerror(-slot->failed));
    mc_scan_guest_close(&slot->guest);
    slot->guest.state = MC_DEDUPE_FAILED;
    memcpy(slot->guest.why, err.text, sizeof(slot->guest.why));
    slot->guest.why[sizeof(slot->guest.why) - 1] = '\0';
    slot->whole = false;
    slot->passes = 0;
    slot->failed = 0;
}

static void fail_guests(struct mc_scanner *scanner)
{
    for (size_t i = 0; i < scanner->slot_count; i++) {
        if (!scanner->slots[i].failed)
            continue;
        mc_workers_unmap(scanner);
        fail_guest(&scanner->slots[i]);
    }
}

static bool has_work(const struct mc_scanner *scanner)
{
    for (size_t i = 0; i < scanner->slot_count; i++)
        if (mc_slot_is_read(&scanner->slots[i]))
            return true;
    return false;
}

static int go_on(struct mc_scanner *scanner, uint64_t bytes)
{
    int rc = 0;

    if (!scanner->running) {
        if (!has_work(scanner))
            return -EAGAIN;
        rc = begin_pass(scanner);
    }
    if (rc == 0)
        rc = mc_workers_step(scanner, bytes);
    fail_guests(scanner);
    return rc == 1 ? finish_pass(scanner) : rc;
}

int mc_scanner_step(struct mc_scanner *scanner, uint64_t bytes)
{
    uint64_t began = clock_us(CLOCK_THREAD_CPUTIME_ID), spent;
    int rc = go_on(scanner, bytes);

    spent = clock_us(CLOCK_THREAD_CPUTIME_ID) - began + scanner->workers.cpu_us;
    scanner->workers.cpu_us = 0;
    scanner->cpu_us += spent;
    scanner->cpu_all_us += spent;
    if (rc == 1) {
        scanner->report.cpu_ms = scanner->cpu_us / 1000;
        scanner->report.cpu_all_ms = scanner->cpu_all_us / 1000;
    }
    return rc;
}

void mc_scanner_progress(const struct mc_scanner *scanner, uint64_t *met, uint64_t *all)
{
    *met = scanner->running ? scanner->done : 0;
    *all = scanner->all;
}

const struct mc_dedupe_report *mc_scanner_report(const struct mc_scanner *scanner)
{
    return &scanner->report;
}
