/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the daemon's words mean, for people. */
#ifndef MEMCTL_SENTENCES_H
#define MEMCTL_SENTENCES_H

/* Why a rule of the governor changes a target; never NULL. */
const char *sentence_of_rule(const char *rule);

/* Why a guest is left alone; never NULL. */
const char *sentence_of_exempt(const char *exempt);

#endif
