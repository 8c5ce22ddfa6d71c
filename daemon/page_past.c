/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the page shows of the past: its charts and the decisions about a guest. With a history the
 * librarian's thread makes the whole answer. Without one, and while it does not answer, the charts
 * show the last hours as the daemon has them in memory.
 */
#include "page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <memctl/store.h>
#include <memctl/units.h>

#include "control.h"
#include "http.h"
#include "librarian.h"

#define MINUTE_MS UINT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)

/* Of a guest: enough for somebody who reads. */
#define DECISIONS_SHOWN 100

/* Each in 180 to 372 steps; without a history only as far as memory goes. */
static const struct {
    uint64_t span_ms, step_ms;
} spans[] = {
    {30 * MINUTE_MS, 10000},          {6 * HOUR_MS, MINUTE_MS},
    {24 * HOUR_MS, 5 * MINUTE_MS},    {7 * 24 * HOUR_MS, 30 * MINUTE_MS},
    {31 * 24 * HOUR_MS, 2 * HOUR_MS},
};

#define SPANS (sizeof(spans) / sizeof(*spans))

json_t *page_spans(const struct daemon *daemon)
{
    json_t *list = json_array();

    for (size_t i = 0; i < SPANS; i++)
        if (daemon->librarian || spans[i].span_ms <= TREND_SPAN_MS)
            json_array_append_new(list, json_integer((json_int_t)spans[i].span_ms));
    return list;
}

/* ---- out of memory ---- */

static const char *const host_columns[] = {
    [TREND_TOTAL] = "total",     [TREND_AVAILABLE] = "available", [TREND_BUDGET] = "budget",
    [TREND_DIVIDED] = "divided", [TREND_PROMISED] = "promised",   [TREND_HELD] = "held",
    [TREND_ACTUAL] = "actual",   [TREND_USED] = "used",           [TREND_STALL] = "stall",
};
static const char *const guest_columns[] = {
    [TREND_G_ACTUAL] = "actual", [TREND_G_USED] = "used",     [TREND_G_ACTIVE] = "active",
    [TREND_G_HELD] = "held",     [TREND_G_TARGET] = "target",
};

static json_t *column_json(const uint64_t *values, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, values[i] == MC_UNKNOWN ? json_null()
                                                            : json_integer((json_int_t)values[i]));
    return list;
}

static void reply_trend(void *opaque, const struct trend_answer *answer)
{
    struct exchange *exchange = opaque;
    const char *const *columns;
    json_t *times, *series;

    if (!answer) {
        exchange_fail(exchange, 404, "Not Found: nothing is known of this guest");
        return;
    }
    columns = answer->columns == TREND_GUEST_COLUMNS ? guest_columns : host_columns;
    times = json_array();
    series = json_object();
    for (size_t i = 0; i < answer->count; i++)
        json_array_append_new(times, json_integer(answer->wall_ms[i]));
    for (unsigned i = 0; i < answer->columns; i++)
        json_object_set_new(series, columns[i], column_json(answer->values[i], answer->count));
    page_reply(exchange, json_pack("{s:I, s:o, s:o}", "step_ms", (json_int_t)answer->step_ms,
                                   "times", times, "series", series));
}

/* ---- out of the history ---- */

struct page_question {
    struct book_question question;
    struct exchange *exchange; /* of the main loop, as trend and its question */
    const struct trend *trend; /* what is asked when the history does not answer, or NULL */
    struct trend_question trend_question;
    json_t *args; /* of the thread, as below */
    char *text;   /* the answer; or NULL, and why: */
    struct mc_error failure;
};

static void look_up(struct book_question *question, struct mc_store *store,
                    const struct mc_error *err)
{
    struct page_question *self = (struct page_question *)question;
    json_t *result = NULL;

    self->failure = *err;
    if (store && mc_history_answer(store, self->args, &result, &self->failure) == 0)
        self->text = json_dumps(result, JSON_COMPACT);
    json_decref(result);
}

static void answer(struct book_question *question)
{
    struct page_question *self = (struct page_question *)question;

    if (self->text)
        page_reply_text(self->exchange, self->text);
    else if (self->trend)
        trend_read(self->trend, &self->trend_question, reply_trend, self->exchange);
    else if (self->failure.code == -ENOENT)
        page_reply_text(self->exchange, "{\"decisions\":[]}"); /* none are kept */
    else
        exchange_fail(self->exchange, 503, "Service Unavailable: the history does not answer");
    json_decref(self->args);
    free(self->text);
    free(self);
}

static int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Takes over args. Without a history, or with too many questions: as if it had no answer. */
static void ask(struct exchange *exchange, const struct daemon *daemon, json_t *args,
                const struct trend_question *trend_question)
{
    struct page_question *self = calloc(1, sizeof(*self));

    if (!self || !args) {
        exchange_fail(exchange, 503, "Service Unavailable: out of memory");
        json_decref(args);
        free(self);
        return;
    }
    self->question = (struct book_question){.look_up = look_up, .answer = answer};
    self->exchange = exchange;
    self->args = args;
    if (trend_question) {
        self->trend = daemon->trend;
        self->trend_question = *trend_question;
    }
    if (librarian_ask(daemon->librarian, &self->question, LIBRARIAN_OF_PAGE, &self->failure) < 0)
        answer(&self->question);
}

/* ---- what the page asks for ---- */

void answer_trend(struct exchange *exchange, const struct daemon *daemon)
{
    struct trend_question question = {.span_ms = spans[0].span_ms};
    int64_t now_ms = wall_ms();
    struct mc_error err;
    char text[24];
    size_t i = 0;

    if (exchange_parameter(exchange, "span_ms", text, sizeof(text)) &&
        mc_number_parse(text, 1, UINT32_MAX, &question.span_ms, &err) < 0) {
        exchange_fail(exchange, 400, "Bad Request: span_ms is no number of milliseconds");
        return;
    }
    exchange_parameter(exchange, "uuid", question.uuid, sizeof(question.uuid));
    while (i + 1 < SPANS && spans[i].span_ms < question.span_ms)
        i++;
    ask(exchange, daemon,
        json_pack("{s:s, s:s, s:I, s:I, s:I}", "what", "course", "guest",
                  *question.uuid ? question.uuid : "host", "since_ms",
                  (json_int_t)(now_ms - (int64_t)spans[i].span_ms), "until_ms", (json_int_t)now_ms,
                  "step_ms", (json_int_t)spans[i].step_ms),
        &question);
}

void answer_decisions(struct exchange *exchange, const struct daemon *daemon)
{
    char uuid[MC_UUID_TEXT];

    if (!exchange_parameter(exchange, "uuid", uuid, sizeof(uuid)) || !*uuid) {
        exchange_fail(exchange, 400, "Bad Request: uuid says whose decisions");
        return;
    }
    ask(exchange, daemon,
        json_pack("{s:s, s:s, s:i}", "what", "decisions", "guest", uuid, "limit", DECISIONS_SHOWN),
        NULL);
}
