/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page: what daemon/page/embed.py makes of it, and what page*.c have in common. */
#ifndef MEMCTLD_PAGE_H
#define MEMCTLD_PAGE_H

#include <stddef.h>

#include <jansson.h>

struct daemon;
struct exchange;

struct page_form {
    const unsigned char *bytes;
    size_t length;
    const char *etag;
};

extern const struct page_form page_plain, page_gzip;

/* The Content-Security-Policy that goes with it. */
extern const char page_policy[];

/* Answer with JSON. Takes over object; NULL of either: out of memory. */
void page_reply(struct exchange *exchange, json_t *object);
void page_reply_text(struct exchange *exchange, const char *text);

/* page_past.c: how far back its charts may reach, the shortest first, in ms. */
json_t *page_spans(const struct daemon *daemon);

#endif
