/* run.h: an evolution in a folder, whoever rates. */
#ifndef MN_EVOLVE_RUN_H
#define MN_EVOLVE_RUN_H

#include "evolve/rater.h"
#include "mneme/evolve.h"

/* As mn_evolve_run (mneme/evolve.h), with raters by `maker`. It is asked for stage i of p->stage
 * on every rank; mn__stage_tasks (run_state.h) says which tasks those are. The raters' workers are
 * p->n_thread threads, at most MN__WORKER_MAX. */
mn_status mn__evolution_run(const mn__rater_maker *maker, const mn_evolve_params *p,
                            mn_evolve_result *out, mn_diag *diag);

#endif
