/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that decided about one guest in the last pass, in sentences: a paragraph for each step
 * on the way of the data, with what was seen on top and what came of it at the end.
 */
#include "explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "paragraph.h"
#include "sentences.h"

#define LABEL_WIDTH 11

/* As memctld sees it: a balloon this close to its target is there. */
#define ARRIVED (4 * MC_MIB)

struct page {
    FILE *out;
    int width;
};

/* One paragraph beside its label, broken between words. */
static void say(struct page *page, const char *label, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct page *page, const char *label, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    paragraph_write(page->out, label, LABEL_WIDTH, page->width, text);
}

#define AGE_TEXT 24

/* "0.8 s", "5 min", "3 h"; in one of a few rotating buffers. */
static const char *age(uint64_t ms)
{
    static char buffers[4][AGE_TEXT];
    static unsigned next;
    char *text = buffers[next++ % 4];
    unsigned long long s = ms / 1000;

    if (ms < 1000)
        snprintf(text, AGE_TEXT, "%u ms", (unsigned)ms);
    else if (ms < 10000)
        snprintf(text, AGE_TEXT, "%.1f s", (double)ms / 1000);
    else if (s < 120)
        snprintf(text, AGE_TEXT, "%llu s", s);
    else if (s < 7200)
        snprintf(text, AGE_TEXT, "%llu min", s / 60);
    else if (s < 172800)
        snprintf(text, AGE_TEXT, "%llu h", s / 3600);
    else
        snprintf(text, AGE_TEXT, "%llu days", s / 86400);
    return text;
}

static bool is_exempt(const json_t *guest)
{
    return strcmp(json_text(guest, "exempt"), "no") != 0;
}

/* ---- the paragraphs, in their order ---- */

static void say_measured(struct page *page, const json_t *result, const json_t *guest)
{
    const json_t *balloon = json_object_get(guest, "balloon");
    const json_t *agent = json_object_get(guest, "agent");
    uint64_t statistics_age = json_size(result, "statistics_age_ms");

    say(page, "measured",
        "It is configured with %s. Its balloon leaves it %s; %s of that is resident on "
        "the host.",
        cli_size(guest, "memory"), cli_size(guest, "actual"), cli_size(guest, "held"));
    if (statistics_age == MC_UNKNOWN)
        say(page, "", "Its balloon driver has not sent statistics.");
    else if (json_size(balloon, "usable") == MC_UNKNOWN)
        say(page, "", "Its balloon driver's last statistics came %s ago; now there are none.",
            age(statistics_age));
    else
        say(page, "", "Its balloon driver said %s ago that %s could be given up without swapping.",
            age(statistics_age), cli_size(balloon, "usable"));
    if (json_is_object(agent))
        say(page, "", "Its agent says that %s of %s are available.", cli_size(agent, "available"),
            cli_size(agent, "total"));
}

static void say_estimated(struct page *page, const json_t *guest)
{
    if (json_size(guest, "used") == MC_UNKNOWN)
        say(page, "estimated", "What it uses is not known, so all that it has counts as in use.");
    else
        say(page, "estimated", "It cannot give up %s, and works with %s (source: %s%s%s).",
            cli_size(guest, "used"), cli_size(guest, "active"), json_text(guest, "active_source"),
            *json_text(guest, "active_method") ? ", by " : "", json_text(guest, "active_method"));
    if (!is_exempt(guest) && !json_is_true(json_object_get(guest, "fresh")))
        say(page, "",
            "Its statistics are missing, old, rare or impossible: it is not shrunk on them.");
}

/* Whether there is enough for everybody, and if not, why there is not more. */
static void say_divided(struct page *page, const json_t *result)
{
    const json_t *sums = json_object_get(result, "plan");
    const json_t *rivals = json_object_get(result, "rivals");
    const json_t *percent =
        json_object_get(json_object_get(result, "limits"), "overcommit_percent");
    uint64_t divided = json_size(sums, "divided"), max = json_size(rivals, "max");
    uint64_t strict = json_size(sums, "strict");

    if (!json_is_object(sums))
        return;
    if (divided >= max)
        say(page, "divided", "%s, enough for every guest to have its max (%s in all).",
            cli_size(sums, "divided"), cli_size(rivals, "max"));
    else
        say(page, "divided", "%s among %lld guests that could have %s.", cli_size(sums, "divided"),
            (long long)json_integer_value(json_object_get(rivals, "guests")),
            cli_size(rivals, "max"));
    if (divided < max && strict && strict != MC_UNKNOWN && json_integer_value(percent) > 100)
        say(page, "",
            "They may occupy %s. Up to %.2f times that is promised while it lies untouched, now "
            "%.2f times.",
            cli_size(sums, "strict"), (double)json_integer_value(percent) / 100,
            (double)divided / (double)strict);
}

static void say_wish(struct page *page, const json_t *result, const json_t *guest,
                     const json_t *plan)
{
    const json_t *rivals = json_object_get(result, "rivals");

    say(page, "wish", "The policy %s would give it %s (shares %lld of %lld, min %s, max %s).",
        json_text(result, "policy"), cli_size(plan, "wish"),
        (long long)json_integer_value(json_object_get(guest, "shares")),
        (long long)json_integer_value(json_object_get(rivals, "shares")), cli_size(guest, "min"),
        cli_size(guest, "max"));
}

