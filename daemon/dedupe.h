/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page-dedupe scanner's side in memctld: which guests it may read, where their memory is, and
 * what it found. Off is off: while the mode is off no process runs, and of a guest with dedupe=no
 * neither QEMU is asked nor anything opened.
 */
#ifndef MEMCTLD_DEDUPE_H
#define MEMCTLD_DEDUPE_H

#include <memctl/dedupe.h>
#include <memctl/scan.h>

#include "scanner_process.h"

struct daemon;
struct dedupe;

/* NULL when out of memory. */
struct dedupe *dedupe_new(struct daemon *daemon);
/* End the process; jobs on lanes may still come back. */
void dedupe_stop(struct dedupe *dedupe);
/* After the lanes were freed. */
void dedupe_free(struct dedupe *dedupe);

/* After every snapshot, and when the configuration has changed. */
void dedupe_follow(struct dedupe *dedupe);

/* The last finished pass; pass 0 if there is none. It lasts until the main loop goes on. */
const struct mc_dedupe_report *dedupe_report(const struct dedupe *dedupe);
/* Of that pass; NULL if there is none for this guest. */
const struct mc_sketch *dedupe_sketch(const struct dedupe *dedupe, const char *uuid);
/*
 * dedupe_verb.c: what was found in one guest, and what merging saves, for where guests are listed:
 * null, or its figures in brief. place: where in the report it may be found first.
 */
json_t *dedupe_brief_json(const struct daemon *daemon, const char *uuid, size_t place);
const struct scanner_state *dedupe_scanner(const struct dedupe *dedupe);

#endif
