/* verbs.h: a file per verb. Each prints its results and returns a status whose sentence main
 * prints. */
#ifndef MNEME_VERBS_H
#define MNEME_VERBS_H

#include "args.h"

mn_status verb_pull(const args *a, mn_diag *diag);
mn_status verb_run(const args *a, mn_diag *diag);
mn_status verb_chat(const args *a, mn_diag *diag);
mn_status verb_inspect(const args *a, mn_diag *diag);
mn_status verb_plan(const args *a, mn_diag *diag);
mn_status verb_watch(const args *a, mn_diag *diag);
mn_status verb_bench(const args *a, mn_diag *diag);
mn_status verb_eval(const args *a, mn_diag *diag);
mn_status verb_evolve(const args *a, mn_diag *diag);
mn_status verb_train(const args *a, mn_diag *diag);
mn_status verb_export(const args *a, mn_diag *diag);
mn_status verb_report(const args *a, mn_diag *diag);

#endif
