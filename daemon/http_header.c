/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http_header.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Accept, Accept-Encoding ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The q of the parameters up to the next comma; 1 without one. */
static double read_quality(const char *parameters)
{
    const char *p = parameters;

    while (*p == ';') {
        p++;
        while (is_blank(*p))
            p++;
        if ((p[0] == 'q' || p[0] == 'Q') && p[1] == '=') {
            double quality = strtod(p + 2, NULL);

            return quality >= 0 && quality <= 1 ? quality : 0; /* not for NaN */
        }
        p += strcspn(p, ";,");
    }
    return 1;
}

double http_quality(const char *field, const char *item)
{
    size_t wanted = strlen(item);
    double best = 0;

    for (const char *p = field; p && *p;) {
        size_t length, trimmed;

        while (is_blank(*p) || *p == ',')
            p++;
        length = strcspn(p, ";,");
        for (trimmed = length; trimmed && is_blank(p[trimmed - 1]);)
            trimmed--;
        if (trimmed == wanted && strncasecmp(p, item, wanted) == 0) {
            double quality = read_quality(p + length);

            best = quality > best ? quality : best;
        }
        p += strcspn(p, ",");
    }
    return best;
}

/* ---- Host ---- */

static bool is_address(const char *host)
{
    char address[INET6_ADDRSTRLEN];
    size_t length = strlen(host);
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, host, &four) == 1)
        return true;
    if (length < 2 || host[0] != '[' || host[length - 1] != ']' || length - 2 >= sizeof(address))
        return false;
    memcpy(address, host + 1, length - 2);
    address[length - 2] = '\0';
    return inet_pton(AF_INET6, address, &six) == 1;
}

static bool is_same(const char *host, size_t length, const char *name, size_t name_length)
{
    return length && length == name_length && strncasecmp(host, name, length) == 0;
}

static bool is_among(const char *host, size_t length, const char *names)
{
    for (const char *name = names; *name; name += strcspn(name, " \t")) {
        name += strspn(name, " \t");
        if (is_same(host, length, name, strcspn(name, " \t")))
            return true;
    }
    return false;
}

bool http_host_is_ours(const char *host, const char *machine, const char *names)
{
    size_t length = host ? strlen(host) : 0;

    if (!length || is_address(host))
        return true;
    if (host[length - 1] == '.') /* the root of the name system, which may be said */
        length--;
    return is_same(host, length, "localhost", strlen("localhost")) ||
           is_same(host, length, machine, strlen(machine)) ||
           is_same(host, length, machine, strcspn(machine, ".")) || is_among(host, length, names);
}
