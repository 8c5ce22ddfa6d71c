/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memctl top. feed.c hears the daemon, state.c keeps what was heard, layout*.c makes a screen of
 * it, keys.c changes what is shown, terminal.c draws; here they meet.
 */
#include "cli.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "top/feed.h"
#include "top/keys.h"
#include "top/layout.h"
#include "top/state.h"
#include "top/terminal.h"

#define INTERVAL_MS 1000
#define INTERVAL_MIN_MS 100

/* What the last line says of the daemon ages while nothing comes. */
#define AGE_MS 1000

/* Of a frame that is printed, where nothing says how large it may be. */
#define COLUMNS_DEFAULT 80
#define COLUMNS_MAX 1000

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool has_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* ---- the live view ---- */

struct session {
    struct top top;
    struct layout layout;
    struct feed *feed;
    char done[TOP_MESSAGE_MAX]; /* what to say when the command under way succeeds */
    bool utf8;
};

static int draw(struct session *session)
{
    struct screen screen;
    int columns, rows;

    terminal_size(&columns, &rows);
    if (screen_init(&screen, columns, rows, session->utf8) < 0)
        return -ENOMEM;
    layout_draw(&session->top, &screen, &session->layout);
    terminal_draw(&screen, session->layout.cursor);
    screen_free(&screen);
    return 0;
}

static void take_outcome(struct session *session)
{
    struct top *top = &session->top;
    struct outcome outcome;

    if (!feed_take_outcome(session->feed, &outcome))
        return;
    top->message_bad = !outcome.done;
    snprintf(top->message, sizeof(top->message), "%s",
             outcome.done ? session->done : outcome.error.text);
}

static int take_news(struct session *session)
{
    struct top *top = &session->top;
    struct news news;
    int rc = 0;

    top->now_ms = now_ms();
    if (!feed_take(session->feed, &news))
        return 0;
    if (!news.list) {
        top_lose(top, news.error.text, top->now_ms);
        return 0;
    }
    rc = top_hear(top, news.status, news.list, top->now_ms);
    top_hear_events(top, news.events);
    /* What is asked anew has not come yet: the last explanation stays until then. */
    if (news.explained)
        top_hear_explained(top, news.explained);
    if (*news.past.uuid)
        top_hear_past(top, news.past);
    return rc;
}

/* Whatever has been typed. Returns false to quit. */
static bool take_keys(struct session *session)
{
    struct top *top = &session->top;
    struct request_wanted wanted;
    uint32_t key;

    while (terminal_key(&key)) {
        if (key == 'L' - 64)
            terminal_redraw();
        if (key && !keys_press(top, &session->layout, key, &wanted))
            return false;
        if (!key || !wanted.verb)
            continue;
        memcpy(session->done, wanted.done, sizeof(session->done));
        if (!feed_ask(session->feed, wanted.verb, wanted.args)) {
            top->message_bad = true;
            snprintf(top->message, sizeof(top->message),
                     "memctld has not answered what was asked before; try again");
        }
    }
    /* An explanation of another guest than the chosen one is of no use. */
    if (top->explained &&
        strcmp(json_text(json_object_get(top->explained, "guest"), "uuid"), top->chosen) != 0)
        top_hear_explained(top, NULL);
    feed_watch(session->feed, top->page == TOP_GUEST ? top->chosen : "", top->span,
               session->layout.chart_steps);
    return true;
}

static int show(struct session *session)
{
    struct pollfd waits[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = feed_descriptor(session->feed), .events = POLLIN}};
    int rc;

    do {
        rc = draw(session);
        if (rc < 0)
            return rc;
        /* Interrupted by a signal: the size of the terminal may have changed. */
        if (poll(waits, 2, AGE_MS) < 0)
            waits[0].revents = waits[1].revents = 0;
        if (waits[0].revents & (POLLHUP | POLLERR | POLLNVAL))
            return 0; /* the terminal is gone */
        take_outcome(session);
        rc = take_news(session);
    } while (rc == 0 && take_keys(session));
    return rc;
}

static int run_live(struct session *session, const struct cli *cli, uint64_t interval_ms)
{
    int rc;

    session->feed = feed_start(cli->socket, interval_ms);
    if (!session->feed) {
        fputs("memctl: no thread to ask memctld\n", stderr);
        return EXIT_FAILED;
    }
    if (terminal_open() < 0) {
        feed_stop(session->feed);
        fprintf(stderr,
                "memctl: the terminal type '%s' is not known here, or a dumb one; set TERM, as in "
                "TERM=vt100, or use 'memctl top --once'\n",
                getenv("TERM") ? getenv("TERM") : "");
        return EXIT_FAILED;
    }
    rc = show(session);
    terminal_close();
    feed_stop(session->feed);
    if (rc == 0)
        return EXIT_OK;
    fprintf(stderr, "memctl: %s\n", strerror(-rc));
    return EXIT_FAILED;
}

