/* eval_show.h: what a folder of records says, on standard output. */
#ifndef MNEME_EVAL_SHOW_H
#define MNEME_EVAL_SHOW_H

#include <jansson.h>

#include "args.h"
#include "mneme/eval.h"

/* All figures of a folder, the caller's. */
mn_status eval_document(const char *dir, mn_report_info *info, json_t **out, mn_diag *diag);
/* The headline table, or with --json all figures. */
mn_status eval_show(const args *a, const char *dir, mn_diag *diag);

#endif
