/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void say(struct plan_change *change, const char *text)
{
    size_t length = strlen(change->text);

    snprintf(change->text + length, sizeof(change->text) - length, "%s%s", length ? ", " : "",
             text);
}

/* "8G" or "8Gx3" */
static int add_guests(const char *text, const struct mc_added_guest *pattern,
                      struct plan_change *change, struct mc_error *err)
{
    const char *times = strrchr(text, 'x');
    char size[64], memory[MC_SIZE_TEXT], said[96];
    uint64_t count = 1, bytes;

    snprintf(size, sizeof(size), "%.*s", (int)(times ? times - text : 63), text);
    if ((times && mc_number_parse(times + 1, 1, PLAN_ADDED_MAX, &count, err) < 0) ||
        mc_size_parse(size, 0, &bytes, err) < 0) {
        mc_error_prefix(err, "--add %.32s: ", text);
        return -EINVAL;
    }
    if (bytes < 16 * MC_MIB || change->what_if.added_count + count > PLAN_ADDED_MAX)
        return mc_error_set(err, -EINVAL, "--add %.32s: is less than 16M, or more than %d guests",
                            text, PLAN_ADDED_MAX);
    for (uint64_t i = 0; i < count; i++) {
        struct mc_added_guest *guest = &change->added[change->what_if.added_count++];

        *guest = *pattern;
        guest->memory = bytes;
        snprintf(guest->name, sizeof(guest->name), "new%zu", change->what_if.added_count);
    }
    snprintf(said, sizeof(said), "%" PRIu64 " more of %s", count, mc_size_format(memory, bytes));
    say(change, said);
    return 0;
}

static int remove_guest(const char *name, const struct gathered *gathered,
                        struct plan_change *change, struct mc_error *err)
{
    const struct mc_past_guest *guest = gathered_find(gathered, name);
    char said[96];

    if (!guest || !guest->count)
        return mc_error_set(err, -ENOENT, "--remove: no guest named '%.64s' ran in that time",
                            name);
    change->removed[change->what_if.removed_count++] = guest->shape.uuid;
    snprintf(said, sizeof(said), "without %.64s", guest->shape.name);
    say(change, said);
    return 0;
}

static int read_size(const char *option, const char *text, struct plan_change *change,
                     uint64_t *bytes, struct mc_error *err)
{
    char said[96], size[MC_SIZE_TEXT];

    if (mc_size_parse(text, 0, bytes, err) < 0) {
        mc_error_prefix(err, "--%s: ", option);
        return -EINVAL;
    }
    if (*bytes < 64 * MC_MIB)
        return mc_error_set(err, -EINVAL, "--%s: is less than 64M", option);
    snprintf(said, sizeof(said), "%s %s", strcmp(option, "budget") == 0 ? "budget" : "host of",
             mc_size_format(size, *bytes));
    say(change, said);
    return 0;
}

/* How the new guests use their memory. */
static int read_pattern(const struct cli *cli, const struct gathered *gathered,
                        struct mc_added_guest *pattern, struct mc_error *err)
{
    const char *like = cli_option(cli, "like"), *use = cli_option(cli, "use");
    const struct mc_past_guest *guest = like ? gathered_find(gathered, like) : NULL;
    struct mc_amount amount;

    *pattern = (struct mc_added_guest){0};
    if (like && use)
        return mc_error_set(err, -EINVAL, "--like and --use say different things; choose one");
    if (like && (!guest || !guest->count))
        return mc_error_set(err, -ENOENT, "--like: no guest named '%.64s' ran in that time", like);
    if (guest)
        pattern->like = guest->shape.uuid;
    if (!use)
        return 0;
    if (mc_amount_parse(use, &amount, err) < 0 || !amount.percent || !amount.value ||
        amount.value > MC_AMOUNT_WHOLE)
        return mc_error_set(err, -EINVAL, "--use '%.32s' is not a part of the memory, as 60%%",
                            use);
    pattern->use = (unsigned)amount.value;
    return 0;
}

static int take_option(const struct given *given, const struct mc_added_guest *pattern,
                       const struct gathered *gathered, struct plan_change *change,
                       struct mc_error *err)
{
    if (strcmp(given->name, "add") == 0)
        return add_guests(given->value, pattern, change, err);
    if (strcmp(given->name, "remove") == 0)
        return remove_guest(given->value, gathered, change, err);
    if (strcmp(given->name, "host-memory") == 0)
        return read_size(given->name, given->value, change, &change->what_if.host_memory, err);
    if (strcmp(given->name, "budget") == 0)
        return read_size(given->name, given->value, change, &change->what_if.budget, err);
    return 0;
}

int plan_read_change(const struct cli *cli, const struct gathered *gathered,
                     struct plan_change *change, struct mc_error *err)
{
    struct mc_added_guest pattern;
    int rc = read_pattern(cli, gathered, &pattern, err);

    *change = (struct plan_change){.what_if = {.added = change->added, .removed = change->removed}};
    for (size_t i = 0; rc == 0 && i < cli->given_count; i++)
        rc = take_option(&cli->given[i], &pattern, gathered, change, err);
    if (rc == 0 && !*change->text)
        rc = mc_error_set(err, -EINVAL,
                          "nothing to change; say --add SIZE, --remove GUEST, --host-memory SIZE "
                          "or --budget SIZE");
    return rc;
}
