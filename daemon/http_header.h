/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the header fields of a request mean. Pure: from texts to answers. */
#ifndef MEMCTLD_HTTP_HEADER_H
#define MEMCTLD_HTTP_HEADER_H

#include <stdbool.h>

/*
 * The quality, 0 to 1, that an Accept or Accept-Encoding field gives to exactly this item (RFC
 * 9110, section 12.4.2); 0 if it is not named. Parameters other than q are passed over: of several
 * versions of an item the best counts. field may be NULL.
 */
double http_quality(const char *field, const char *item);

/*
 * May a request be for this host? An address always: a page of somebody else's gets at us only
 * under a name, which it lets point here (DNS rebinding). So must be localhost, a name of this
 * machine, or one of `names`, separated by blanks. host is without a port, in any case; NULL or
 * empty, as browsers never send it, is fine. machine: the name that the machine has; its part
 * before the first dot counts as well.
 */
bool http_host_is_ours(const char *host, const char *machine, const char *names);

#endif
