/* summary_internal.h: what the files of the summary share: one run's records as a table of prompts
 * by arms. */
#ifndef MN_EVAL_SUMMARY_INTERNAL_H
#define MN_EVAL_SUMMARY_INTERNAL_H

#include "eval/summary.h"

/* What is measured of a prompt under an arm: means over seeds. The answer's sums and counts are of
 * its tokens. */
#define MN__CELL_MAP(X) \
    X(SCORE)            \
    X(NLL)              \
    X(KL)               \
    X(NLL_SUM)          \
    X(KL_SUM)           \
    X(NLL_TOKENS)       \
    X(KL_TOKENS)        \
    X(GOLD_BYTES)       \
    X(SHARE_ANSWER)     \
    X(SHARE_PROMPT)     \
    X(KV_BYTES)         \
    X(POLICY_BYTES)     \
    X(PEAK_BYTES)       \
    X(PREFILL_S)        \
    X(DECODE_S)         \
    X(GENERATED)
typedef enum mn__cell_value {
#define X(name) MN__CELL_##name,
    MN__CELL_MAP(X)
#undef X
        MN__CELL_COUNT
} mn__cell_value;

typedef struct mn__cell {
    double value[MN__CELL_COUNT]; /* sums while loading, then means; NAN: none */
    uint32_t count[MN__CELL_COUNT];
    uint32_t n_ok, n_failed; /* records */
    uint32_t arm, prompt;
} mn__cell;

typedef struct mn__sheet_prompt {
    uint32_t task, n_token;
    double depth, length; /* of its facts; NAN: not told */
} mn__sheet_prompt;

typedef struct mn__sheet_task {
    const char *name, *family, *metric; /* metric "": none */
    uint32_t i_family;
} mn__sheet_task;

typedef struct mn__sheet_kept { /* sums over records of one shape */
    double *token, *share;      /* [n_layer * n_head], NULL before the first */
    size_t n_layer, n_head, n;
} mn__sheet_kept;

typedef struct mn__sheet_arm {
    const char *policy, *budget, *acts;
    mn__sheet_kept kept;
} mn__sheet_arm;

typedef struct mn__sheet {
    mn__sheet_prompt *prompt;
    size_t n_prompt, cap_prompt;
    mn__sheet_task *task;
    size_t n_task, cap_task;
    const char **family;
    size_t n_family, cap_family;
    mn__sheet_arm *arm;
    size_t n_arm, cap_arm;
    mn__cell *cell;
    size_t n_cell, cap_cell;
    const mn__cell **at; /* [n_arm][n_prompt]; NULL: no record */
    size_t n_record, n_failed, n_cut;
    mn__left_line *left;
    size_t n_left, cap_left;
    size_t full, empty; /* arms; SIZE_MAX: not there */
} mn__sheet;

/* ---- memory of the summary's texts and tables: given back all at once ---- */

typedef struct mn__summary_memory mn__summary_memory;
void *mn__summary_take(mn__summary_memory *m, size_t bytes); /* NULL: no memory */
const char *mn__summary_text(mn__summary_memory *m, const char *text);

/* ---- summary_load.c ---- */

/* The records of one run, arms in the order of a report. MN_EINPUT: facts or kept of a record are
 * not what store.h says. */
mn_status mn__sheet_load(mn__sheet *out, mn__store *s, int64_t run, mn__summary_memory *memory,
                         mn_diag *diag);
void mn__sheet_free(mn__sheet *sheet);
static inline const mn__cell *mn__sheet_at(const mn__sheet *s, size_t arm, size_t prompt)
{
    return arm == SIZE_MAX ? NULL : s->at[arm * s->n_prompt + prompt];
}
/* Which prompts a line is about. */
typedef struct mn__sheet_part {
    mn__level level;
    size_t which; /* family or task */
} mn__sheet_part;
bool mn__sheet_has(const mn__sheet *s, mn__sheet_part part, size_t prompt);

/* ---- summary_test.c ---- */

/* One interval or test: of the values of arm a less those of arm b (SIZE_MAX: less nothing). */
typedef struct mn__summary_job {
    const mn__sheet *sheet;
    mn__sheet_part part;
    mn__cell_value value;
    size_t a, b;
    mn__interval *interval; /* n_cluster 0 and NAN where no prompt has both */
    double *p;              /* NULL: no test is wanted */
} mn__summary_job;
mn_status mn__summary_run_jobs(const mn__summary_job *job, size_t n, const mn__summary_params *p,
                               mn_diag *diag);
/* Every pair of arms of one budget that is not the whole cache or none, with its tests made. */
mn_status mn__summary_add_pairs(mn__summary *s, size_t *cap, const mn__sheet *sheet,
                                size_t first_arm, const mn__summary_params *p, mn_diag *diag);

/* ---- summary_map.c ---- */

mn_status mn__summary_add_needles(mn__summary *s, size_t *cap, const mn__sheet *sheet,
                                  size_t first_arm, mn_diag *diag);
mn_status mn__summary_add_kept(mn__summary *s, size_t *cap, const mn__sheet *sheet,
                               size_t first_arm, mn_diag *diag);

#endif
