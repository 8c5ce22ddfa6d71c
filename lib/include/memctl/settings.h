/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an operator may say about a guest. The same keys are read from the configuration file, from
 * `memctl set` and from the guest's libvirt metadata; every place uses this one table of keys.
 */
#ifndef MEMCTL_SETTINGS_H
#define MEMCTL_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <memctl/error.h>
#include <memctl/visibility.h>

#define MC_SHARES_DEFAULT 1000
#define MC_SHARES_MAX 1000000

/* A size that was said in bytes or as a share of the guest's memory. */
struct mc_amount {
    uint64_t value; /* bytes, or hundredths of a percent */
    bool percent;
};

#define MC_AMOUNT_WHOLE 10000 /* 100 % */

/*
 * Read "512M" or "25%". A percentage may be above 100: what that means is for the caller to say.
 * -EINVAL or -ERANGE with a sentence.
 */
MC_PUBLIC int mc_amount_parse(const char *text, struct mc_amount *amount, struct mc_error *err);

/* The amount in bytes, of a whole of so many. */
MC_PUBLIC uint64_t mc_amount_of(const struct mc_amount *amount, uint64_t whole);

/* What may be done to a guest when nothing else helps the host. */
enum mc_last_resort {
    MC_LAST_RESORT_NONE,
    MC_LAST_RESORT_SUSPEND, /* it stands still, and what it has may be swapped out */
    MC_LAST_RESORT_SAVE,    /* its state goes into a file, and its QEMU ends */
    MC_LAST_RESORT_COUNT,
};

enum mc_setting {
    MC_SETTING_SHARES,
    MC_SETTING_MIN,
    MC_SETTING_MAX,
    MC_SETTING_MANAGED,
    MC_SETTING_LAST_RESORT,
    MC_SETTING_COOLDOWN,
    MC_SETTING_DEDUPE,
    MC_SETTING_TRUST_DOMAIN,
    MC_SETTING_COUNT,
};

#define MC_SETTING_TEXT 32

/* The trust domain of a guest that shares pages with no other one. */
#define MC_TRUST_OWN "own"

/* What was said; what was not said is left to whoever is asked next. */
struct mc_settings {
    unsigned present; /* bit 1 << enum mc_setting */
    uint64_t shares;
    struct mc_amount min, max;
    bool managed;
    enum mc_last_resort last_resort;
    uint64_t cooldown_ms;
    bool dedupe;
    char trust_domain[MC_SETTING_TEXT];
};

/* What holds for one guest, everything filled in; min <= max <= memory always. */
struct mc_terms {
    uint64_t shares; /* 1 .. MC_SHARES_MAX */
    uint64_t min;    /* the reservation, bytes */
    uint64_t max;    /* the limit, bytes */
    bool managed;
    enum mc_last_resort last_resort;
    uint64_t cooldown_ms;               /* MC_UNKNOWN: the engine's */
    bool dedupe;                        /* its memory may be read to find equal pages */
    char trust_domain[MC_SETTING_TEXT]; /* guests of one domain may share pages; or MC_TRUST_OWN */
};

#define MC_COOLDOWN_MOST_MS UINT64_C(3600000)

/* The key as people write it: "shares", "last-resort". */
MC_PUBLIC const char *mc_setting_name(enum mc_setting which);

/* "none", "suspend", "save" */
MC_PUBLIC const char *mc_last_resort_name(enum mc_last_resort last_resort);

/*
 * Say one thing. An empty value takes the setting back. -EINVAL or -ERANGE with a sentence that
 * lists the known keys or the range, but does not repeat the key; settings are then as before.
 */
MC_PUBLIC int mc_settings_say(struct mc_settings *settings, const char *key, const char *value,
                              struct mc_error *err);

/* The value of one setting as mc_settings_say() reads it; NULL where it was not said. */
MC_PUBLIC const char *mc_settings_text(const struct mc_settings *settings, enum mc_setting which,
                                       char text[MC_SETTING_TEXT]);

/* Everything that `over` says, put over `settings`. */
MC_PUBLIC void mc_settings_merge(struct mc_settings *settings, const struct mc_settings *over);

/*
 * What holds where nobody said anything: shares 1000, min 25 %, max all of it, managed, no last
 * resort, dedupe, and alone in its trust domain. It says nothing of the cooldown, which is the
 * engine's then.
 */
MC_PUBLIC struct mc_settings mc_settings_default(void);

/*
 * Would these settings hold for a guest of `memory` bytes? Says the first thing that is wrong (min
 * above max, above the memory); for use before they are stored.
 */
MC_PUBLIC int mc_settings_check(const struct mc_settings *settings, uint64_t memory,
                                struct mc_error *err);

/* The terms of a guest of `memory` bytes; what does not fit (the memory was lowered) is clamped. */
MC_PUBLIC struct mc_terms mc_settings_resolve(const struct mc_settings *settings, uint64_t memory);

#endif
