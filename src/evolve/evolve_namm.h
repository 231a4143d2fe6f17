/* evolve_namm.h: NAMMs to be rated: a run's folder with the file where it begins, and raters by
 * fidelity. Runs and comparisons are made of it. */
#ifndef MN_EVOLVE_NAMM_H
#define MN_EVOLVE_NAMM_H

#include "eval/draft.h"
#include "evolve/capture.h"
#include "evolve/rater.h"
#include "evolve/row_look.h"
#include "mneme/namm.h"
#include "policy/namm.h"

enum { MN__JOB_PATH = 4096 };

typedef struct mn__namm_job {
    const mn_model *m;
    const mn_evolve_namm_params *p;
    mn_evolve_params run;      /* p's, with what the job fills in: mean, n, population, options; its
                                  callbacks pass on to p's */
    mn_session_params session; /* p's; n_ctx: the model's where none was asked for */
    mn__namm *namm;            /* as evolution begins */
    mn_evolve_loss loss;       /* of raters to be made */
    const mn_evolve_side *side; /* [n_side] raters that must know the same rows; n_side 0: a stage's
                                   alone */
    size_t n_side;
    char *told[2]; /* what was said last of rows, and of captured prompts, that are left out */
    char start[MN__JOB_PATH], best[MN__JOB_PATH], readings[MN__JOB_PATH],
        frozen[MN__JOB_PATH + 512], true_policy[MN__JOB_PATH + 512];
    double *mean;
    size_t n_worker;
    mn__draft options;
} mn__namm_job;

/* j: zeros but for its sides. Makes start.namm.gguf where there is none; all ranks meet there.
 * Borrows params, and stays where it is; mn__namm_job_close also after a failure. */
mn_status mn__namm_job_open(mn__namm_job *j, const mn_model *model,
                            const mn_evolve_namm_params *params, mn_diag *diag);
void mn__namm_job_close(mn__namm_job *j);

/* ---- namm_start.c ---- */

/* Notes of start.namm.gguf that what comes of it keeps: the shape, or the file as NAME#HASH; how
 * that file was made and what it came from, at most 2,048 bytes, the newest first. */
#define MN__NOTE_FROM     "from"
#define MN__NOTE_ANCESTRY "ancestry"
/* Of a shape: whether it was fitted ("yes", else not there), and which prompts it has not seen. */
#define MN__NOTE_WARM     "warm"
#define MN__NOTE_HELD_OUT "held_out"

/* On rank 0: makes start.namm.gguf where nothing stands that follows from one, else looks whether
 * it is what would be made (MN_EUSAGE: it is not). All ranks meet there and read it. */
mn_status mn__namm_job_begin(mn__namm_job *j, mn_diag *diag);
/* A share to aim at is for scores that decide for themselves how much stays: asked before anything
 * is made, as a warm start takes long. */
mn_status mn__namm_job_check_target(const mn__namm_job *j, mn_diag *diag);

/* ---- namm_raters.c ---- */

/* Tasks without a score are not for the task's metric, in any stage: asked before anything is made.
 * MN_EUSAGE. */
mn_status mn__namm_job_check_tasks(const mn__namm_job *j, mn_diag *diag);

/* mn__rater_maker's: of stage i of j->run; ctx is the job. */
mn_status mn__namm_job_rater(void *ctx, size_t stage, const char *fidelity, mn__rater *out,
                             mn_diag *diag);

/* The tasks of a stage, found by name; decks of its rows borrow them. */
typedef struct mn__stage_rows {
    char *names;
    mn__task_ref *task;
    size_t n;
} mn__stage_rows;
mn_status mn__stage_rows_find(mn__stage_rows *t, const mn__namm_job *j, size_t stage,
                              mn_diag *diag);
void mn__stage_rows_free(mn__stage_rows *t); /* one of zeros is fine */
/* What its rows are looked at for; needs j->namm. */
mn_status mn__namm_job_look(const mn__namm_job *j, size_t stage, mn__row_look *out, mn_diag *diag);
/* Says once, on rank 0, how many rows were left out. MN_EINPUT: all of them. */
mn_status mn__namm_job_count_rows(mn__namm_job *j, const mn__row_look *l, mn_diag *diag);
/* The same of prompts of which nothing would be dropped. */
mn_status mn__namm_job_count_uncut(mn__namm_job *j, const mn__capture *c, mn_diag *diag);
/* How its prompts are captured; the look is borrowed, and counts. */
mn__capture_params mn__namm_job_capture(const mn__namm_job *j, const mn__stage_rows *t,
                                        mn__row_look *look);

#endif
