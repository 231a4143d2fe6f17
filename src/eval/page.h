/* page.h: HTML files that need nothing else, written from a template. */
#ifndef MN_EVAL_PAGE_H
#define MN_EVAL_PAGE_H

#include <stddef.h>
#include <stdio.h>
#include "mneme/status.h"

typedef struct mn__page {
    const unsigned char *html; /* [n_html]; "<!--mneme:NAME-->" stands for a part */
    size_t n_html;
    mn_status (*put)(FILE *to, const char *name, size_t n_name, const void *ctx, mn_diag *diag);
    const void *ctx;
} mn__page;
/* What `put` returned. A failure to write shows in ferror(to). */
mn_status mn__page_write(FILE *to, const mn__page *page, mn_diag *diag);

/* A script as it is installed. MN_EINPUT: it would end the element that holds it. */
mn_status mn__page_put_library(FILE *to, const char *path, mn_diag *diag);
/* Text between tags or in an attribute. */
void mn__page_put_escaped(FILE *to, const char *text);

#endif
