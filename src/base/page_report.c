/* page_report.c: a run's document, as it is and as a page that needs nothing else. */
#include <limits.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/page.h"

/* The folder's own name: a page that is published tells nothing of the machine. */
static void put_title(FILE *to, const char *dir)
{
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s", dir);
    for (size_t n = strlen(name); n > 1 && name[n - 1] == '/'; n--) name[n - 1] = '\0';
    const char *slash = strrchr(name, '/');
    mn__page_put_escaped(to, slash && slash[1] ? slash + 1 : name);
}

static mn_status put_part(FILE *to, const char *name, size_t n, const void *ctx, mn_diag *diag)
{
    const mn__page_report *r = ctx;
    if (!strncmp(name, "title", n))
        put_title(to, r->dir);
    else if (!strncmp(name, "style", n))
        fwrite(r->css, 1, r->n_css, to);
    else if (!strncmp(name, "script", n))
        fwrite(r->js, 1, r->n_js, to);
    else if (!strncmp(name, "chart", n))
        return mn__page_put_library(to, r->chart_js, diag);
    else if (!mn__page_put_json(to, r->doc))
        return mn__fail(diag, MN_ENOMEM, "no memory for the page");
    return MN_OK;
}

static mn_status put_page(FILE *to, const mn__page_report *r, mn_diag *diag)
{
    const mn__page page = {r->html, r->n_html, put_part, r};
    return mn__page_write(to, &page, diag);
}

static mn_status put_document(FILE *to, const mn__page_report *r, mn_diag *diag)
{
    if (json_dumpf(r->doc, to,
                   JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(MN__PAGE_DIGITS)) &&
        !ferror(to))
        return mn__fail(diag, MN_ENOMEM, "no memory for the report");
    fputc('\n', to);
    return MN_OK;
}

static mn_status write_file(const mn__page_report *r, const char *name,
                            mn_status (*put)(FILE *, const mn__page_report *, mn_diag *),
                            mn_diag *diag)
{
    mn_status st;
    mn__atomic file = {0};
    char path[PATH_MAX + 32];
    if (snprintf(path, sizeof path, "%s/%s", r->dir, name) >= (int)sizeof path)
        return mn__fail(diag, MN_ERANGE, "too long a folder's name");
    MN_TRY(mn__atomic_open(&file, path, diag));
    MN_TRY(put(file.file, r, diag));
    MN_TRY(mn__atomic_commit(&file, diag)); /* also tells of writes that failed */
done:
    mn__atomic_abort(&file);
    return st;
}

mn_status mn__page_report_write(const mn__page_report *r, mn_diag *diag)
{
    mn_status st;
    MN_TRY(write_file(r, "report.json", put_document, diag));
    MN_TRY(mn__page_find_library(r->chart_js, "libjs-chart.js", diag));
    MN_TRY(write_file(r, "report.html", put_page, diag));
done:
    return st;
}