/* ---- one frame ---- */

/* The terminal's width if there is one, else $COLUMNS, else 80. */
static int frame_columns(void)
{
    const char *set = getenv("COLUMNS");
    struct winsize size;
    long columns = set ? strtol(set, NULL, 10) : 0;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        columns = size.ws_col;
    return columns > 0 && columns <= COLUMNS_MAX ? (int)columns : COLUMNS_DEFAULT;
}

static int print_frame(const struct top *top, bool utf8)
{
    /* The head, a heading, a line for each guest, and the last line, which is left out. */
    int rows = 12 + (int)top->count, last = 0;
    struct layout layout;
    struct screen screen;

    if (screen_init(&screen, frame_columns(), rows, utf8) < 0)
        return EXIT_FAILED;
    layout_draw(top, &screen, &layout);
    for (int row = 0; row < rows - 1; row++)
        for (int i = 0; i < screen.columns; i++)
            if (screen.cells[row * screen.columns + i].sign != ' ')
                last = row;
    for (int row = 0; row <= last; row++) {
        screen_write_row(&screen, row, stdout);
        putchar('\n');
    }
    screen_free(&screen);
    return EXIT_OK;
}

static int run_once(struct session *session, const struct cli *cli)
{
    json_t *status = NULL, *list = NULL;
    int code = cli_ask(cli, "status", NULL, &status);

    if (code == EXIT_OK)
        code = cli_ask(cli, "list", NULL, &list);
    if (code != EXIT_OK) {
        json_decref(status);
        return code;
    }
    if (top_hear(&session->top, status, list, now_ms()) < 0)
        return EXIT_FAILED;
    session->top.chosen[0] = '\0'; /* nothing is chosen on paper */
    return print_frame(&session->top, session->utf8);
}

/* ---- */

static int read_options(const struct cli *cli, struct top *top, uint64_t *interval_ms)
{
    const char *interval = cli_option(cli, "interval"), *sort = cli_option(cli, "sort");
    const char *filter = cli_option(cli, "filter");
    struct mc_error err;

    *interval_ms = INTERVAL_MS;
    if (interval && mc_span_parse(interval, interval_ms, &err) < 0)
        return cli_usage(&command_top, "--interval: %s", err.text);
    if (*interval_ms < INTERVAL_MIN_MS)
        return cli_usage(&command_top, "--interval %s is too short; at least 100ms", interval);
    if (sort)
        top->sort = top_sort_named(sort);
    if (top->sort == TOP_SORT_COUNT)
        return cli_usage(&command_top,
                         "--sort takes name, actual, used, target, move, shares, saving or why");
    if (filter)
        snprintf(top->filter, sizeof(top->filter), "%s", filter);
    return EXIT_OK;
}

static int run(const struct cli *cli, int argc, char **argv)
{
    struct session session = {0};
    uint64_t interval_ms;
    int code;

    (void)argv;
    if (argc)
        return cli_usage(&command_top, "takes no argument; / in it shows only some guests");
    if (cli->json)
        return cli_usage(&command_top, "has no JSON; 'memctl --json list' has the same figures");
    code = read_options(cli, &session.top, &interval_ms);
    if (code != EXIT_OK)
        return code;
    setlocale(LC_CTYPE, "");
    session.utf8 = has_utf8();
    if (gethostname(session.top.host, sizeof(session.top.host) - 1) < 0)
        session.top.host[0] = '\0';
    if (cli_option(cli, "once"))
        code = run_once(&session, cli);
    else if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        code = run_live(&session, cli, interval_ms);
    else
        code = cli_usage(&command_top, "needs a terminal; --once prints what it would show");
    top_free(&session.top);
    return code;
}

static const struct command_option options[] = {
    {"once", NULL, "print one picture and end, also without a terminal"},
    {"interval", "TIME", "how often to look, 1s by default"},
    {"sort", "COLUMN", "name, actual, used, target, move, shares, saving or why"},
    {"filter", "TEXT", "only guests whose name or reason has this in it"},
    {0},
};

const struct command command_top = {
    .name = "top",
    .arguments = "[--once] [--interval TIME] [--sort COLUMN] [--filter TEXT]",
    .summary = "watch host and guests live, ask why, and change shares",
    .options = options,
    .help = "? in it shows the keys and what the bars mean. NO_COLOR is respected.",
    .run = run,
};
