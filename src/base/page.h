/* page.h: HTML files that need nothing else, written from a template. */
#ifndef MN_BASE_PAGE_H
#define MN_BASE_PAGE_H

#include <jansson.h>
#include <stdbool.h>
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

/* Whether a chart library can be read: MN_EINPUT with the package that brings it. */
mn_status mn__page_find_library(const char *path, const char *package, mn_diag *diag);
/* A script as it is installed. MN_EINPUT: it would end the element that holds it. */
mn_status mn__page_put_library(FILE *to, const char *path, mn_diag *diag);
/* Text between tags or in an attribute. */
void mn__page_put_escaped(FILE *to, const char *text);

enum { MN__PAGE_DIGITS = 9 }; /* of figures */
/* JSON in which no "<" can end the script that holds it. false: no memory. A failure to write
 * shows in ferror(to). */
bool mn__page_put_json(FILE *to, const json_t *doc);

/* What a run left, as two files of its folder: report.json, the document, and report.html, a page
 * that holds it, a chart library, and these parts (cmake/embed.cmake). */
typedef struct mn__page_report {
    const char *dir; /* the page's title too */
    const json_t *doc;
    const char *chart_js; /* path of Chart.js */
    const unsigned char *html, *css, *js;
    size_t n_html, n_css, n_js;
} mn__page_report;
/* MN_EINPUT: no chart library, after report.json was written; MN_EIO, MN_ENOMEM, MN_ERANGE: too
 * long a name. */
mn_status mn__page_report_write(const mn__page_report *r, mn_diag *diag);

#endif
