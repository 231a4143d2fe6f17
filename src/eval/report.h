/* report.h: the parts of a report: a document of all figures, and what is written from it. */
#ifndef MN_EVAL_REPORT_H
#define MN_EVAL_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "base/page.h"
#include "eval/summary.h"

/* Figures are written with this many digits, in JSON and CSV alike. */
enum { MN__REPORT_DIGITS = MN__PAGE_DIGITS };

/* A text of any bytes; broken UTF-8 becomes U+FFFD. At most `most` bytes of it (0: all), what was
 * left out said in words. NULL: no memory. */
json_t *mn__report_text(const char *text, size_t most);

json_t *mn__report_real(double x); /* null where it is not finite */

/* report_json.c: all figures of a summary; the caller's (json_decref). NULL: no memory. */
json_t *mn__report_json(const mn__summary *s);

/* report_write.c: the text of a document (NULL: MN_ENOMEM) in pieces. */
mn_status mn__report_put(const json_t *doc, void (*put)(const char *text, size_t n, void *ctx),
                         void *ctx, mn_diag *diag);

/* report_csv.c: the lines of summary, families, rows (level "task") and pairs. */
mn_status mn__report_csv(FILE *to, const json_t *doc);

/* report_page.c. chart_js, d3_js: paths. */
typedef struct mn__report_page {
    const mn__summary *summary;
    const json_t *doc;
    mn__store *store; /* of the same records: the page shows each */
    const char *chart_js, *d3_js;
} mn__report_page;
mn_status mn__report_html(FILE *to, const mn__report_page *page, mn_diag *diag);

/* report_records.c: every prompt with its records, as JSON that may stand in an HTML script. */
mn_status mn__report_records(FILE *to, const mn__summary *s, mn__store *store, mn_diag *diag);

#endif
