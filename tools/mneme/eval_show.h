/* eval_show.h: what a folder of records says, on standard output. */
#ifndef MNEME_EVAL_SHOW_H
#define MNEME_EVAL_SHOW_H

#include "args.h"
#include "mneme/status.h"

/* The headline table, or with --json all figures. */
mn_status eval_show(const args *a, const char *dir, mn_diag *diag);

#endif
