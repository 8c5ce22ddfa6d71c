/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rounds over all guests, by one of two methods. Idle page tracking comes first: what it says has
 * bounds that are known, and it is at nobody's expense. It needs CAP_SYS_ADMIN, without which the
 * kernel does not tell where a page is; DAMON needs no more than its files in sysfs.
 */
#include <memctl/sample.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "estimate/sampled.h"
#include "sample/damon.h"
#include "sample/page_idle.h"

/* DAMON's places are made in such steps, since the others begin anew each time. */
#define PLACES_STEP 8

/* What DAMON says is no random sample: nobody has bounds for it. */
#define DAMON_SURE 75

/* What is known of a guest from one round to the next. */
struct known {
    char uuid[MC_UUID_TEXT];
    int run_id;
    pid_t pid;
    bool wanted;    /* in this round */
    bool under_way; /* it was begun */
    struct mc_course course;
    struct mc_idle_pages pages;
    unsigned place; /* DAMON's, from 1 on; 0: none */
    unsigned learned;
    struct mc_damon_count count;
};

struct method {
    const char *name;
    int (*open)(struct mc_sampler *sampler, const char *root);
    void (*close)(struct mc_sampler *sampler);
    int (*begin)(struct mc_sampler *sampler, struct known *known,
                 const struct mc_sample_subject *subject);
    /* True if there is something new in the subject's result. */
    bool (*look)(struct mc_sampler *sampler, struct known *known,
                 struct mc_sample_subject *subject);
    void (*forget)(struct mc_sampler *sampler, struct known *known);
};

struct mc_sampler {
    const struct method *method;
    struct mc_page_idle idle;
    struct mc_damon damon;
    uint64_t window_ms;
    struct known *known;
    size_t count;
};

/* ---- idle page tracking ---- */

/* Whether the kernel says where pages are can be seen with one of our own. */
static int idle_open(struct mc_sampler *sampler, const char *root)
{
    static _Alignas(MC_PAGE) volatile char own[MC_PAGE];
    const struct mc_ram ram = {.address = (uintptr_t)own, .size = sizeof(own)};
    struct mc_idle_pages pages;
    unsigned looked, touched;
    int rc =
        mc_page_idle_open(&sampler->idle, root, (uint64_t)time(NULL) << 32 ^ (uint64_t)getpid());

    if (rc < 0)
        return rc;
    own[0] = 1;
    if (mc_page_idle_mark(&sampler->idle, getpid(), &ram, 1, &pages) == -EPERM) {
        mc_page_idle_close(&sampler->idle);
        return -EPERM;
    }
    mc_page_idle_look(&sampler->idle, &pages, &looked, &touched);
    return 0;
}

static void idle_close(struct mc_sampler *sampler)
{
    mc_page_idle_close(&sampler->idle);
}

static int idle_begin(struct mc_sampler *sampler, struct known *known,
                      const struct mc_sample_subject *subject)
{
    return mc_page_idle_mark(&sampler->idle, subject->pid, subject->ram, subject->ram_count,
                             &known->pages);
}

static uint64_t part_of(uint64_t bytes, double part)
{
    return (uint64_t)((double)bytes * part);
}

static bool idle_look(struct mc_sampler *sampler, struct known *known,
                      struct mc_sample_subject *subject)
{
    struct mc_part part;
    unsigned looked, touched;

    mc_page_idle_look(&sampler->idle, &known->pages, &looked, &touched);
    if (looked == 0)
        return false;
    part = mc_course_add(&known->course, touched, looked);
    subject->result.active = part_of(subject->resident, part.guess);
    subject->result.least = part_of(subject->resident, part.least);
    subject->result.most = part_of(subject->resident, part.most);
    subject->result.confidence = MC_PART_SURE;
    subject->result.pages = mc_course_looked(&known->course);
    return true;
}

