/* report_verb.c: what `mneme eval` has measured, or how `mneme evolve` or `mneme train` went, as a
 * page, a table and a document; with --json the document alone, on standard output. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/diag.h"
#include "eval_show.h"
#include "mneme/evolve.h"
#include "mneme/train.h"
#include "ui.h"
#include "verbs.h"

static mn_status print_document(const char *dir, mn_diag *diag)
{
    char path[PATH_MAX];
    json_error_t why;
    snprintf(path, sizeof path, "%s/report.json", dir);
    json_t *doc = json_load_file(path, 0, &why);
    if (!doc) return mn__fail(diag, MN_EIO, "%s: %s", path, why.text);
    ui_print_json(doc);
    return MN_OK;
}

static void tell(const args *a, const char *dir, const mn_report_info *info)
{
    ui_note(a, "%" PRIu64 " records of %" PRIu64 " prompts in %" PRIu64 " %s, %" PRIu64 " failed",
            info->n_record, info->n_prompt, info->n_run, info->n_run == 1 ? "run" : "runs",
            info->n_failed);
    if (info->n_conflict > 0)
        ui_note(a, "%" PRIu64 " records stand in two files with different results, as %s",
                info->n_conflict, info->conflict);
    if (args_has(a, OPT_JSON)) return;
    printf("%s/report.html\n%s/report.csv\n%s/report.json\n", dir, dir, dir);
}

static bool is_evolution(const char *dir)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/log.sqlite", dir) < (int)sizeof path &&
           !access(path, F_OK);
}

mn_status verb_report(const args *a, mn_diag *diag)
{
    mn_status st;
    mn_report_info info;
    json_t *doc = NULL;
    if (a->n_rest != 1)
        MN_TRY(mn__fail(diag, MN_EUSAGE,
                        "one folder that `mneme eval --out`, `mneme evolve --out` or `mneme train "
                        "--out` wrote is wanted, %zu given",
                        a->n_rest));
    const bool is_training = mn_train_is_run(a->rest[0]);
    if (is_training || is_evolution(a->rest[0])) {
        MN_TRY(is_training ? mn_train_report(a->rest[0], NULL, diag)
                           : mn_evolve_report(a->rest[0], NULL, diag));
        if (args_has(a, OPT_JSON)) return print_document(a->rest[0], diag);
        printf("%s/report.html\n%s/report.json\n", a->rest[0], a->rest[0]);
        return MN_OK;
    }
    if (args_has(a, OPT_JSON))
        MN_TRY(eval_document(a->rest[0], &info, &doc, diag));
    else
        MN_TRY(mn_report_write(a->rest[0], NULL, &info, diag));
    tell(a, a->rest[0], &info);
    if (doc) ui_print_json(doc);
done:
    return st;
}
