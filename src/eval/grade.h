/* grade.h: from what a model wrote, or found likely, to a score. */
#ifndef MN_EVAL_GRADE_H
#define MN_EVAL_GRADE_H

#include "eval/metric.h"
#include "eval/trial.h"

typedef struct mn__grader {
    const mn__task *task;
    mn__metric *metric; /* NULL: scored by likelihood */
} mn__grader;

/* dictionary: as mn__metric_open. */
mn_status mn__grader_open(mn__grader *g, const mn__task *task, const char *dictionary,
                          mn_diag *diag);
void mn__grader_close(mn__grader *g);
/* *score in 0..1; NAN where the task has no score but likelihood. MN_EINPUT: the row's gold answer
 * is not what the metric needs. Several threads may use one grader. */
mn_status mn__grade(const mn__grader *g, const mn__row *row, const mn__ask *ask,
                    const mn__outcome *o, double *score, mn_diag *diag);

#endif
