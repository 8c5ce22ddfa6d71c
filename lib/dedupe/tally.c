/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dedupe/tally.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <memctl/units.h>

/* Roots of the variance to either side that hold the truth 19 times of 20. */
#define SIGMAS 1.96

/* What a group of contents adds up to, in pages. */
struct sums {
    double pages, inside, across, changing, unique, saving;
};

/* For the variance of the saving, over contents of the sample. */
struct squares {
    double xx, xy, yy;
};

struct part {
    struct sums heavy, light;
    struct squares squares;
};

/* One guest's part of a content. */
struct holder {
    unsigned guest;
    uint64_t count;
    bool fresh, proven;
};

struct tally {
    const struct mc_tally_input *input;
    struct part *guests, *domains;
    uint32_t *heavy_pairs, *light_pairs; /* triangles, by pair_index() */
    struct holder *holders;
    int *holder_of;      /* by guest; -1 outside of collect() */
    uint32_t *in_domain; /* by domain; 0 outside of add_content() */
    uint64_t *of_domain; /* pages, likewise */
};

static size_t pair_index(size_t a, size_t b)
{
    return a < b ? b * (b - 1) / 2 + a : a * (a - 1) / 2 + b;
}

static void release(struct tally *tally)
{
    free(tally->guests);
    free(tally->domains);
    free(tally->heavy_pairs);
    free(tally->light_pairs);
    free(tally->holders);
    free(tally->holder_of);
    free(tally->in_domain);
    free(tally->of_domain);
}

static int prepare(struct tally *tally, const struct mc_tally_input *input)
{
    size_t guests = input->guest_count + 1, domains = input->domain_count + 1;
    size_t pairs = guests * guests / 2;

    *tally = (struct tally){
        .input = input,
        .guests = calloc(guests, sizeof(*tally->guests)),
        .domains = calloc(domains, sizeof(*tally->domains)),
        .heavy_pairs = calloc(pairs, sizeof(*tally->heavy_pairs)),
        .light_pairs = calloc(pairs, sizeof(*tally->light_pairs)),
        .holders = calloc(guests, sizeof(*tally->holders)),
        .holder_of = calloc(guests, sizeof(*tally->holder_of)),
        .in_domain = calloc(domains, sizeof(*tally->in_domain)),
        .of_domain = calloc(domains, sizeof(*tally->of_domain)),
    };
    if (!tally->guests || !tally->domains || !tally->heavy_pairs || !tally->light_pairs ||
        !tally->holders || !tally->holder_of || !tally->in_domain || !tally->of_domain)
        return -ENOMEM;
    for (size_t i = 0; i < guests; i++)
        tally->holder_of[i] = -1;
    return 0;
}

/* Frames of a guest that belong together become one holder; those of the last pass are left out. */
static size_t collect(struct tally *tally, const struct mc_frame *chain, size_t chained,
                      uint64_t *pages)
{
    size_t count = 0;

    *pages = 0;
    for (size_t i = 0; i < chained; i++) {
        const struct mc_frame *frame = &chain[i];
        struct holder *holder;

        if (!frame->seen || frame->guest >= tally->input->guest_count ||
            !tally->input->guests[frame->guest].counts)
            continue;
        if (tally->holder_of[frame->guest] < 0) {
            tally->holder_of[frame->guest] = (int)count;
            tally->holders[count++] = (struct holder){.guest = frame->guest, .proven = true};
        }
        holder = &tally->holders[tally->holder_of[frame->guest]];
        holder->count += frame->count;
        holder->fresh |= frame->fresh;
        holder->proven &= frame->proven;
        *pages += frame->count;
    }
    for (size_t i = 0; i < count; i++)
        tally->holder_of[tally->holders[i].guest] = -1;
    return count;
}

static bool is_shared(const struct holder *holder)
{
    return holder->proven && !holder->fresh;
}

static void add_to_guest(struct tally *tally, const struct holder *holder, size_t sharers,
                         bool heavy)
{
    struct part *part = &tally->guests[holder->guest];
    struct sums *sums = heavy ? &part->heavy : &part->light;
    double in_domain = tally->in_domain[tally->input->guests[holder->guest].domain];
    double x = (double)holder->count, y = 0;

    sums->pages += x;
    if (holder->fresh) {
        sums->changing += x;
    } else {
        bool across = is_shared(holder) && sharers > 1;

        y = x - 1 + (across && in_domain > 1 ? (in_domain - 1) / in_domain : 0);
        sums->inside += x - 1;
        sums->across += across;
        sums->unique += !across;
        sums->saving += y;
    }
    if (!heavy) {
        part->squares.xx += x * x;
        part->squares.xy += x * y;
        part->squares.yy += y * y;
    }
}

