/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void tell(struct top *top, bool bad, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct top *top, bool bad, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(top->message, sizeof(top->message), format, args);
    va_end(args);
    top->message_bad = bad;
}

static const struct top_guest *chosen_guest(const struct top *top)
{
    size_t index = top_chosen(top);

    return index < top->count ? &top->guests[index] : NULL;
}

/* ---- asking the daemon ---- */

static void want_settings(struct top *top, const struct top_guest *guest, const char *text,
                          struct request_wanted *wanted)
{
    char words[TOP_INPUT_MAX + 8], *rest = words;
    json_t *settings = json_object();
    struct mc_error err;

    snprintf(words, sizeof(words), "%s", text);
    for (char *word = strsep(&rest, " "); word; word = strsep(&rest, " ")) {
        if (!*word)
            continue;
        if (cli_add_setting(settings, word, &err) < 0) {
            tell(top, true, "%s", err.text);
            json_decref(settings);
            return;
        }
    }
    if (!json_object_size(settings)) {
        json_decref(settings);
        return;
    }
    wanted->verb = "set";
    wanted->args = json_pack("{s:s, s:o}", "guest", guest->uuid, "settings", settings);
    snprintf(wanted->done, sizeof(wanted->done), "%s: %s holds from now on", guest->name, text);
    tell(top, false, "%s: asking memctld", guest->name);
}

static void want_pause(struct top *top, const struct top_guest *guest, bool pause,
                       struct request_wanted *wanted)
{
    wanted->verb = pause ? "pause" : "resume";
    wanted->args = json_pack("{s:s}", "guest", guest->uuid);
    snprintf(wanted->done, sizeof(wanted->done),
             pause ? "%s is paused; p resumes it" : "%s is resumed", guest->name);
    tell(top, false, "%s: asking memctld", guest->name);
}

/* ---- typing ---- */

static int change_filter(struct top *top)
{
    snprintf(top->filter, sizeof(top->filter), "%.*s", TOP_FILTER_MAX - 1, top->input);
    return top_arrange(top);
}

static void finish_prompt(struct top *top, struct request_wanted *wanted)
{
    const struct top_guest *guest = top_asked(top);
    enum top_prompt prompt = top->prompt;
    char text[TOP_INPUT_MAX + 8];

    top->prompt = TOP_NO_PROMPT;
    if (prompt == TOP_ASK_FILTER || !*top->input)
        return;
    if (!guest) {
        tell(top, true, "that guest runs no more; nothing is changed");
        return;
    }
    snprintf(text, sizeof(text), "%s%s", prompt == TOP_ASK_SHARES ? "shares=" : "", top->input);
    want_settings(top, guest, text, wanted);
}

static void erase_last(char *text)
{
    size_t length = strlen(text);

    while (length && ((unsigned char)text[--length] & 0xc0) == 0x80)
        ; /* the other bytes of a sign in UTF-8 */
    text[length] = '\0';
}

static void append(struct top *top, uint32_t key)
{
    size_t length = strlen(top->input);

    if (key < ' ' || key > '~' || length + 1 >= sizeof(top->input))
        return;
    top->input[length] = (char)key;
    top->input[length + 1] = '\0';
}

static void type(struct top *top, uint32_t key, struct request_wanted *wanted)
{
    const struct top_guest *guest = top_asked(top);

    if (top->prompt == TOP_ASK_PAUSE) {
        top->prompt = TOP_NO_PROMPT;
        if (guest && (key == 'y' || key == 'Y'))
            want_pause(top, guest, true, wanted);
    } else if (key == TOP_KEY_ENTER) {
        finish_prompt(top, wanted);
    } else if (key == TOP_KEY_ESCAPE) {
        top->input[0] = '\0';
        if (top->prompt == TOP_ASK_FILTER)
            change_filter(top);
        top->prompt = TOP_NO_PROMPT;
    } else {
        if (key == TOP_KEY_BACKSPACE)
            erase_last(top->input);
        else if (key == 'U' - 64) /* control U, as in a shell */
            top->input[0] = '\0';
        else
            append(top, key);
        if (top->prompt == TOP_ASK_FILTER)
            change_filter(top);
    }
}

static void ask(struct top *top, enum top_prompt prompt)
{
    const struct top_guest *guest = chosen_guest(top);

    if (prompt != TOP_ASK_FILTER && !guest) {
        tell(top, true, "there is no guest to change");
        return;
    }
    top->prompt = prompt;
    snprintf(top->asked, sizeof(top->asked), "%s", guest ? guest->uuid : "");
    top->input[0] = '\0';
    if (prompt == TOP_ASK_FILTER)
        snprintf(top->input, sizeof(top->input), "%s", top->filter);
    else if (prompt == TOP_ASK_SHARES)
        snprintf(top->input, sizeof(top->input), "%llu", (unsigned long long)guest->shares);
}

/* ---- moving about ---- */

