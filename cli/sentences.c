/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sentences.h"

#include <stddef.h>
#include <string.h>

struct sentence {
    const char *word, *text;
};

/* A new rule needs a line here; until then it is named, which is true as well. */
static const struct sentence rules[] = {
    {"policy", "the policy wants it so"},
    {"exempt", "the guest is left alone"},
    {"foreign-hand",
     "somebody else moved its balloon (virsh setmem?); that is respected for a while"},
    {"stuck", "its balloon does not follow; it counts with what it has, and is tried again later"},
    {"promise", "its min and max hold, whatever the policy says"},
    {"boot", "it has just begun to run, and is not shrunk yet"},
    {"floor", "it uses that much, and needs a margin"},
    {"freshness",
     "its statistics are missing, old, rare or impossible, and nothing is taken on such"},
    {"distress", "it has too little memory, and is helped before all others"},
    {"rate", "it gives memory up step by step, so that it can follow"},
    {"calm", "a change as small as that is not worth a move"},
    {"shrink-before-grow",
     "only that is free now; the rest follows when others were seen to give it up"},
};

static const struct sentence exemptions[] = {
    {"unmanaged", "its settings say managed=no"},
    {"no-balloon", "it has no balloon device"},
    {"locked-memory", "its memory is locked"},
    {"huge-pages", "it is backed by huge pages"},
    {"passthrough", "a device is passed through to it, which keeps its memory in place"},
    {"not-running", "it is paused, or just starting or stopping"},
    {"migrating", "its memory is being copied away"},
    {"last-resort",
     "memctl has suspended it, as a last resort; it goes on when the host has memory again"},
    {"paused-by-operator", "an operator has paused it; 'memctl resume' ends that"},
};

static const char *find(const struct sentence *sentences, size_t count, const char *word,
                        const char *otherwise)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(sentences[i].word, word) == 0)
            return sentences[i].text;
    return otherwise;
}

const char *sentence_of_rule(const char *rule)
{
    return find(rules, sizeof(rules) / sizeof(*rules), rule, "the governor's rule of that name");
}

const char *sentence_of_exempt(const char *exempt)
{
    return find(exemptions, sizeof(exemptions) / sizeof(*exemptions), exempt, exempt);
}