/* Once for each domain: the first of its holders takes it, and clears what was noted of it. */
static void add_to_domain(struct tally *tally, unsigned domain, bool heavy)
{
    struct part *part = &tally->domains[domain];
    struct sums *sums = heavy ? &part->heavy : &part->light;
    double x = (double)tally->of_domain[domain];
    double y = tally->in_domain[domain] ? x - 1 : 0;

    sums->pages += x;
    sums->saving += y;
    if (!heavy) {
        part->squares.xx += x * x;
        part->squares.xy += x * y;
        part->squares.yy += y * y;
    }
    tally->of_domain[domain] = 0;
    tally->in_domain[domain] = 0;
}

static void add_pairs(struct tally *tally, size_t count, bool heavy)
{
    uint32_t *pairs = heavy ? tally->heavy_pairs : tally->light_pairs;

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; is_shared(&tally->holders[i]) && j < i; j++)
            if (is_shared(&tally->holders[j]))
                pairs[pair_index(tally->holders[i].guest, tally->holders[j].guest)]++;
}

/*
 * A holder that is not proven shares with nobody: for its domain its pages beyond the first are
 * saved all the same, so they are added as a content of their own.
 */
static void add_content(struct tally *tally, size_t count, bool heavy)
{
    size_t sharers = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned domain = tally->input->guests[tally->holders[i].guest].domain;

        if (!is_shared(&tally->holders[i]))
            continue;
        sharers++;
        tally->in_domain[domain]++;
        tally->of_domain[domain] += tally->holders[i].count;
    }
    for (size_t i = 0; i < count; i++) /* NOLINT(clang-analyzer-unix.Malloc): release() frees it */
        add_to_guest(tally, &tally->holders[i], sharers, heavy);
    add_pairs(tally, count, heavy);
    for (size_t i = 0; i < count; i++) {
        unsigned domain = tally->input->guests[tally->holders[i].guest].domain;

        if (tally->of_domain[domain])
            add_to_domain(tally, domain, heavy);
    }
    for (size_t i = 0; i < count; i++) {
        unsigned domain = tally->input->guests[tally->holders[i].guest].domain;

        if (is_shared(&tally->holders[i]))
            continue;
        tally->of_domain[domain] = tally->holders[i].count;
        tally->in_domain[domain] = !tally->holders[i].fresh;
        add_to_domain(tally, domain, heavy);
    }
}

/* A page whose content is nowhere else: it saves nothing, so most of the sums stay as they are. */
static void add_single(struct part *part, bool fresh, bool sampled)
{
    struct sums *sums = sampled ? &part->light : &part->heavy;

    sums->pages++;
    sums->changing += fresh;
    sums->unique += !fresh;
    part->squares.xx += sampled;
}

/* Most contents are a page of one guest: then there is no need to collect who holds them. */
static bool is_single(const struct tally *tally, const struct mc_frame *frame)
{
    const struct mc_tally_input *input = tally->input;

    return frame->count == 1 && frame->seen && frame->guest < input->guest_count &&
           input->guests[frame->guest].counts && input->heavy > 1 &&
           mc_tally_samples(frame->hash, input->shift);
}

static void walk(struct tally *tally)
{
    const struct mc_tally_input *input = tally->input;
    size_t chained;

    for (size_t slot = 0; slot < input->frames->size; slot += chained ? chained : 1) {
        const struct mc_frame *chain = &input->frames->slots[slot];
        size_t count;
        uint64_t pages;
        bool heavy;

        chained = mc_frames_chain(input->frames, slot);
        if (chained == 1 && is_single(tally, chain)) {
            add_single(&tally->guests[chain->guest], chain->fresh, input->shift > 0);
            add_single(&tally->domains[input->guests[chain->guest].domain], chain->fresh,
                       input->shift > 0);
            continue;
        }
        count = collect(tally, chain, chained, &pages);
        heavy = !input->shift || pages >= input->heavy;
        if (count && (heavy || mc_tally_samples(chain->hash, input->shift)))
            add_content(tally, count, heavy);
    }
}

/* ---- from sums to figures ---- */

static uint64_t bytes(double pages)
{
    return pages > 0 ? (uint64_t)llround(pages) * MC_PAGE : 0;
}

