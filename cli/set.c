/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <memctl/settings.h>

int cli_add_setting(json_t *settings, const char *text, struct mc_error *err)
{
    struct mc_settings trial = {0};
    const char *value;
    char key[32];
    int rc;

    if (!mc_pair_split(text, key, sizeof(key), &value))
        return mc_error_set(err, -EINVAL, "'%s' is not KEY=VALUE", text);
    rc = mc_settings_say(&trial, key, value, err);
    if (rc < 0) {
        mc_error_prefix(err, "%s: ", key);
        return rc;
    }
    if (json_object_get(settings, key))
        return mc_error_set(err, -EINVAL, "%s is given twice", key);
    json_object_set_new(settings, key, json_string(value));
    return 0;
}

static int run(const struct cli *cli, int argc, char **argv)
{
    json_t *settings, *guest;
    struct mc_error err;
    int code;

    if (argc < 2)
        return cli_usage(&command_set, "takes a guest and at least one setting");
    settings = json_object();
    for (int i = 1; i < argc; i++) {
        if (cli_add_setting(settings, argv[i], &err) < 0) {
            json_decref(settings);
            return cli_usage(&command_set, "%s", err.text);
        }
    }
    code = cli_ask(cli, "set", json_pack("{s:s, s:o}", "guest", argv[0], "settings", settings),
                   &guest);
    if (code != EXIT_OK)
        return code;
    if (cli->json)
        return cli_print_json(guest);
    printf("%s: shares %lld, min %s, max %s, managed %s, last-resort %s, cooldown %gs%s\n",
           json_text(guest, "name"),
           (long long)json_integer_value(json_object_get(guest, "shares")), cli_size(guest, "min"),
           cli_size(guest, "max"), json_is_true(json_object_get(guest, "managed")) ? "yes" : "no",
           json_text(guest, "last_resort"), (double)json_size(guest, "cooldown_ms") / 1000,
           strcmp(json_text(guest, "state"), "stopped") == 0 ? ", from its next start on" : "");
    json_decref(guest);
    return EXIT_OK;
}

const struct command command_set = {
    .name = "set",
    .arguments = "GUEST KEY=VALUE...",
    .summary = "change a guest's settings",
    .help =
        "  shares=N     its weight against the other guests, 1 to 1000000 (default 1000)\n"
        "  min=SIZE     it never gets less; bytes or a part of its memory (default 25%)\n"
        "  max=SIZE     it never gets more (default 100%)\n"
        "  managed=no   leave it alone\n"
        "  last-resort=suspend, save, none (default): what may be done to it when nothing else\n"
        "               helps a host that is nearly out of memory; undone when there is some "
        "again\n"
        "  cooldown=TIME  after it was in trouble it is not shrunk for so long (default: the\n"
        "               configuration's, 1min)\n"
        "  dedupe=no    do not look for equal pages in its memory\n"
        "  trust-domain=NAME  guests of one domain may share pages; own: with nobody\n"
        "\n"
        "An empty value (min=) takes a setting back. Settings are kept in the guest's libvirt\n"
        "metadata: they survive restarts of the guest and of the daemon. The guest need not run.",
    .run = run,
};
