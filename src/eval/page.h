/* page.h: HTML files that need nothing else. A page is a template in which "<!--mneme:NAME-->"
 * marks stand for parts; data comes in as JSON, or in base64, in which nothing can end a script. */
#ifndef MN_EVAL_PAGE_H
#define MN_EVAL_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "mneme/status.h"

/* The template with put(to, name, ctx) in place of each mark; name is NUL-terminated. Ends at the
 * first failure; what fails to be written shows in ferror(to). */
typedef mn_status (*mn__page_put)(FILE *to, const char *name, const void *ctx, mn_diag *diag);
mn_status mn__page_fill(FILE *to, const unsigned char *html, size_t n, mn__page_put put,
                        const void *ctx, mn_diag *diag);
/* A script as it is installed. MN_EINPUT: it is none that can stand in a page. */
mn_status mn__page_put_library(FILE *to, const char *path, mn_diag *diag);
/* Whether a chart library can be read: MN_EINPUT with the package that brings it. */
mn_status mn__page_find_library(const char *path, const char *package, mn_diag *diag);
/* Text in which nothing is markup. */
void mn__page_put_escaped(FILE *to, const char *text);

/* Bytes in base64, as they come. Start with all zero but `to`; end with flush. */
typedef struct mn__base64 {
    FILE *to;
    uint8_t held[3];
    size_t n_held;
} mn__base64;
void mn__base64_put(mn__base64 *b, const void *data, size_t n);
/* 7 bits a byte, lowest first, the eighth says that more follow. */
void mn__base64_put_varint(mn__base64 *b, uint64_t x);
void mn__base64_flush(mn__base64 *b);

#endif