static void step(struct top *top, long by)
{
    size_t index = top_chosen(top);

    if (!top->count)
        return;
    if (index == top->count)
        index = 0;
    if (by < 0)
        index = index > (size_t)-by ? index - (size_t)-by : 0;
    else
        index += (size_t)by;
    top_choose(top, index);
}

static void scroll(struct top *top, const struct layout *layout, long by)
{
    size_t from = top->scroll < layout->scroll_max ? top->scroll : layout->scroll_max;

    if (by < 0)
        top->scroll = from > (size_t)-by ? from - (size_t)-by : 0;
    else
        top->scroll =
            from + (size_t)by < layout->scroll_max ? from + (size_t)by : layout->scroll_max;
}

static void move(struct top *top, const struct layout *layout, long by)
{
    if (top->page == TOP_LIST)
        step(top, by);
    else
        scroll(top, layout, by);
}

static void other_guest(struct top *top, long by)
{
    if (top->page != TOP_GUEST)
        return;
    step(top, by);
    top->scroll = 0;
}

static void turn_to(struct top *top, enum top_page page)
{
    top->scroll = 0;
    top->page = page;
}

static void sort_by_next(struct top *top, int by)
{
    top->sort = (enum top_sort)(((int)top->sort + by + TOP_SORT_COUNT) % TOP_SORT_COUNT);
    top_arrange(top);
}

static void press_pause(struct top *top, struct request_wanted *wanted)
{
    const struct top_guest *guest = chosen_guest(top);

    if (guest && top_is_paused(guest))
        want_pause(top, guest, false, wanted);
    else
        ask(top, TOP_ASK_PAUSE);
}

static void press_enter(struct top *top)
{
    if (top->page == TOP_LIST && chosen_guest(top))
        turn_to(top, TOP_GUEST);
    else if (top->page == TOP_GUEST)
        turn_to(top, TOP_LIST);
}

static void press_escape(struct top *top)
{
    if (top->page == TOP_HELP)
        turn_to(top, top->page_below);
    else if (top->page == TOP_GUEST)
        turn_to(top, TOP_LIST);
    else if (*top->filter) {
        top->filter[0] = '\0';
        top_arrange(top);
    }
}

static void press_help(struct top *top)
{
    if (top->page == TOP_HELP) {
        press_escape(top);
        return;
    }
    top->page_below = top->page;
    turn_to(top, TOP_HELP);
}

/* ---- the tables: keys that move, and keys that act ---- */

static bool press_move(struct top *top, const struct layout *layout, uint32_t key)
{
    const long page = (long)layout->page_rows, far = 1000000;
    const struct {
        uint32_t key;
        long by;
    } moves[] = {
        {TOP_KEY_UP, -1},         {'k', -1},
        {TOP_KEY_DOWN, 1},        {'j', 1},
        {TOP_KEY_PAGE_UP, -page}, {TOP_KEY_PAGE_DOWN, page},
        {TOP_KEY_HOME, -far},     {'g', -far},
        {TOP_KEY_END, far},       {'G', far},
    };

    for (size_t i = 0; i < sizeof(moves) / sizeof(*moves); i++) {
        if (moves[i].key != key)
            continue;
        move(top, layout, moves[i].by);
        return true;
    }
    return false;
}

static void press_other(struct top *top, uint32_t key, struct request_wanted *wanted)
{
    if (key == TOP_KEY_ENTER)
        press_enter(top);
    else if (key == TOP_KEY_ESCAPE)
        press_escape(top);
    else if (key == '?' || key == 'h')
        press_help(top);
    else if (key == TOP_KEY_LEFT || key == TOP_KEY_RIGHT)
        other_guest(top, key == TOP_KEY_LEFT ? -1 : 1);
    else if (key == '<' || key == '>')
        sort_by_next(top, key == '<' ? -1 : 1);
    else if (key == 't' && top->page == TOP_GUEST)
        top->span = (enum top_span)((top->span + 1) % TOP_SPAN_COUNT);
    else if (key == 'r')
        top->reversed = !top->reversed, top_arrange(top);
    else if (key == 'b')
        top->same_scale = !top->same_scale;
    else if (key == '/' && top->page == TOP_LIST)
        ask(top, TOP_ASK_FILTER);
    else if (key == 's' && top->page != TOP_HELP)
        ask(top, TOP_ASK_SHARES);
    else if (key == 'e' && top->page != TOP_HELP)
        ask(top, TOP_ASK_SETTINGS);
    else if (key == 'p' && top->page != TOP_HELP)
        press_pause(top, wanted);
}

bool keys_press(struct top *top, const struct layout *layout, uint32_t key,
                struct request_wanted *wanted)
{
    *wanted = (struct request_wanted){0};
    top->message[0] = '\0';
    if (top->prompt != TOP_NO_PROMPT)
        type(top, key, wanted);
    else if (key == 'q')
        return false;
    else if (!press_move(top, layout, key))
        press_other(top, key, wanted);
    return true;
}