static void say_rules(struct page *page, const json_t *plan)
{
    const json_t *changes = json_object_get(plan, "changes");
    json_t *change;
    size_t i;

    if (!json_array_size(changes))
        say(page, "rules", "None objects.");
    json_array_foreach (changes, i, change) {
        const char *rule = json_text(change, "rule");

        /* The policy was told the floor, and what trouble asks for, before it answered. */
        if (json_size(change, "to") == json_size(plan, "wish") && i == 0)
            say(page, "rules", "%s: the policy could not give less than %s: %s.", rule,
                cli_size(change, "to"), sentence_of_rule(rule));
        else
            say(page, i ? "" : "rules", "%s: %s -> %s: %s.", rule, cli_size(change, "from"),
                cli_size(change, "to"), sentence_of_rule(rule));
    }
}

static bool is_near(const json_t *a, const char *key_a, const json_t *b, const char *key_b)
{
    uint64_t one = json_size(a, key_a), other = json_size(b, key_b);

    return one != MC_UNKNOWN && other != MC_UNKNOWN &&
           (one > other ? one - other : other - one) <= ARRIVED;
}

/* What was sent in this pass; or why nothing was, the strongest reason first. */
static void say_sent(struct page *page, const json_t *result, const json_t *guest,
                     const json_t *plan)
{
    const json_t *last = json_object_get(result, "last");
    const char *target = cli_size(plan, "target");

    if (json_is_true(json_object_get(plan, "sent")))
        say(page, "sent", "The balloon was told %s.", target);
    else if (json_is_true(json_object_get(result, "dry_run")))
        say(page, "sent", "Nothing: this is a dry run. The balloon would stand at %s.", target);
    else if (strcmp(json_text(last, "state"), "sent") == 0)
        say(page, "sent", "Nothing: the last command has not come back.");
    else if (!json_is_true(json_object_get(guest, "answers")))
        say(page, "sent", "Nothing: its QEMU does not answer.");
    else if (is_near(plan, "target", last, "to"))
        say(page, "sent", "Nothing new: the balloon was told %s before.", target);
    else if (is_near(plan, "target", guest, "actual"))
        say(page, "sent", "Nothing: it has what it should have, %s.", target);
    else
        say(page, "sent", "Nothing yet: the target is %s.", target);
}

static void say_progress(struct page *page, const json_t *guest, const json_t *last)
{
    uint64_t from = json_size(last, "from"), to = json_size(last, "to");
    uint64_t actual = json_size(guest, "actual");
    uint64_t way = from > to ? from - to : to - from;
    uint64_t gone = from > to ? mc_less_u64(from, actual) : mc_less_u64(actual, from);
    char a[MC_SIZE_TEXT], b[MC_SIZE_TEXT];

    if (is_near(guest, "actual", last, "to"))
        say(page, "", "The balloon is there.");
    else if (!gone)
        say(page, "", "The balloon has not moved that way yet; it stands at %s.",
            cli_size(guest, "actual"));
    else if (gone > way)
        say(page, "", "The balloon stands beyond that, at %s.", cli_size(guest, "actual"));
    else
        say(page, "", "The balloon has come %s of %s so far, to %s.", mc_size_format(a, gone),
            mc_size_format(b, way), cli_size(guest, "actual"));
}

static void say_happened(struct page *page, const json_t *guest, const json_t *last)
{
    const char *state = json_text(last, "state");
    const char *ago = age(json_size(last, "age_ms"));
    const char *late = json_is_true(json_object_get(last, "late")) ? ", which is late" : "";

    if (!json_is_object(last)) {
        say(page, "happened", "No command was sent to it since memctld or the guest began to run.");
        return;
    }
    if (strcmp(state, "withheld") == 0) {
        say(page, "happened", "For %s it would have been told to go from %s to %s (%s).", ago,
            cli_size(last, "from"), cli_size(last, "to"), json_text(last, "reason"));
        return;
    }
    say(page, "happened", "%s ago it was told to go from %s to %s (%s).", ago,
        cli_size(last, "from"), cli_size(last, "to"), json_text(last, "reason"));
    if (strcmp(state, "sent") == 0)
        say(page, "", "That has not come back yet%s; it gets no other command before.", late);
    else if (strcmp(state, "failed") == 0)
        say(page, "", "That failed%s: %s. It may have been obeyed all the same.", late,
            json_text(last, "error"));
    else
        say(page, "", "The hypervisor took it after %s%s.", age(json_size(last, "took_ms")), late);
    if (strcmp(state, "sent") != 0)
        say_progress(page, guest, last);
}

