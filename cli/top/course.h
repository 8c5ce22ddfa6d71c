/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each guest had in the last minutes, as long as top looks on. */
#ifndef MEMCTL_TOP_COURSE_H
#define MEMCTL_TOP_COURSE_H

#include <stddef.h>
#include <stdint.h>

#include <memctl/model.h>

/* Ten minutes at a second each; 6 KiB a guest. */
#define COURSE_LENGTH 512

/* In MiB; UINT32_MAX if not known. */
struct sample {
    uint32_t actual, used, target;
};

#define SAMPLE_UNKNOWN ((struct sample){UINT32_MAX, UINT32_MAX, UINT32_MAX})

/* From bytes, MC_UNKNOWN if not known. */
struct sample sample_of(uint64_t actual, uint64_t used, uint64_t target);

struct course_guest {
    char uuid[MC_UUID_TEXT];
    uint64_t seen; /* the round in which it was seen last */
    size_t count;  /* of all samples ever taken of it */
    struct sample samples[COURSE_LENGTH];
};

/* Start from {0}. */
struct course {
    uint64_t round;
    struct course_guest **guests; /* sorted by UUID */
    size_t count, room;
};

/* One look at all guests: begin, add each of them, end. Who was not added is forgotten. */
void course_begin(struct course *course);
/* Sizes in bytes, MC_UNKNOWN. Returns 0 or -ENOMEM. */
int course_add(struct course *course, const char *uuid, uint64_t actual, uint64_t used,
               uint64_t target);
void course_end(struct course *course);
void course_free(struct course *course);

/* The guest's sample so many before the last one; NULL where there is none (any more). */
const struct sample *course_back(const struct course *course, const char *uuid, size_t back);

#endif
