/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "dedupe/scanner.h"
#include "dedupe/tally.h"

static const uint8_t zeros[MC_PAGE];

/* ---- reading ---- */

/* May be left in the middle when a page is not there any more. */
static void hash_pages(void *opaque)
{
    struct worker *worker = opaque;
    const struct mc_scanner *scanner = worker->scanner;

    for (; worker->next < worker->batch.count; worker->next++) {
        const uint8_t *page = worker->batch.pages[worker->next];

        uint64_t hash;

        if (!page)
            continue;
        hash = scanner->hash(page, scanner->secret);
        worker->hashes[worker->next] = hash;
        /* Zeros as well are hashed first: that is as fast as memory, and fetches ahead. */
        worker->zero[worker->next] =
            hash == scanner->zero_hash && memcmp(page, zeros, MC_PAGE) == 0;
        if (scanner->sketches && !worker->zero[worker->next])
            worker->sketch_hashes[worker->next] = scanner->hash(page, scanner->sketch_secret);
    }
}

/* Frames that the batch will want, before the lock is taken for them. */
static void prefetch_frames(const struct worker *worker)
{
    for (size_t i = 0; i < worker->batch.count; i++)
        if (worker->batch.pages[i] && !worker->zero[i])
            mc_frames_prefetch(&worker->scanner->frames, worker->hashes[i]);
}

static int read_pages(struct worker *worker)
{
    struct mc_reader *reader = &worker->reader;

    if (worker->region->fd >= 0)
        return mc_read_shared(reader, &reader->own, worker->region, &worker->batch, reader->copies);
    return mc_read_private(worker->slot->guest.pid, &worker->batch, reader->copies);
}

int mc_match_read(struct worker *worker)
{
    int rc = mc_walk_settle(worker);

    if (rc == 0 && worker->batch.count)
        rc = read_pages(worker);
    worker->next = 0;
    while (rc == 0 && mc_reader_try(hash_pages, worker) < 0)
        worker->batch.pages[worker->next++] = NULL;
    if (rc == 0)
        prefetch_frames(worker);
    return rc;
}

void mc_match_release(struct worker *worker)
{
    if (worker->region->fd >= 0)
        mc_reader_release(&worker->reader.own, &worker->batch);
}

/* ---- the table ---- */

/* Is a content that has no frame yet known to be new, because it would have one? */
static bool is_fresh(const struct mc_scanner *scanner, const struct slot *slot, uint64_t hash)
{
    return slot->passes > 0 && mc_tally_samples(hash, scanner->last_shift) &&
           mc_tally_samples(hash, scanner->shift);
}

/* A content outside of the sample gets a frame when it was met often. */
static void watch_heavy(struct mc_scanner *scanner, const struct worker *worker, size_t i,
                        const struct mc_frame_match *match)
{
    uint64_t hash = worker->hashes[i], count = mc_heavy_see(&scanner->heavy, hash);
    struct mc_frame *frame;

    if (count < PROMOTE_AT)
        return;
    mc_heavy_forget(&scanner->heavy, hash);
    frame = mc_frames_add(&scanner->frames, match, hash, (unsigned)(worker->slot - scanner->slots),
                          worker->batch.numbers[i]);
    if (!frame)
        return;
    frame->fresh = 0;
    frame->count = count & MC_FRAME_COUNT_MAX;
}

static void suspect(struct worker *worker, size_t i, const struct mc_frame *other, bool inside)
{
    worker->suspects[worker->suspect_count++] = (struct suspect){
        .index = i, .guest = other->guest, .page = (uint32_t)other->page, .inside = inside};
}

/* Once more in this pass: what was found to be a copy is one as long as the content lasts. */
static void note_copy(struct mc_scanner *scanner, struct worker *worker, size_t i,
                      struct mc_frame *own)
{
    if (own->copied || !scanner->config.compare)
        own->count++; /* not full: then another frame goes on */
    else
        suspect(worker, i, own, true);
}

static void note_peer(struct mc_scanner *scanner, struct worker *worker, size_t i,
                      struct mc_frame *own, struct mc_frame *peer)
{
    if (scanner->config.compare) {
        suspect(worker, i, peer, false);
        return;
    }
    own->proven = 1;
    peer->proven = 1;
}

static void note_page(struct mc_scanner *scanner, struct worker *worker, size_t i)
{
    unsigned guest = (unsigned)(worker->slot - scanner->slots);
    uint64_t hash = worker->hashes[i];
    struct mc_frame_match match = mc_frames_find(&scanner->frames, hash, guest);
    struct mc_frame *own = match.own;

    if (!own && !match.peer && !mc_tally_samples(hash, scanner->shift)) {
        watch_heavy(scanner, worker, i, &match);
        return;
    }
    if (own && own->seen) {
        note_copy(scanner, worker, i, own);
        return;
    }
    if (own) {
        own->seen = 1;
        own->count = 1;
        own->page = worker->batch.numbers[i];
        if (match.peer && !own->proven)
            note_peer(scanner, worker, i, own, match.peer);
        return;
    }
    /* The others of this hash stand before it, and do not move. */
    own = mc_frames_add(&scanner->frames, &match, hash, guest, worker->batch.numbers[i]);
    if (!own)
        return;
    own->fresh = match.full ? match.full->fresh : is_fresh(scanner, worker->slot, hash);
    own->proven = match.full ? match.full->proven : 0;
    own->copied = match.full ? match.full->copied : 0;
    if (match.peer && !own->proven)
        note_peer(scanner, worker, i, own, match.peer);
}

static void add_met(struct met *met, const struct met *more)
{
    met->present += more->present;
    met->merged += more->merged;
    met->swapped += more->swapped;
    met->huge += more->huge;
}

static void note_pages(struct mc_scanner *scanner, struct worker *worker)
{
    const struct mc_batch *batch = &worker->batch;

    for (size_t i = 0; i < batch->count; i++) {
        if (!batch->pages[i])
            continue;
        if (worker->zero[i]) {
            worker->slot->met.zero++;
            continue;
        }
        worker->slot->met.nonzero++;
        note_page(scanner, worker, i);
        if (scanner->sketches)
            mc_sketch_add(&worker->slot->sketch, worker->sketch_hashes[i]);
    }
}

/* ---- room ---- */

/* Beyond this the sample is next to nothing: then it is the frequent contents that fill the table.
 */
#define SHIFT_ALL 24

static bool is_outside_sample(struct mc_frame *frame, const void *opaque)
{
    const struct mc_scanner *scanner = opaque;

    bool often = frame->count >= PROMOTE_AT && scanner->shift < SHIFT_ALL;

    return (!often && !mc_tally_samples(frame->hash, scanner->shift)) ||
           !mc_slot_is_read(&scanner->slots[frame->guest]);
}

static void make_room(struct mc_scanner *scanner)
{
    while (mc_frames_full(&scanner->frames)) {
        scanner->shift++;
        scanner->calibrating = true;
        mc_frames_drop(&scanner->frames, is_outside_sample, scanner);
    }
}

void mc_match_note(struct mc_scanner *scanner, struct worker *worker)
{
    worker->suspect_count = 0;
    add_met(&worker->slot->met, &worker->met);
    note_pages(scanner, worker);
    make_room(scanner);
}
