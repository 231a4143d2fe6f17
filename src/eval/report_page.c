/* report_page.c: one HTML file that needs nothing else: the page of src/eval/report/, the chart
 * libraries as they are installed, the figures, and every record. Texts of records come in as JSON
 * in which nothing can end the script, and leave it as text nodes: none is ever markup. */
#include "eval/report.h"

#include <string.h>

#include "base/diag.h"
#include "base/page.h"
#include "report_parts.inc" /* written by cmake/embed.cmake: part_page_html[], ... */

/* ---- parts ---- */

struct part {
    const char *name; /* as in "<!--mneme:NAME-->" of page.html */
    const unsigned char *data;
    size_t n;
};
#define PART(name, array)         \
    {                             \
        name, array, sizeof array \
    }
static const struct part parts[] = {
    PART("style", part_page_css),
    PART("script", part_page_js),
};

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

/* ---- the page ---- */

static mn_status put_part(FILE *to, const char *name, size_t n, const void *ctx, mn_diag *diag)
{
    const mn__report_page *p = ctx;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strlen(parts[i].name) == n && !memcmp(parts[i].name, name, n)) {
            fwrite(parts[i].data, 1, parts[i].n, to);
            return MN_OK;
        }
    if (!strncmp(name, "title", n)) {
        put_title(to, p->summary);
        return MN_OK;
    }
    if (!strncmp(name, "chart", n)) return mn__page_put_library(to, p->chart_js, diag);
    if (!strncmp(name, "d3", n)) return mn__page_put_library(to, p->d3_js, diag);
    if (!strncmp(name, "records", n)) return mn__report_records(to, p->summary, p->store, diag);
    if (mn__page_put_json(to, p->doc)) return MN_OK;
    return mn__fail(diag, MN_ENOMEM, "no memory for the page");
}

mn_status mn__report_html(FILE *to, const mn__report_page *page, mn_diag *diag)
{
    const mn__page template = {part_page_html, sizeof part_page_html, put_part, page};
    return mn__page_write(to, &template, diag);
}