/* What one page in the sample stands for. */
static double weight_of(const struct part *part, uint64_t nonzero)
{
    double light = (double)nonzero - part->heavy.pages;

    return part->light.pages > 0 && light > 0 ? light / part->light.pages : 0;
}

static uint64_t error_of(const struct part *part, unsigned shift)
{
    double p = ldexp(1, -(int)shift), ratio, rest;

    if (!shift || part->light.pages <= 0)
        return 0;
    ratio = part->light.saving / part->light.pages;
    rest = part->squares.yy - 2 * ratio * part->squares.xy + ratio * ratio * part->squares.xx;
    return bytes(ceil(SIGMAS * sqrt((1 - p) * (rest > 0 ? rest : 0)) / p));
}

/* Pages that have no frame any more (they changed under the scan) are changing; so the parts of
 * what was read are the whole. */
static void finish_guest(const struct tally *tally, size_t index, struct mc_dedupe_figures *figures)
{
    const struct part *part = &tally->guests[index];
    uint64_t nonzero = tally->input->guests[index].nonzero;
    double weight = weight_of(part, nonzero);
    uint64_t whole = nonzero * MC_PAGE;

    figures->inside = bytes(part->heavy.inside + weight * part->light.inside);
    figures->across = bytes(part->heavy.across + weight * part->light.across);
    figures->unique = bytes(part->heavy.unique + weight * part->light.unique);
    figures->inside = mc_min_u64(figures->inside, whole);
    figures->across = mc_min_u64(figures->across, whole - figures->inside);
    figures->unique = mc_min_u64(figures->unique, whole - figures->inside - figures->across);
    figures->changing = whole - figures->inside - figures->across - figures->unique;
    figures->saving = bytes(part->heavy.saving + weight * part->light.saving);
    figures->error = error_of(part, tally->input->shift);
}

static void finish_domain(const struct tally *tally, size_t index, struct mc_dedupe_domain *domain)
{
    const struct part *part = &tally->domains[index];
    uint64_t nonzero = 0;

    for (size_t i = 0; i < tally->input->guest_count; i++)
        if (tally->input->guests[i].counts && tally->input->guests[i].domain == index)
            nonzero += tally->input->guests[i].nonzero;
    domain->saving = bytes(part->heavy.saving + weight_of(part, nonzero) * part->light.saving);
    domain->error = error_of(part, tally->input->shift);
}

static int more_shared(const void *a, const void *b)
{
    const struct mc_dedupe_pair *one = a, *two = b;

    if (one->shared != two->shared)
        return one->shared < two->shared ? 1 : -1;
    return one->a != two->a ? (one->a > two->a) - (one->a < two->a)
                            : (one->b > two->b) - (one->b < two->b);
}

static int finish_pairs(const struct tally *tally, struct mc_tally_output *output)
{
    size_t guests = tally->input->guest_count, count = 0;
    double p = ldexp(1, -(int)tally->input->shift);

    for (size_t i = 0; guests && i < guests * (guests - 1) / 2; i++)
        count += tally->heavy_pairs[i] || tally->light_pairs[i];
    output->pair_count = 0;
    output->pairs = calloc(count + 1, sizeof(*output->pairs));
    if (!output->pairs)
        return -ENOMEM;
    for (size_t b = 1; b < guests; b++) {
        for (size_t a = 0; a < b; a++) {
            double heavy = tally->heavy_pairs[pair_index(a, b)];
            double light = tally->light_pairs[pair_index(a, b)];

            if (heavy + light > 0)
                output->pairs[output->pair_count++] = (struct mc_dedupe_pair){
                    .a = (uint32_t)a,
                    .b = (uint32_t)b,
                    .shared = bytes(heavy + light / p),
                    .error = bytes(ceil(SIGMAS * sqrt(light * (1 - p)) / p)),
                };
        }
    }
    qsort(output->pairs, output->pair_count, sizeof(*output->pairs), more_shared);
    return 0;
}

int mc_tally(const struct mc_tally_input *input, struct mc_tally_output *output)
{
    struct tally tally;
    int rc = prepare(&tally, input);

    if (rc == 0) {
        walk(&tally);
        for (size_t i = 0; i < input->guest_count; i++)
            finish_guest(&tally, i, &output->guests[i]);
        for (size_t i = 0; i < input->domain_count; i++)
            finish_domain(&tally, i, &output->domains[i]);
        rc = finish_pairs(&tally, output);
    }
    release(&tally);
    return rc;
}
