/* summary.h: what the records of a store say of policies: means over prompts with their intervals,
 * against the full cache on the same prompts, and tests of any two.
 *
 * A row of every mean is a prompt, and each counts the same, however long its answer: a divergence
 * or a likelihood is first averaged over the tokens of the prompt's answer, then over prompts.
 * Seeds of one prompt are averaged before. Runs are never mixed. Policies are compared on the
 * prompts that both have; what failed is counted and in no mean. */
#ifndef MN_EVAL_SUMMARY_H
#define MN_EVAL_SUMMARY_H

#include "eval/stats.h"
#include "eval/store.h"

/* A share of the full cache's score says something only where the context was of use, and where
 * there are prompts enough. */
#define MN__RATIO_MIN_GAIN 0.05 /* of the full cache's score over that without context */
enum { MN__RATIO_MIN_PROMPT = 10 };

typedef struct mn__summary_params {
    mn__resampling how;
    int n_thread; /* 0: one per processor; figures do not depend on it */
} mn__summary_params;
void mn__summary_params_default(mn__summary_params *p);

/* Texts in the following are the summary's own, and never NULL. Reals are NAN where nothing was
 * measured. */
typedef struct mn__summary_run {
    char id[17];
    mn__store_run about;
    size_t n_prompt, n_record, n_failed;
    size_t n_cut; /* prompts that lost their middle */
} mn__summary_run;

/* Prompts of a task (made at a length; NAN: not told) that could not be asked: in no count. */
typedef struct mn__left_line {
    size_t run;
    const char *task, *why; /* of the first */
    double length;
    size_t n;
} mn__left_line;

/* A policy with a budget in a run. */
typedef struct mn__summary_arm {
    size_t run;
    const char *policy, *budget, *acts;
} mn__summary_arm;

typedef enum mn__level { MN__LEVEL_ALL, MN__LEVEL_FAMILY, MN__LEVEL_TASK } mn__level;

/* One arm over all prompts of its run, over those of a family, or of a task. */
typedef struct mn__line {
    mn__level level;
    size_t arm;
    const char *family, *task, *metric; /* "" above their level */
    size_t n;                           /* prompts with a record that did not fail */
    size_t n_failed;                    /* records */
    double score;                       /* of a task; NAN above: metrics are not added up */
    double full_ratio;    /* of a task's scores to the full cache's; above: the mean over tasks */
    size_t n_ratio;       /* tasks in that mean */
    double nll, nll_byte; /* nats per token of the gold answer, and per byte */
    mn__interval nll_change, kl;         /* against the full cache, per token */
    double nll_change_token, kl_token;   /* the same with each token counting the same */
    double kv_share, kv_share_papers;    /* share_answer, share_prompt of the records */
    double kv_bytes, policy_bytes;       /* mean; held as the answer begins */
    double kv_bytes_ratio, bytes_ratio;  /* to the full cache's, without and with policy_bytes */
    double peak_kv_bytes, peak_ratio;    /* the same of the most that was held at any time */
    double peak_kv_bytes_most;           /* over all prompts */
    double seconds, prefill_s, decode_s; /* mean of a prompt */
    double token_rate;                   /* tokens written in a second */
} mn__line;

/* Whether a task's scores are also given as shares of the full cache's. */
typedef struct mn__task_line {
    size_t run;
    const char *task, *family, *metric;
    size_t n;             /* prompts with both scores */
    double full, without; /* mean scores: the full cache, no context */
    bool counted;
    const char *why; /* not counted; "" when it is */
} mn__task_line;

typedef enum mn__measure { MN__MEASURE_NLL, MN__MEASURE_KL, MN__MEASURE_COUNT } mn__measure;

/* Two arms of one run and budget; a comes before b. */
typedef struct mn__pair_line {
    size_t a, b;
    mn__measure measure;
    mn__interval difference; /* a - b; n_cluster prompts */
    double p, p_holm;        /* sign flips; corrected over all pairs of run, budget and measure */
} mn__pair_line;

/* Where needles were found: mean score at a depth and a length of the text. */
typedef struct mn__needle_line {
    size_t arm;
    const char *task;
    double depth, length; /* share, tokens: those that occur, or of cells where there are many */
    size_t n;
    double score;
} mn__needle_line;

/* Tokens held by layer and head as the answer begins: means over prompts. */
typedef struct mn__kept_line {
    size_t arm, n, n_layer, n_head;
    const double *token; /* [n_layer][n_head]; NAN: a sliding window, or no such head */
    const double *share; /* the same over the prompt's tokens */
} mn__kept_line;

typedef struct mn__summary {
    mn__summary_run *run;
    size_t n_run;
    mn__summary_arm *arm; /* by run; full, empty, then by when they act, budget and policy */
    size_t n_arm;
    mn__line *line; /* by level, then by arm, then by name */
    size_t n_line;
    mn__task_line *task;
    size_t n_task;
    mn__pair_line *pair;
    size_t n_pair;
    mn__needle_line *needle;
    size_t n_needle;
    mn__kept_line *kept;
    size_t n_kept;
    mn__left_line *left;
    size_t n_left;
    struct mn__summary_memory *memory;
} mn__summary;

/* All runs of a store. MN_EINPUT: no record in it; or what the store says. MN_ENOMEM. Cost: memory
 * for 200 bytes a prompt and arm, time as stats.h says for each line and pair. */
mn_status mn__summary_make(mn__summary **out, mn__store *s, const mn__summary_params *p,
                           mn_diag *diag);
void mn__summary_free(mn__summary *s); /* NULL is fine */

/* "nll", "kl". */
const char *mn__measure_name(mn__measure measure);

#endif