/* The question that brings most people here; the last command may have been another one. */
static void say_shrunk(struct page *page, const json_t *guest, const json_t *shrunk)
{
    long long commands = json_integer_value(json_object_get(shrunk, "commands"));

    if (!json_is_object(shrunk))
        return;
    say(page, "shrunk",
        "The last time %s ago, from %s to %s%s (%s). The policy wished %s for it; %s was divided, "
        "the host's state was %s.",
        age(json_size(shrunk, "age_ms")), cli_size(shrunk, "from"), cli_size(shrunk, "to"),
        commands > 1 ? " by steps" : "", json_text(shrunk, "reason"), cli_size(shrunk, "wish"),
        cli_size(shrunk, "divided"), json_text(shrunk, "state"));
    if (commands > 1)
        say(page, "", "That took %s and %lld commands; 'memctl events --guest %s' has each.",
            age(mc_less_u64(json_size(shrunk, "began_age_ms"), json_size(shrunk, "age_ms"))),
            commands, json_text(guest, "name"));
}

/* ---- */

/* Whatever makes the rest less than the present truth. */
static void say_warnings(struct page *page, const json_t *result, const json_t *guest)
{
    const json_t *paused = json_object_get(result, "paused");

    if (!json_is_true(json_object_get(result, "connected")))
        say(page, "but",
            "The hypervisor does not answer: all below is what was seen last, and nothing is "
            "sent. 'memctl status' says more.");
    if (json_is_true(json_object_get(result, "dry_run")))
        say(page, "but", "memctld makes a dry run: no guest is touched.");
    if (json_is_true(json_object_get(paused, "all")))
        say(page, "but", "All guests are paused; 'memctl resume' lets them move again.");
    if (is_exempt(guest))
        say(page, "but", "It is counted and left alone: %s.",
            sentence_of_exempt(json_text(guest, "exempt")));
}

/* What the host did to it beside the balloon. */
static void say_merging(struct page *page, const json_t *merging)
{
    if (json_is_object(merging))
        say(page, "merging", "Equal pages: %s. %s was promised, and %s of it is saved.",
            json_text(merging, "why"), cli_size(merging, "promised"), cli_size(merging, "saved"));
}

static void say_pressed(struct page *page, const json_t *result, const json_t *plan)
{
    const json_t *took = json_object_get(result, "host_took");
    const char *resort = json_text(plan, "last_resort");

    if (json_is_object(plan) && json_size(plan, "host_reclaim"))
        say(page, "reclaim",
            "host-reclaim: The host is short and takes %s of the guest's idle memory into its "
            "swap.",
            cli_size(plan, "host_reclaim"));
    if (json_is_object(took)) {
        say(page, "reclaim", "host-reclaim: %s in all, the last time %s ago.",
            cli_size(took, "bytes"), age(json_size(took, "age_ms")));
        if (json_is_string(json_object_get(took, "error")))
            say(page, "", "That failed: %s.", json_text(took, "error"));
    }
    if (!json_is_object(plan) || strcmp(resort, "none") == 0)
        return;
    if (strcmp(resort, "continue") == 0)
        say(page, "resort", "last-resort: It goes on, since the host has had memory for a while.");
    else
        say(page, "resort",
            "last-resort: %s. The host has been out of memory for a while, and the guest's "
            "settings allow it.",
            resort);
}

void explain_write(FILE *out, int width, const json_t *result)
{
    struct page whole = {out, width}, *page = &whole;
    const json_t *guest = json_object_get(result, "guest");
    const json_t *plan = json_object_get(guest, "plan");

    if (strcmp(json_text(guest, "state"), "stopped") == 0) {
        fprintf(out, "%s  %s  stopped\n", json_text(guest, "name"), json_text(guest, "uuid"));
        fputs("It does not run, so nothing is decided about it.\n", out);
        return;
    }
    fprintf(out, "%s  %s  %s, seen %s ago\n", json_text(guest, "name"), json_text(guest, "uuid"),
            json_text(guest, "state"), age(json_size(result, "age_ms")));
    say_warnings(page, result, guest);
    say_measured(page, result, guest);
    say_estimated(page, guest);
    if (!json_is_object(plan)) {
        say(page, "decided",
            "Nothing: there is no plan for it yet, or the policy failed. See the log of "
            "memctld.");
    } else if (!is_exempt(guest)) {
        say_divided(page, result);
        say_wish(page, result, guest, plan);
        say_rules(page, plan);
        say_sent(page, result, guest, plan);
    } else {
        say(page, "sent", "Nothing: it is left alone.");
    }
    say_pressed(page, result, plan);
    say_merging(page, json_object_get(result, "merging"));
    say_happened(page, guest, json_object_get(result, "last"));
    say_shrunk(page, guest, json_object_get(result, "shrunk"));
}

#define LINE_WIDTH 79

static int run(const struct cli *cli, int argc, char **argv)
{
    json_t *result;
    int code;

    if (argc != 1)
        return cli_usage(&command_explain, "takes the name or UUID of one guest");
    code = cli_ask(cli, "explain", json_pack("{s:s}", "guest", argv[0]), &result);
    if (code != EXIT_OK)
        return code;
    if (cli->json)
        return cli_print_json(result);
    explain_write(stdout, LINE_WIDTH, result);
    json_decref(result);
    return EXIT_OK;
}

const struct command command_explain = {
    .name = "explain",
    .arguments = "GUEST",
    .summary = "say in sentences why a guest has what it has, and what was last done about it",
    .run = run,
};
