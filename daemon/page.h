/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What daemon/page/embed.py makes of the page: a file of C with these. */
#ifndef MEMCTLD_PAGE_H
#define MEMCTLD_PAGE_H

#include <stddef.h>

struct page_form {
    const unsigned char *bytes;
    size_t length;
    const char *etag;
};

extern const struct page_form page_plain, page_gzip;

/* The Content-Security-Policy that goes with it. */
extern const char page_policy[];

#endif
