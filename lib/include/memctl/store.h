/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The history's file: SQLite in WAL mode, see docs/store.md. A store belongs to one thread at a
 * time. Everything here may wait for the disk.
 *
 * Errors, beside -ENOMEM: -ENOSPC disk or size is full, -EBUSY another process holds a lock,
 * -EBADMSG the file is damaged or no database, -EROFS, -EACCES, -ENOENT, -EPROTO the file is of a
 * newer memctl or of another program, -EIO anything else; each with a sentence.
 */
#ifndef MEMCTL_STORE_H
#define MEMCTL_STORE_H

#include <jansson.h>

#include <memctl/history.h>

struct mc_store_config {
    uint64_t keep_ms[MC_TIER_COUNT];
    uint64_t size_max; /* of the file, bytes; beyond that the oldest goes before its time */
};

/* A day, 31 days, 731 days; 1 GiB. */
MC_PUBLIC struct mc_store_config mc_store_config_default(void);

/* No smaller size makes sense. */
#define MC_STORE_SIZE_LEAST (4 * MC_MIB)

struct mc_store;

/* Open the file to write, make it if need be, bring an older one up to date. */
MC_PUBLIC int mc_store_open(const char *file, const struct mc_store_config *config,
                            struct mc_store **store, struct mc_error *err);

/* Open it to read only; it is not made, nor brought up to date. */
MC_PUBLIC int mc_store_open_to_read(const char *file, struct mc_store **store,
                                    struct mc_error *err);
MC_PUBLIC void mc_store_close(struct mc_store *store);

/* Give up with -ETIMEDOUT whatever takes longer than this from now on; 0: nothing. */
MC_PUBLIC void mc_store_set_deadline(struct mc_store *store, uint64_t within_ms);

/*
 * Rename a damaged file to FILE.damaged, in place of an earlier one, so that a new one can be
 * begun. -errno.
 */
MC_PUBLIC int mc_store_set_aside(const char *file, struct mc_error *err);

/* Write all of the batch, or nothing. */
MC_PUBLIC int mc_store_write(struct mc_store *store, const struct mc_batch *batch,
                             struct mc_error *err);

/*
 * Delete some of what is older than it may be, or what makes the file too large: a bounded amount
 * of work. *more: there is still something to delete.
 */
MC_PUBLIC int mc_store_prune(struct mc_store *store, int64_t now_ms, bool *more,
                             struct mc_error *err);

struct mc_store_facts {
    uint64_t size;                    /* of the file and what goes with it, bytes */
    uint64_t size_max;                /* 0 if opened to read */
    int64_t oldest_ms[MC_TIER_COUNT]; /* 0: there is nothing yet */
    int64_t shortened_ms; /* when this store last lost rows before their time, for its size; or 0 */
};

MC_PUBLIC int mc_store_facts(struct mc_store *store, struct mc_store_facts *facts,
                             struct mc_error *err);

/* ---- reading: each calls `each` for every row until it returns false ---- */

struct mc_store_query {
    const char *guest; /* a name or UUID; NULL: all guests; "": the host */
    enum mc_tier tier;
    int64_t since_ms, until_ms; /* at_ms in [since, until) */
    /* Where the page before ended; 0 and 0 to begin with. */
    int64_t after_ms, after_id;
    size_t limit; /* rows, 0 for no limit */
};

/* The guest's number in this file, and a row of it; in the order of time, then number. */
typedef bool mc_store_point(void *opaque, int64_t id, const struct mc_point *point);
/* -ENOENT if nothing was ever kept of the guest. */
MC_PUBLIC int mc_store_points(struct mc_store *store, const struct mc_store_query *query,
                              mc_store_point *each, void *opaque, struct mc_error *err);

/* The tier with the finest rows of which there are about `rows` or fewer since then. */
MC_PUBLIC int mc_store_choose_tier(struct mc_store *store, int64_t since_ms, int64_t until_ms,
                                   size_t rows, enum mc_tier *tier, struct mc_error *err);

/*
 * A chart's figures: the means of a guest's values ("" is the host) in even steps of at least a
 * second, from whichever tiers have them. The first step begins at a multiple of its length.
 */
struct mc_course {
    int64_t first_ms; /* of the real-time clock */
    uint64_t step_ms;
    size_t columns;   /* MC_GUEST_VALUES or MC_HOST_VALUES */
    size_t count;     /* steps */
    uint64_t *values; /* [value * count + step], MC_UNKNOWN where nothing is known */
};

/* -ENOENT if nothing was ever kept of the guest. since_ms is from 0 on and before until_ms. */
MC_PUBLIC int mc_store_course(struct mc_store *store, const char *guest, int64_t since_ms,
                              int64_t until_ms, uint64_t step_ms, struct mc_course *course,
                              struct mc_error *err);
MC_PUBLIC void mc_course_free(struct mc_course *course);

/* How the guest was, or all guests, in that time, and just before it; by guest, then time. */
typedef bool mc_store_shape(void *opaque, int64_t id, const struct mc_shape *shape);
MC_PUBLIC int mc_store_shapes(struct mc_store *store, const char *guest, int64_t since_ms,
                              int64_t until_ms, mc_store_shape *each, void *opaque,
                              struct mc_error *err);

/* The last `limit` of the guest in that time, the newest first. */
typedef bool mc_store_decision(void *opaque, const struct mc_decision *decision);
MC_PUBLIC int mc_store_decisions(struct mc_store *store, const char *guest, int64_t since_ms,
                                 int64_t until_ms, size_t limit, mc_store_decision *each,
                                 void *opaque, struct mc_error *err);

/* The last `limit` events, the newest first, as the lines that were written. */
typedef bool mc_store_event(void *opaque, const char *line);
MC_PUBLIC int mc_store_events(struct mc_store *store, size_t limit, mc_store_event *each,
                              void *opaque, struct mc_error *err);

/* What was learned, as it has faded by now_ms. To be freed. */
MC_PUBLIC int mc_store_lessons(struct mc_store *store, int64_t now_ms, struct mc_lesson **lessons,
                               size_t *count, struct mc_error *err);

/* How the engine was configured last; to be freed, NULL if nothing is known. */
MC_PUBLIC int mc_store_engine(struct mc_store *store, char **config, struct mc_error *err);

/* ---- the same as JSON, for the verb history: docs/protocol.md ---- */

/* args says "what": points, course, guests, decisions, engine or facts. -EINVAL names the mistake.
 */
MC_PUBLIC int mc_history_answer(struct mc_store *store, const json_t *args, json_t **result,
                                struct mc_error *err);
MC_PUBLIC json_t *mc_store_facts_to_json(const struct mc_store_facts *facts);

/* One of the rows of points; false if it is none. What the row lacks is unknown. */
MC_PUBLIC bool mc_point_from_row(const json_t *row, enum mc_tier tier, struct mc_point *point);

#endif