static void idle_forget(struct mc_sampler *sampler, struct known *known)
{
    unsigned looked, touched;

    mc_page_idle_look(&sampler->idle, &known->pages, &looked, &touched);
}

/* ---- DAMON ---- */

static int damon_open(struct mc_sampler *sampler, const char *root)
{
    return mc_damon_open(&sampler->damon, root, sampler->window_ms);
}

static void damon_close(struct mc_sampler *sampler)
{
    mc_damon_close(&sampler->damon);
}

static unsigned free_place(const struct mc_sampler *sampler)
{
    for (unsigned place = 1; place <= sampler->damon.places; place++) {
        bool taken = false;

        for (size_t i = 0; i < sampler->count; i++)
            taken |= sampler->known[i].place == place;
        if (!taken)
            return place;
    }
    return 0;
}

/* All begin anew. */
static int more_places(struct mc_sampler *sampler)
{
    int rc = mc_damon_make_places(&sampler->damon, sampler->damon.places + PLACES_STEP);

    for (size_t i = 0; i < sampler->count; i++)
        sampler->known[i].place = 0;
    return rc;
}

static int damon_begin(struct mc_sampler *sampler, struct known *known,
                       const struct mc_sample_subject *subject)
{
    unsigned place = known->place;
    int rc;

    if (place)
        return 0; /* it goes on by itself */
    place = free_place(sampler);
    if (!place) {
        rc = more_places(sampler);
        if (rc < 0)
            return rc;
        place = free_place(sampler);
    }
    rc = mc_damon_begin(&sampler->damon, place - 1, subject->pid, subject->ram, subject->ram_count);
    if (rc < 0)
        return rc;
    known->place = place;
    known->learned = 0;
    known->count = (struct mc_damon_count){0};
    return 0;
}

static void damon_forget(struct mc_sampler *sampler, struct known *known)
{
    if (known->place)
        mc_damon_end(&sampler->damon, known->place - 1);
    known->place = 0;
}

/* The counts grow by the bytes of the regions in every aggregation. */
static bool damon_look(struct mc_sampler *sampler, struct known *known,
                       struct mc_sample_subject *subject)
{
    struct mc_damon_count count, was = known->count;
    uint64_t size = 0, passed;

    if (!known->place)
        return false;
    if (mc_damon_count(&sampler->damon, known->place - 1, &count) < 0) {
        damon_forget(sampler, known);
        return false;
    }
    passed = mc_less_u64(count.all, was.all);
    if (passed == 0)
        return false; /* not a whole aggregation yet */
    known->count = count;
    for (unsigned i = 0; i < subject->ram_count; i++)
        size += subject->ram[i].size;
    subject->result.least =
        part_of(size, (double)mc_less_u64(count.busy, was.busy) / (double)passed);
    subject->result.most =
        part_of(size, (double)mc_less_u64(count.touched, was.touched) / (double)passed);
    subject->result.most = mc_min_u64(subject->result.most, subject->resident);
    subject->result.least = mc_min_u64(subject->result.least, subject->result.most);
    subject->result.active = subject->result.most;
    known->learned += known->learned < MC_DAMON_LEARNS;
    subject->result.confidence = known->learned < MC_DAMON_LEARNS ? DAMON_SURE / 2 : DAMON_SURE;
    subject->result.pages = 0;
    return true;
}

/* ---- both ---- */

static const struct method methods[] = {
    {"idle-page", idle_open, idle_close, idle_begin, idle_look, idle_forget},
    {"damon", damon_open, damon_close, damon_begin, damon_look, damon_forget},
};

static const char *why(int rc)
{
    switch (-rc) {
    case ENOENT:
        return "this kernel does not have it";
    case EOPNOTSUPP:
        return "this kernel cannot look at processes with it";
    case EPERM:
    case EACCES:
        return "CAP_SYS_ADMIN is missing";
    case EROFS:
        return "/sys is read-only for this process";
    case EBUSY:
        return "somebody else uses it";
    default:
        return strerror(-rc);
    }
}

