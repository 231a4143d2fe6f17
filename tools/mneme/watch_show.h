/* watch_show.h: what was forgotten, as tables for people or as a document. */
#ifndef MNEME_WATCH_SHOW_H
#define MNEME_WATCH_SHOW_H

#include "args.h"
#include "mneme/watch.h"

mn_status watch_show(const args *a, const mn_watch *w, mn_diag *diag);
/* The same for the texts of tasks, which are read for it. */
mn_status watch_show_tasks(const args *a, const mn_model *m, const mn_eval_params *p,
                           mn_diag *diag);

#endif
