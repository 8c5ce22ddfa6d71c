/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <memctl/settings.h>

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <memctl/units.h>

/* Below this a size in bytes is surely a forgotten unit: no Linux guest runs in a megabyte. */
#define LEAST_SIZE MC_MIB

static int say_shares(struct mc_settings *settings, const char *value, struct mc_error *err)
{
    return mc_number_parse(value, 1, MC_SHARES_MAX, &settings->shares, err);
}

int mc_amount_parse(const char *text, struct mc_amount *amount, struct mc_error *err)
{
    size_t length = strlen(text);
    bool percent = length && text[length - 1] == '%';
    uint64_t size;
    int rc = mc_size_parse(text, percent ? MC_AMOUNT_WHOLE : 0, &size, err);

    if (rc < 0)
        return rc;
    amount->value = size;
    amount->percent = percent;
    return 0;
}

static int parse_amount(struct mc_amount *amount, const char *value, struct mc_error *err)
{
    struct mc_amount said;
    int rc = mc_amount_parse(value, &said, err);

    if (rc < 0)
        return rc;
    if (said.percent && said.value > MC_AMOUNT_WHOLE)
        return mc_error_set(err, -ERANGE, "%s is more than the whole guest; the most is 100%%",
                            value);
    if (!said.percent && said.value && said.value < LEAST_SIZE)
        return mc_error_set(err, -ERANGE, "%s is %" PRIu64 " bytes; is a unit missing, as in 512M?",
                            value, said.value);
    amount->value = said.value;
    amount->percent = said.percent;
    return 0;
}

static int say_min(struct mc_settings *settings, const char *value, struct mc_error *err)
{
    return parse_amount(&settings->min, value, err);
}

static int say_max(struct mc_settings *settings, const char *value, struct mc_error *err)
{
    int rc = parse_amount(&settings->max, value, err);

    if (rc == 0 && settings->max.value == 0)
        return mc_error_set(err, -ERANGE, "a limit of 0 leaves the guest nothing; use a size");
    return rc;
}

static int say_managed(struct mc_settings *settings, const char *value, struct mc_error *err)
{
    int managed;
    int rc = mc_bool_parse(value, &managed, err);

    if (rc == 0)
        settings->managed = managed;
    return rc;
}

static const char *const last_resorts[MC_LAST_RESORT_COUNT] = {
    [MC_LAST_RESORT_NONE] = "none",
    [MC_LAST_RESORT_SUSPEND] = "suspend",
    [MC_LAST_RESORT_SAVE] = "save",
};

const char *mc_last_resort_name(enum mc_last_resort last_resort)
{
    return last_resorts[last_resort];
}

static int say_last_resort(struct mc_settings *settings, const char *value, struct mc_error *err)
{
    for (unsigned i = 0; i < MC_LAST_RESORT_COUNT; i++) {
        if (strcmp(value, last_resorts[i]) == 0) {
            settings->last_resort = i;
            return 0;
        }
    }
    return mc_error_set(err, -EINVAL, "'%s' is none of none, suspend, save", value);
}

static int say_cooldown(struct mc_settings *settings, const char *value, struct mc_error *err)
{
    uint64_t ms;
    int rc = mc_span_parse(value, &ms, err);

    if (rc == 0 && ms > MC_COOLDOWN_MOST_MS)
        return mc_error_set(err, -ERANGE, "'%s' is more than 1h", value);
    if (rc == 0)
        settings->cooldown_ms = ms;
    return rc;
}

static int say_dedupe(struct mc_settings *settings, const char *value, struct mc_error *err)
{
    int dedupe;
    int rc = mc_bool_parse(value, &dedupe, err);

    if (rc == 0)
        settings->dedupe = dedupe;
    return rc;
}

/* Only what needs no escaping anywhere. */
static int say_trust_domain(struct mc_settings *settings, const char *value, struct mc_error *err)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (strlen(value) >= sizeof(settings->trust_domain))
        return mc_error_set(err, -ERANGE, "a trust domain's name has %zu characters at most",
                            sizeof(settings->trust_domain) - 1);
    if (value[strspn(value, known)])
        return mc_error_set(err, -EINVAL,
                            "a trust domain's name has letters, digits, '.', '_' and '-'");
    snprintf(settings->trust_domain, sizeof(settings->trust_domain), "%s", value);
    return 0;
}