int mc_sampler_open(const char *root, const char *method, uint64_t window_ms,
                    struct mc_sampler **opened, struct mc_error *err)
{
    struct mc_sampler *sampler = calloc(1, sizeof(*sampler));
    struct mc_error said = {0};
    int rc = -ENOENT;

    if (!sampler)
        return mc_error_set(err, -ENOMEM, "out of memory");
    sampler->window_ms = window_ms;
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        struct mc_error before = said;

        if (method && strcmp(method, methods[i].name) != 0)
            continue;
        rc = methods[i].open(sampler, root);
        if (rc == 0) {
            sampler->method = &methods[i];
            *opened = sampler;
            return 0;
        }
        mc_error_set(&said, rc, "%.200s%s%s: %s", before.text, *before.text ? "; " : "",
                     methods[i].name, why(rc));
    }
    free(sampler);
    return mc_error_set(err, rc, "%s", said.text);
}

void mc_sampler_close(struct mc_sampler *sampler)
{
    if (!sampler)
        return;
    for (size_t i = 0; i < sampler->count; i++)
        sampler->method->forget(sampler, &sampler->known[i]);
    sampler->method->close(sampler);
    free(sampler->known);
    free(sampler);
}

const char *mc_sampler_method(const struct mc_sampler *sampler)
{
    return sampler->method->name;
}

static struct known *find(struct mc_sampler *sampler, const struct mc_sample_subject *subject)
{
    for (size_t i = 0; i < sampler->count; i++)
        if (sampler->known[i].run_id == subject->run_id && sampler->known[i].pid == subject->pid &&
            strcmp(sampler->known[i].uuid, subject->uuid) == 0)
            return &sampler->known[i];
    return NULL;
}

static void drop_others(struct mc_sampler *sampler, const struct mc_sample_subject *subjects,
                        size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < sampler->count; i++)
        sampler->known[i].wanted = false;
    for (size_t i = 0; i < count; i++) {
        struct known *known = find(sampler, &subjects[i]);

        if (known)
            known->wanted = true;
    }
    for (size_t i = 0; i < sampler->count; i++) {
        if (sampler->known[i].wanted)
            sampler->known[kept++] = sampler->known[i];
        else
            sampler->method->forget(sampler, &sampler->known[i]);
    }
    sampler->count = kept;
}

static struct known *add(struct mc_sampler *sampler, const struct mc_sample_subject *subject)
{
    struct known *known = reallocarray(sampler->known, sampler->count + 1, sizeof(*known));

    if (!known)
        return NULL;
    sampler->known = known;
    known += sampler->count++;
    *known = (struct known){.run_id = subject->run_id, .pid = subject->pid};
    known->pages.pagemap = -1;
    memcpy(known->uuid, subject->uuid, sizeof(known->uuid));
    return known;
}

int mc_sampler_begin(struct mc_sampler *sampler, const struct mc_sample_subject *subjects,
                     size_t count, struct mc_error *err)
{
    drop_others(sampler, subjects, count);
    for (size_t i = 0; i < count; i++) {
        struct known *known = find(sampler, &subjects[i]);

        if (!known && !(known = add(sampler, &subjects[i])))
            return mc_error_set(err, -ENOMEM, "out of memory for %zu guests", count);
        known->under_way = sampler->method->begin(sampler, known, &subjects[i]) == 0;
    }
    return 0;
}

void mc_sampler_look(struct mc_sampler *sampler, struct mc_sample_subject *subjects, size_t count,
                     uint64_t now_ms)
{
    for (size_t i = 0; i < count; i++) {
        struct known *known = find(sampler, &subjects[i]);

        if (!known || !known->under_way || !sampler->method->look(sampler, known, &subjects[i]))
            continue;
        subjects[i].result.found_ms = now_ms;
        subjects[i].result.window_ms = sampler->window_ms;
        strcpy(subjects[i].result.method, sampler->method->name);
    }
}
