/* run_log.h: what happened in a run, generation by generation, as a log (base/log_file.h, whose
 * statuses these are). A generation is one transaction. */
#ifndef MN_EVOLVE_RUN_LOG_H
#define MN_EVOLVE_RUN_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/log_file.h"
#include "mneme/status.h"

typedef struct mn__log_file mn__run_log;

/* Open to write, made when absent. Rows of generations from `generation` on are dropped: they are
 * made again. */
mn_status mn__run_log_open(mn__run_log **out, const char *path, uint64_t generation, mn_diag *diag);
void mn__run_log_close(mn__run_log *l); /* NULL is fine */

/* A stage as it begins. */
typedef struct mn__log_stage {
    size_t stage;
    const char *tasks, *fidelity;
    uint64_t generation; /* its first */
    uint64_t n_item;
    double held_out, held_out_kept; /* of the mean it begins with; NAN: not rated */
} mn__log_stage;

/* A generation; NAN becomes NULL. */
typedef struct mn__log_generation {
    uint64_t generation;
    size_t stage;
    double best, mean, median, sigma, axis_ratio, kept_share;
    double held_out, held_out_kept; /* of the mean that it led to */
    bool is_saved;                  /* which was better than those before */
    size_t n_prompt, n_left, n_candidate, n_failed;
    uint64_t evaluations; /* so far */
    double seconds;
    const char *prompts;       /* JSON array of their numbers */
    const double *loss, *kept; /* [n_candidate] to keep; NULL: not kept */
} mn__log_generation;

/* stage may be NULL. */
mn_status mn__run_log_add(mn__run_log *l, const mn__log_generation *row, const mn__log_stage *stage,
                          mn_diag *diag);

/* Prompts that a stage drew from; 0: no generation of it is there. */
mn_status mn__run_log_items(const mn__run_log *l, size_t stage, uint64_t *n_item, mn_diag *diag);

/* {"stages": [...], "generations": [...]}, the caller's (json_decref); nothing in the file changes.
 */
mn_status mn__run_log_read(const char *path, json_t **out, mn_diag *diag);

#endif