static void print_amount(const struct mc_amount *amount, char text[MC_SETTING_TEXT])
{
    if (amount->percent)
        snprintf(text, MC_SETTING_TEXT, "%" PRIu64 ".%02" PRIu64 "%%", amount->value / 100,
                 amount->value % 100);
    else if (amount->value % MC_MIB == 0)
        snprintf(text, MC_SETTING_TEXT, "%" PRIu64 "M", amount->value / MC_MIB);
    else
        snprintf(text, MC_SETTING_TEXT, "%" PRIu64, amount->value);
}

static void print_shares(const struct mc_settings *settings, char text[MC_SETTING_TEXT])
{
    snprintf(text, MC_SETTING_TEXT, "%" PRIu64, settings->shares);
}

static void print_min(const struct mc_settings *settings, char text[MC_SETTING_TEXT])
{
    print_amount(&settings->min, text);
}

static void print_max(const struct mc_settings *settings, char text[MC_SETTING_TEXT])
{
    print_amount(&settings->max, text);
}

static void print_managed(const struct mc_settings *settings, char text[MC_SETTING_TEXT])
{
    snprintf(text, MC_SETTING_TEXT, "%s", settings->managed ? "yes" : "no");
}

static void print_last_resort(const struct mc_settings *settings, char text[MC_SETTING_TEXT])
{
    snprintf(text, MC_SETTING_TEXT, "%s", last_resorts[settings->last_resort]);
}

static void print_cooldown(const struct mc_settings *settings, char text[MC_SETTING_TEXT])
{
    bool whole = settings->cooldown_ms % 1000 == 0;

    snprintf(text, MC_SETTING_TEXT, "%" PRIu64 "%s",
             whole ? settings->cooldown_ms / 1000 : settings->cooldown_ms, whole ? "s" : "ms");
}

static void print_dedupe(const struct mc_settings *settings, char text[MC_SETTING_TEXT])
{
    snprintf(text, MC_SETTING_TEXT, "%s", settings->dedupe ? "yes" : "no");
}

static void print_trust_domain(const struct mc_settings *settings, char text[MC_SETTING_TEXT])
{
    snprintf(text, MC_SETTING_TEXT, "%s", settings->trust_domain);
}

static const struct {
    const char *name;
    int (*say)(struct mc_settings *settings, const char *value, struct mc_error *err);
    void (*print)(const struct mc_settings *settings, char text[MC_SETTING_TEXT]);
} keys[MC_SETTING_COUNT] = {
    [MC_SETTING_SHARES] = {"shares", say_shares, print_shares},
    [MC_SETTING_MIN] = {"min", say_min, print_min},
    [MC_SETTING_MAX] = {"max", say_max, print_max},
    [MC_SETTING_MANAGED] = {"managed", say_managed, print_managed},
    [MC_SETTING_LAST_RESORT] = {"last-resort", say_last_resort, print_last_resort},
    [MC_SETTING_COOLDOWN] = {"cooldown", say_cooldown, print_cooldown},
    [MC_SETTING_DEDUPE] = {"dedupe", say_dedupe, print_dedupe},
    [MC_SETTING_TRUST_DOMAIN] = {"trust-domain", say_trust_domain, print_trust_domain},
};

const char *mc_setting_name(enum mc_setting which)
{
    return keys[which].name;
}

static int refuse_key(struct mc_error *err)
{
    char known[MC_ERROR_TEXT / 2];
    size_t length = 0;

    for (unsigned i = 0; i < MC_SETTING_COUNT && length < sizeof(known); i++)
        length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s", i ? ", " : "",
                                   keys[i].name);
    return mc_error_set(err, -EINVAL, "unknown setting; known are %s", known);
}

