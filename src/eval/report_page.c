/* report_page.c: one HTML file that needs nothing else: the page of src/eval/report/, the chart
 * libraries as they are installed, the figures, and every record. Texts of records come in as JSON
 * in which nothing can end the script, and leave it as text nodes: none is ever markup. */
#include "eval/report.h"

#include <string.h>

#include "base/diag.h"
#include "eval/page.h"
#include "report_parts.inc" /* written by cmake/embed.cmake: part_page_html[], ... */

/* The models that were asked, for the window's title. */
static void put_title(FILE *to, const mn__summary *s)
{
    const char *last = "";
    for (size_t i = 0; i < s->n_run; i++) {
        const char *model = strrchr(s->run[i].about.model, '/');
        model = model ? model + 1 : s->run[i].about.model;
        if (!strcmp(model, last)) continue;
        if (i > 0) fputs(", ", to);
        mn__page_put_escaped(to, model);
        last = model;
    }
}

static mn_status put_part(FILE *to, const char *name, const void *page, mn_diag *diag)
{
    const mn__report_page *p = page;
    if (!strcmp(name, "style")) {
        fwrite(part_page_css, 1, sizeof part_page_css, to);
        return MN_OK;
    }
    if (!strcmp(name, "script")) {
        fwrite(part_page_js, 1, sizeof part_page_js, to);
        return MN_OK;
    }
    if (!strcmp(name, "title")) {
        put_title(to, p->summary);
        return MN_OK;
    }
    if (!strcmp(name, "chart")) return mn__page_put_library(to, p->chart_js, diag);
    if (!strcmp(name, "d3")) return mn__page_put_library(to, p->d3_js, diag);
    if (!strcmp(name, "records")) return mn__report_records(to, p->summary, p->store, diag);
    if (mn__report_put_json(to, p->doc)) return MN_OK;
    return mn__fail(diag, MN_ENOMEM, "no memory for the page");
}

mn_status mn__report_html(FILE *to, const mn__report_page *page, mn_diag *diag)
{
    return mn__page_fill(to, part_page_html, sizeof part_page_html, put_part, page, diag);
}
