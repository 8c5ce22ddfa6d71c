/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steering of the kernel's page merging, on memctld's side: what is seen of KSM and of the
 * guests is given to the library (memctl/steer.h), and what that decides is carried out. All of it
 * off the main loop: a QEMU may hang, and the kernel may take its time.
 *
 *   steer.c          the round: the decision, what is told of it, and the end
 *   steer_watch.c    what is known: guests, KSM, and who else is mergeable
 *   steer_orders.c   one order at a time
 *   steer_jobs.c     looking and switching, on lanes
 *   steer_record.c   what was changed, and how it was before, in a file
 *   steer_restore.c  putting it back
 *   steer_verb.c     what is told of it
 *
 * Nothing is touched unless the mode is merge; in a dry run it is decided and shown.
 */
#ifndef MEMCTLD_STEER_H
#define MEMCTLD_STEER_H

#include <event2/event.h>
#include <jansson.h>

#include <memctl/steer.h>

#include "steer_record.h"

struct daemon;
struct lanes;
struct steer;

/* Where KSM's knobs are: MC_KSM_FOLDER, or what the environment says in MEMCTL_KSM for tests. */
const char *steer_ksm_folder(void);

/* NULL when out of memory. Takes over what an earlier memctld has left in the record. */
struct steer *steer_new(struct daemon *daemon);
/* Begin nothing more; jobs on lanes may still come back. */
void steer_stop(struct steer *steer);
/* After the lanes were freed. */
void steer_free(struct steer *steer);

/* After every snapshot, and when the configuration has changed. */
void steer_follow(struct steer *steer);

/* While the lanes still run: put everything back that was changed, within a bounded time. */
void steer_put_back(struct steer *steer);

/* The last decision; guests are in no order. Lasts until the main loop goes on. */
const struct mc_steer_plan *steer_plan(const struct steer *steer);
const struct mc_steer_guest *steer_guests(const struct steer *steer, size_t *count);
const struct mc_steer_guest *steer_find(const struct steer *steer, const char *uuid);
/* Seconds of processor time that ksmd has had since the host's boot, negative if that is unknown.
 */
double steer_ksmd_seconds(const struct steer *steer);
json_t *steer_json(const struct daemon *daemon);
/* Of one guest; null when nothing is steered. */
json_t *steer_guest_json(const struct daemon *daemon, const char *uuid);

/* When it is done, whatever came of it; the record says. */
typedef void steer_restored(void *opaque);

/*
 * steer_restore.c: put back what the record says, on lanes. What cannot be put back now stays in
 * the record and its file. Returns how many guests and knobs that are. To be called outside of the
 * loop.
 */
size_t steer_restore(struct event_base *base, struct lanes *lanes, struct steer_record *record,
                     uint64_t within_ms);
/* The same on the main loop, which goes on; the record must last until then. */
void steer_restore_later(struct lanes *lanes, struct steer_record *record, steer_restored *done,
                         void *opaque);
/* memctld --restore-ksm: the exit code. */
int steer_restore_main(const char *connect, const char *socket);
/* The record's file beside the control socket. */
void steer_record_file(char file[4096], const char *socket);

#endif