int mc_settings_say(struct mc_settings *settings, const char *key, const char *value,
                    struct mc_error *err)
{
    for (unsigned i = 0; i < MC_SETTING_COUNT; i++) {
        struct mc_settings changed = *settings;
        int rc;

        if (strcmp(key, keys[i].name) != 0)
            continue;
        if (!*value) {
            settings->present &= ~(1U << i);
            return 0;
        }
        rc = keys[i].say(&changed, value, err);
        if (rc < 0)
            return rc;
        changed.present |= 1U << i;
        *settings = changed;
        return 0;
    }
    return refuse_key(err);
}

const char *mc_settings_text(const struct mc_settings *settings, enum mc_setting which,
                             char text[MC_SETTING_TEXT])
{
    if (!(settings->present & (1U << which)))
        return NULL;
    keys[which].print(settings, text);
    return text;
}

void mc_settings_merge(struct mc_settings *settings, const struct mc_settings *over)
{
    if (over->present & (1U << MC_SETTING_SHARES))
        settings->shares = over->shares;
    if (over->present & (1U << MC_SETTING_MIN))
        settings->min = over->min;
    if (over->present & (1U << MC_SETTING_MAX))
        settings->max = over->max;
    if (over->present & (1U << MC_SETTING_MANAGED))
        settings->managed = over->managed;
    if (over->present & (1U << MC_SETTING_LAST_RESORT))
        settings->last_resort = over->last_resort;
    if (over->present & (1U << MC_SETTING_COOLDOWN))
        settings->cooldown_ms = over->cooldown_ms;
    if (over->present & (1U << MC_SETTING_DEDUPE))
        settings->dedupe = over->dedupe;
    if (over->present & (1U << MC_SETTING_TRUST_DOMAIN))
        memcpy(settings->trust_domain, over->trust_domain, sizeof(settings->trust_domain));
    settings->present |= over->present;
}

struct mc_settings mc_settings_default(void)
{
    return (struct mc_settings){
        .present = ((1U << MC_SETTING_COUNT) - 1) & ~(1U << MC_SETTING_COOLDOWN),
        .shares = MC_SHARES_DEFAULT,
        .min = {.value = MC_AMOUNT_WHOLE / 4, .percent = true},
        .max = {.value = MC_AMOUNT_WHOLE, .percent = true},
        .managed = true,
        .dedupe = true,
        .trust_domain = MC_TRUST_OWN,
    };
}

uint64_t mc_amount_of(const struct mc_amount *amount, uint64_t whole)
{
    if (!amount->percent)
        return amount->value;
    return (uint64_t)((unsigned __int128)whole * amount->value / MC_AMOUNT_WHOLE);
}

int mc_settings_check(const struct mc_settings *settings, uint64_t memory, struct mc_error *err)
{
    uint64_t min = mc_amount_of(&settings->min, memory);
    uint64_t max = mc_amount_of(&settings->max, memory);
    char a[MC_SIZE_TEXT], b[MC_SIZE_TEXT];

    if (min > memory)
        return mc_error_set(err, -ERANGE,
                            "min %s is above its memory %s; choose min <= %s or raise <memory>",
                            mc_size_format(a, min), mc_size_format(b, memory), b);
    if (max > memory)
        return mc_error_set(err, -ERANGE,
                            "max %s is above its memory %s; choose max <= %s or raise <memory>",
                            mc_size_format(a, max), mc_size_format(b, memory), b);
    if (min > max)
        return mc_error_set(err, -ERANGE, "min %s is above max %s; lower min or raise max",
                            mc_size_format(a, min), mc_size_format(b, max));
    return 0;
}

struct mc_terms mc_settings_resolve(const struct mc_settings *settings, uint64_t memory)
{
    uint64_t max = mc_whole_pages(mc_min_u64(mc_amount_of(&settings->max, memory), memory));
    bool has_cooldown = settings->present & (1U << MC_SETTING_COOLDOWN);
    struct mc_terms terms = {
        .shares = settings->shares,
        .min = mc_min_u64(mc_whole_pages(mc_amount_of(&settings->min, memory)), max),
        .max = max,
        .managed = settings->managed,
        .last_resort = settings->last_resort,
        .cooldown_ms = has_cooldown ? settings->cooldown_ms : MC_UNKNOWN,
        .dedupe = settings->dedupe,
    };

    memcpy(terms.trust_domain, settings->trust_domain, sizeof(terms.trust_domain));
    return terms;
}
