/* train_report.c: what a training's log and run.json tell, as one document and as a page that needs
 * nothing else. */
#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/page.h"
#include "mneme/train.h"
#include "train/train_log.h"
#include "train_parts.inc" /* written by cmake/embed.cmake: part_page_html[], ... */

bool mn_train_is_run(const char *dir)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/train.ini", dir) < (int)sizeof path &&
           !access(path, F_OK);
}

static mn_status read_run(const char *dir, json_t **doc, mn_diag *diag)
{
    mn_status st;
    char path[PATH_MAX + 32];
    json_t *log = NULL;
    json_error_t why;
    if (!mn_train_is_run(dir))
        return mn__fail(diag, MN_EINPUT,
                        "%s: no training there (train.ini is what `mneme train --out` writes)",
                        dir);
    snprintf(path, sizeof path, "%s/log.sqlite", dir);
    MN_TRY(mn__train_log_read(path, &log, diag));
    snprintf(path, sizeof path, "%s/run.json", dir);
    json_t *about = json_load_file(path, 0, &why);
    if (!about) MN_TRY(mn__fail(diag, MN_EINPUT, "%s: %s", path, why.text));
    *doc = json_pack("{s:i,s:o,s:O,s:O}", "version", 1, "run", about, "steps",
                     json_object_get(log, "steps"), "samples", json_object_get(log, "samples"));
    if (!*doc) st = mn__fail(diag, MN_ENOMEM, "no memory for the report");
done:
    json_decref(log);
    return st;
}

mn_status mn_train_report(const char *dir, const char *chart_js, mn_diag *diag)
{
    json_t *doc = NULL;
    if (strlen(dir) >= PATH_MAX) return mn__fail(diag, MN_EINPUT, "too long a folder's name");
    mn_status st = read_run(dir, &doc, diag);
    const mn__page_report r = {.dir = dir,
                               .doc = doc,
                               .chart_js = chart_js ? chart_js : MN_CHART_JS,
                               .html = part_page_html,
                               .css = part_page_css,
                               .js = part_page_js,
                               .n_html = sizeof part_page_html,
                               .n_css = sizeof part_page_css,
                               .n_js = sizeof part_page_js};
    if (st == MN_OK) st = mn__page_report_write(&r, diag);
    json_decref(doc);
    return st;
}
