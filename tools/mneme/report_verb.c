/* report_verb.c: what `mneme eval` has measured, as a page, a table and a document; with --json the
 * document alone, on standard output. */
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "eval_show.h"
#include "ui.h"
#include "verbs.h"

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

mn_status verb_report(const args *a, mn_diag *diag)
{
    mn_status st;
    mn_report_info info;
    json_t *doc = NULL;
    if (a->n_rest != 1)
        MN_TRY(mn__fail(diag, MN_EUSAGE,
                        "one folder that `mneme eval --out` wrote is wanted, %zu given",
                        a->n_rest));
    if (args_has(a, OPT_JSON))
        MN_TRY(eval_document(a->rest[0], &info, &doc, diag));
    else
        MN_TRY(mn_report_write(a->rest[0], NULL, &info, diag));
    tell(a, a->rest[0], &info);
    if (doc) ui_print_json(doc);
done:
    return st;
}
