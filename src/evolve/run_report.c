/* run_report.c: what a run's log and run.json tell, as one document and as a page that needs
 * nothing else. */
#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/file.h"
#include "eval/page.h"
#include "eval/report.h"
#include "evolve/run_log.h"
#include "evolve_parts.inc" /* written by cmake/embed.cmake: part_page_html[], ... */
#include "mneme/evolve.h"

typedef struct report {
    const char *dir, *chart_js;
    json_t *doc;
} report;

static mn_status put_part(FILE *to, const char *name, size_t n, const void *ctx, mn_diag *diag)
{
    const report *r = ctx;
    if (!strncmp(name, "title", n))
        mn__page_put_escaped(to, r->dir);
    else if (!strncmp(name, "style", n))
        fwrite(part_page_css, 1, sizeof part_page_css, to);
    else if (!strncmp(name, "script", n))
        fwrite(part_page_js, 1, sizeof part_page_js, to);
    else if (!strncmp(name, "chart", n))
        return mn__page_put_library(to, r->chart_js, diag);
    else if (!mn__report_put_json(to, r->doc))
        return mn__fail(diag, MN_ENOMEM, "no memory for the page");
    return MN_OK;
}

static mn_status put_page(FILE *to, const report *r, mn_diag *diag)
{
    const mn__page page = {part_page_html, sizeof part_page_html, put_part, r};
    return mn__page_write(to, &page, diag);
}

static mn_status put_document(FILE *to, const report *r, mn_diag *diag)
{
    if (json_dumpf(r->doc, to,
                   JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(MN__REPORT_DIGITS)) &&
        !ferror(to))
        return mn__fail(diag, MN_ENOMEM, "no memory for the report");
    fputc('\n', to);
    return MN_OK;
}

static mn_status write_file(const report *r, const char *name,
                            mn_status (*put)(FILE *, const report *, mn_diag *), mn_diag *diag)
{
    mn_status st;
    mn__atomic file = {0};
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", r->dir, name);
    MN_TRY(mn__atomic_open(&file, path, diag));
    MN_TRY(put(file.file, r, diag));
    MN_TRY(mn__atomic_commit(&file, diag)); /* also tells of writes that failed */
done:
    mn__atomic_abort(&file);
    return st;
}

static mn_status read_run(report *r, mn_diag *diag)
{
    mn_status st;
    char path[PATH_MAX + 32];
    json_t *log = NULL;
    json_error_t why;
    snprintf(path, sizeof path, "%s/log.sqlite", r->dir);
    if (access(path, F_OK))
        return mn__fail(diag, MN_EINPUT,
                        "%s: no evolution there (log.sqlite is what `mneme evolve --out` writes)",
                        r->dir);
    MN_TRY(mn__run_log_read(path, &log, diag));
    snprintf(path, sizeof path, "%s/run.json", r->dir);
    json_t *about = json_load_file(path, 0, &why);
    if (!about) MN_TRY(mn__fail(diag, MN_EINPUT, "%s: %s", path, why.text));
    r->doc = json_pack("{s:i,s:o,s:O,s:O}", "version", 1, "run", about, "stages",
                       json_object_get(log, "stages"), "generations",
                       json_object_get(log, "generations"));
    if (!r->doc) st = mn__fail(diag, MN_ENOMEM, "no memory for the report");
done:
    json_decref(log);
    return st;
}

mn_status mn_evolve_report(const char *dir, const char *chart_js, mn_diag *diag)
{
    mn_status st;
    report r = {.dir = dir, .chart_js = chart_js ? chart_js : MN_CHART_JS};
    if (strlen(dir) >= PATH_MAX) return mn__fail(diag, MN_EINPUT, "too long a folder's name");
    MN_TRY(read_run(&r, diag));
    MN_TRY(write_file(&r, "report.json", put_document, diag));
    MN_TRY(mn__report_find_library(r.chart_js, "libjs-chart.js", diag));
    MN_TRY(write_file(&r, "report.html", put_page, diag));
done:
    json_decref(r.doc);
    return st;
}
