/* train_log.h: what happened in a training, report by report, as a log (base/log_file.h, whose
 * statuses these are). */
#ifndef MN_TRAIN_TRAIN_LOG_H
#define MN_TRAIN_TRAIN_LOG_H

#include "base/log_file.h"
#include "mneme/train.h"

/* Open to write, made when absent. Rows of steps behind `step` are dropped: they are made again. */
mn_status mn__train_log_open(mn__log_file **out, const char *path, uint64_t step, mn_diag *diag);
mn_status mn__train_log_line(const mn__log_file *l, const mn_train_line *line, mn_diag *diag);
mn_status mn__train_log_sample(const mn__log_file *l, const mn_train_sample *s, mn_diag *diag);

/* {"steps": [...], "samples": [...]}, the caller's (json_decref); nothing in the file changes. */
mn_status mn__train_log_read(const char *path, json_t **out, mn_diag *diag);

#endif
