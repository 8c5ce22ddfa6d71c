/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_number(const json_t *param, const char *key)
{
    double value = json_number_value(json_object_get(param, key));

    if (strcmp(json_text(param, "type"), "ratio") == 0)
        printf("%g%%", value * 100);
    else
        printf("%g", value);
}

static void print_param(const json_t *param)
{
    printf("  %s = ", json_text(param, "name"));
    print_number(param, "value");
    printf("\n      %s.\n      From ", json_text(param, "description"));
    print_number(param, "low");
    printf(json_is_true(json_object_get(param, "below_high")) ? " to less than " : " to ");
    print_number(param, "high");
    printf(", default ");
    print_number(param, "default");
    putchar('\n');
}

static void print_policy(const json_t *policy)
{
    const json_t *params = json_object_get(policy, "params");
    const json_t *refused = json_object_get(policy, "refused");
    json_t *param;
    size_t i;

    printf("%s: %s%s\n", json_text(policy, "name"), json_text(policy, "description"),
           json_is_true(json_object_get(policy, "current")) ? " (decides now)" : "");
    json_array_foreach (params, i, param)
        print_param(param);
    if (json_is_object(refused))
        printf("It stands in for %s, which was set aside: %s\n", json_text(refused, "policy"),
               json_text(refused, "error"));
}

static int policy_list(const struct cli *cli, int argc, char **argv)
{
    json_t *result, *policy;
    size_t i;
    int code;

    (void)argv;
    if (argc)
        return cli_usage(&command_policy, "list takes no argument");
    code = cli_ask(cli, "policy-list", NULL, &result);
    if (code != EXIT_OK)
        return code;
    if (cli->json)
        return cli_print_json(result);
    json_array_foreach (json_object_get(result, "policies"), i, policy)
        printf("%c %-16s %s\n", json_is_true(json_object_get(policy, "current")) ? '*' : ' ',
               json_text(policy, "name"),
               json_object_get(policy, "error") ? json_text(policy, "error")
                                                : json_text(policy, "description"));
    json_decref(result);
    return EXIT_OK;
}

static int policy_show(const struct cli *cli, int argc, char **argv)
{
    json_t *policy;
    int code;

    if (argc > 1)
        return cli_usage(&command_policy,
                         "show takes one policy, or none for the one that decides");
    code =
        cli_ask(cli, "policy-show", argc ? json_pack("{s:s}", "policy", argv[0]) : NULL, &policy);
    if (code != EXIT_OK)
        return code;
    if (cli->json)
        return cli_print_json(policy);
    print_policy(policy);
    json_decref(policy);
    return EXIT_OK;
}

/* {"tax": "50%"} of all --param tax=50%, or NULL with a sentence. */
static json_t *params_json(const struct cli *cli, struct mc_error *err)
{
    json_t *params = json_object();

    for (size_t i = 0; i < cli->given_count; i++) {
        const char *text = cli->given[i].value;
        const char *value;
        char key[64];

        if (strcmp(cli->given[i].name, "param") != 0)
            continue;
        if (!mc_pair_split(text, key, sizeof(key), &value)) {
            mc_error_set(err, -EINVAL, "--param '%s' is not NAME=VALUE", text);
            json_decref(params);
            return NULL;
        }
        json_object_set_new(params, key, json_string(value));
    }
    return params;
}

static int policy_use(const struct cli *cli, int argc, char **argv)
{
    char path[PATH_MAX];
    struct mc_error err;
    json_t *policy, *params;
    int code;

    if (argc != 1)
        return cli_usage(&command_policy, "use takes one policy");
    params = params_json(cli, &err);
    if (!params)
        return cli_usage(&command_policy, "%s", err.text);
    /* The daemon has another working directory. */
    if (strchr(argv[0], '/') && realpath(argv[0], path))
        argv[0] = path;
    code = cli_ask(cli, "policy-use", json_pack("{s:s, s:o}", "policy", argv[0], "params", params),
                   &policy);
    if (code != EXIT_OK)
        return code;
    if (cli->json)
        return cli_print_json(policy);
    print_policy(policy);
    puts("Until memctld restarts or reloads; to keep it, say so under [policy] in memctld.conf.");
    json_decref(policy);
    return EXIT_OK;
}

static const struct {
    const char *name;
    int (*run)(const struct cli *cli, int argc, char **argv);
} actions[] = {
    {"list", policy_list},
    {"show", policy_show},
    {"use", policy_use},
    {"eval", policy_eval},
};

static int run(const struct cli *cli, int argc, char **argv)
{
    for (size_t i = 0; argc && i < sizeof(actions) / sizeof(*actions); i++)
        if (strcmp(argv[0], actions[i].name) == 0)
            return actions[i].run(cli, argc - 1, argv + 1);
    return cli_usage(&command_policy,
                     argc ? "'%s' is not list, show, use or eval" : "what? list, show, use or eval",
                     argc ? argv[0] : "");
}

static const struct command_option options[] = {
    {"param", "NAME=VALUE", "a parameter of the policy; may be given several times"},
    {"policy", "NAME", "for eval: the policy to ask"},
    {0},
};

const struct command command_policy = {
    .name = "policy",
    .arguments = "list | show [NAME] | use NAME | eval SNAPSHOT",
    .summary = "look at the policies, choose one, ask one",
    .options = options,
    .help =
        "  list           the policies there are; * decides now\n"
        "  show [NAME]    its parameters with their ranges; without NAME, the one that decides\n"
        "  use NAME       let it decide from now on, a module's path or the name of an\n"
        "                 installed one; refused if its first answer is no good\n"
        "  eval FILE      what would it answer? Needs no daemon. The file is as 'memctl\n"
        "                 snapshot' prints it, - is the standard input; without --policy, the\n"
        "                 policy that the snapshot names is asked",
    .run = run,
};
