/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guests that nobody would hear in time. Statistics come once or twice in an interval, and a guest
 * that takes 160 MiB a second has used up what it has by then. One with an agent says so, and one
 * with deflate-on-OOM takes its memory back; one with neither is killed by its own kernel. Such a
 * guest is exposed: while its QEMU takes processor time, which a look into /proc tells, it is asked
 * for statistics out of turn, and from two of these follows how fast it fills.
 *
 * Pure, as all decisions: the caller looks, asks, and tells what time it is.
 */
#ifndef MEMCTL_FILLING_H
#define MEMCTL_FILLING_H

#include <memctl/engine.h>
#include <memctl/model.h>

/* What a guest said when it was asked out of turn. */
struct mc_sight {
    uint64_t at_ms;
    uint64_t actual; /* the balloon's size, from QEMU */
    uint64_t usable; /* as in its statistics */
    bool moving;     /* the balloon's size was another one when it was asked */
};

/* What is remembered of an exposed guest. Starts as {0}. */
struct mc_filling {
    uint64_t looked_ms; /* the last look, 0 for none */
    uint64_t cpu_ms;    /* what its QEMU had used by then */
    uint64_t quiet_ms;  /* until then it used hardly any, and so took hardly any memory */
    uint64_t asked_ms;  /* out of turn, 0 for never */
    uint64_t seen_ms;   /* the last statistics are not older than that, 0 for none */
    uint64_t used;      /* what was not usable then, bytes */
    uint64_t usable;
    uint64_t rate; /* bytes a second, 0 if it does not fill */
};

/* After the engine's pass: would this guest be killed before anybody sees that it fills? */
MC_PUBLIC bool mc_is_exposed(const struct mc_engine_config *config, const struct mc_guest *guest);

/* After the engine's pass: what the guest's regular statistics say, where they are newer. */
MC_PUBLIC void mc_filling_follow(struct mc_filling *filling, const struct mc_guest *guest,
                                 uint64_t now_ms);

/* How much later an exposed guest has to be looked at again. Milliseconds. */
MC_PUBLIC uint64_t mc_filling_pause_ms(const struct mc_filling *filling);

/* A look: cpu_ms is what its QEMU has used by now. Is it time to ask it? */
MC_PUBLIC bool mc_filling_look(struct mc_filling *filling, uint64_t cpu_ms, uint64_t now_ms);

/* It was asked. Does it run out of memory, by its size or by its pace? */
MC_PUBLIC bool mc_filling_see(const struct mc_engine_config *config, struct mc_filling *filling,
                              const struct mc_sight *sight);

#endif
