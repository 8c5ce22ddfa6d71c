/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Room before start: is there memory for another guest, and can it be made? Whoever asks adds what
 * the guest needs to snapshot.pledged, and judges the plan of a pass that has seen it.
 */
#ifndef MEMCTL_ADMISSION_H
#define MEMCTL_ADMISSION_H

#include <memctl/model.h>
#include <memctl/visibility.h>

enum mc_admission {
    MC_ADMISSION_FITS,       /* there is room now */
    MC_ADMISSION_CAN_FIT,    /* there will be, when the others have given what they can */
    MC_ADMISSION_CANNOT_FIT, /* not without harm to one of them */
};

/*
 * Is there room for the first `pledged` bytes of the pledges? Pledges are served in the order in
 * which they were made, so that is the sum of all up to the one in question.
 */
MC_PUBLIC enum mc_admission mc_admission_judge(const struct mc_plan *plan, uint64_t pledged);

/* What QEMU itself will take for one more guest, bytes: the mean of those that run. */
MC_PUBLIC uint64_t mc_admission_overhead(const struct mc_snapshot *snapshot);

#endif
