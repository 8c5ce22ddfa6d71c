/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Room for a guest before it starts. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memctl/hypervisor.h>

/* Far beyond any domain XML. */
#define XML_MOST ((size_t)8 * 1024 * 1024)

static int read_file(const char *file, char **text, struct mc_error *err)
{
    bool is_input = strcmp(file, "-") == 0;
    FILE *in = is_input ? stdin : fopen(file, "re");
    size_t length = 0;

    *text = in ? malloc(XML_MOST) : NULL;
    if (!in)
        return mc_error_set(err, -errno, "%s: %s", file, strerror(errno));
    if (*text)
        length = fread(*text, 1, XML_MOST, in);
    if (!is_input)
        fclose(in);
    if (!*text || length == XML_MOST)
        return mc_error_set(err, -E2BIG, "%s is too large for the description of a guest", file);
    (*text)[length] = '\0';
    return 0;
}

/* Of a guest that cannot be made smaller every byte is as good as reserved. */
static json_t *args_of_guest(const struct mc_guest *guest)
{
    bool fixed = guest->exempt != MC_EXEMPT_NO;
    struct mc_settings settings = mc_settings_default();
    json_t *args = json_pack("{s:I, s:s, s:s}", "size", (json_int_t)guest->actual, "name",
                             guest->name, "uuid", guest->uuid);

    mc_settings_merge(&settings, &guest->own);
    if (fixed)
        json_object_set_new(args, "min", json_integer((json_int_t)guest->actual));
    else if (guest->own.present & (1U << MC_SETTING_MIN))
        json_object_set_new(
            args, "min",
            json_integer((json_int_t)mc_settings_resolve(&settings, guest->memory).min));
    return args;
}

static int args_of_xml(const char *file, json_t **args, struct mc_error *err)
{
    struct mc_guest guest;
    char *xml;
    int rc = read_file(file, &xml, err);

    if (rc == 0)
        rc = mc_guest_from_xml(xml, &guest, err);
    if (rc == 0)
        *args = args_of_guest(&guest);
    free(xml);
    return rc;
}

static int add_size(const struct cli *cli, const char *option, json_t *args, struct mc_error *err)
{
    const char *text = cli_option(cli, option);
    uint64_t bytes;

    if (!text)
        return 0;
    if (mc_size_parse(text, 0, &bytes, err) < 0) {
        mc_error_prefix(err, "--%s: ", option);
        return -EINVAL;
    }
    json_object_set_new(args, option, json_integer((json_int_t)bytes));
    return 0;
}

static int add_span(const struct cli *cli, const char *option, const char *key, json_t *args,
                    struct mc_error *err)
{
    const char *text = cli_option(cli, option);
    uint64_t ms;

    if (!text)
        return 0;
    if (mc_span_parse(text, &ms, err) < 0) {
        mc_error_prefix(err, "--%s: ", option);
        return -EINVAL;
    }
    json_object_set_new(args, key, json_integer((json_int_t)ms));
    return 0;
}

static int add_options(const struct cli *cli, json_t *args, struct mc_error *err)
{
    if (add_size(cli, "size", args, err) < 0 || add_size(cli, "min", args, err) < 0 ||
        add_span(cli, "wait", "wait_ms", args, err) < 0 ||
        add_span(cli, "hold", "hold_ms", args, err) < 0)
        return -EINVAL;
    if (cli_option(cli, "guest"))
        json_object_set_new(args, "name", json_string(cli_option(cli, "guest")));
    if (cli_option(cli, "force"))
        json_object_set_new(args, "force", json_true());
    if (!json_is_integer(json_object_get(args, "size")))
        return mc_error_set(err, -EINVAL, "say how large the guest is: --size SIZE or --xml FILE");
    return 0;
}

static unsigned seconds_of(const json_t *args)
{
    return (unsigned)((json_integer_value(json_object_get(args, "wait_ms")) + 999) / 1000);
}

static int run(const struct cli *cli, int argc, char **argv)
{
    const char *xml = cli_option(cli, "xml");
    json_t *args = NULL, *result;
    struct mc_error err;
    int code;

    (void)argv;
    if (argc)
        return cli_usage(&command_admit, "takes options only; the size is --size SIZE");
    if (xml && args_of_xml(xml, &args, &err) < 0)
        return cli_fail(&err);
    args = args ? args : json_object();
    if (add_options(cli, args, &err) < 0) {
        json_decref(args);
        return cli_usage(&command_admit, "%s", err.text);
    }
    code = cli_ask_patiently(cli, "admit", args, seconds_of(args), &result);
    if (code != EXIT_OK)
        return code;
    if (cli->json)
        return cli_print_json(result);
    printf("room for %s (QEMU included) is kept free for %lld s%s\n", cli_size(result, "pledged"),
           (long long)json_integer_value(json_object_get(result, "hold_ms")) / 1000,
           json_is_true(json_object_get(result, "forced")) ? ", by force" : "");
    json_decref(result);
    return EXIT_OK;
}

static const struct command_option options[] = {
    {"size", "SIZE", "what it is started with"},
    {"min", "SIZE", "its reservation (default: as configured for its name)"},
    {"xml", "FILE", "take both, and its name, from a domain XML of libvirt's; - is the input"},
    {"guest", "NAME", "whose start ends the pledge; without it only time does"},
    {"wait", "TIME", "wait so long for the others to make room (default: not at all)"},
    {"hold", "TIME", "keep the room so long for a guest that does not start (default 60s)"},
    {"force", NULL, "say yes in the end, whatever room there is"},
    {0},
};

const struct command command_admit = {
    .name = "admit",
    .arguments = "--size SIZE [--min SIZE] [--wait TIME]",
    .summary = "make room for a guest before it starts",
    .help = "Exit code 0: there is room, and it is kept free until the guest is seen or the time\n"
            "is over. 4: there is none, and it says what there is. Until its balloon's driver\n"
            "runs a guest can take all that it is started with, so all of that has to be free;\n"
            "and its reservation has to fit into the budget beside those of the others.",
    .options = options,
    .run = run,
};
