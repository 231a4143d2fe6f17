/* loop.h: a training: steps of passes, their rates, reports, validation, checkpoints. What it comes
 * to follows from config, data and step alone: not from threads, nor from where it was stopped. One
 * thread at a time; it has a team of its own. */
#ifndef MN_TRAIN_LOOP_H
#define MN_TRAIN_LOOP_H

#include "train/adamw.h"
#include "train/join.h"
#include "lm/learner.h"
#include "train/schedule.h"

/* Where sequences come from. */
typedef struct mn__row_source {
    uint64_t identity; /* of what is in it: a checkpoint goes on with the same only */
    /* length + 1 tokens of sequence `row` of `step`, the same at every call: row in
     * [0, batch * passes). Validation asks for rows of step 0, in [0, valid_rows). */
    mn_status (*fill)(struct mn__row_source *self, size_t step, size_t row, size_t length,
                      int32_t *out, mn_diag *diag);
} mn__row_source;

typedef struct mn__train_report {
    size_t step;             /* steps made */
    uint64_t tokens;         /* read by them */
    double loss, aux;        /* of this step: mean of a token; auxiliary losses */
    double norm;             /* of its gradients, before clipping */
    double rate, value_rate; /* it was made with */
    double valid_loss;       /* NAN: not validated at this step */
    double tokens_per_s; /* of the steps since the report before, what else was done not counted */
    double left_s;       /* expected, with all that is done between steps */
} mn__train_report;

/* How a training meets the rest of the program. */
typedef struct mn__train_hooks {
    void (*report)(void *ctx, const mn__train_report *r); /* NULL: nobody asks */
    void (*after)(void *ctx, bool is_last); /* behind each step and its report; NULL: nothing */
    bool (*stop)(void *ctx);                /* asked after each step, NULL: nobody stops */
    void *ctx;
    const char *checkpoint; /* path; NULL: none is kept */
} mn__train_hooks;

typedef struct mn__trainer {
    mn__learner *learner;
    mn__adamw *opt;
    mn__team *team;
    mn__row_source *train, *valid; /* borrowed; valid NULL: none */
    struct mn__kern kern;
    mn__tape tape;
    mn__env env;
    int32_t *row;            /* [length + 1] */
    int32_t *token, *target; /* [batch][length] */
    mn__train_report last;
    double busy_s;        /* spent in steps since the last report */
    size_t n_busy;        /* which were so many */
    size_t saved_step;    /* of the last good checkpoint; SIZE_MAX: none */
    size_t batch, n_pass; /* of a pass, and of a step, of this rank */
    mn__peers *peers;     /* borrowed; NULL: alone */
    mn__join join;
    bool has_bad_file; /* the checkpoint was damaged: the one before is the good one */
} mn__trainer;

/* A training at step 0. `config` has been checked. MN_ERANGE, MN_ENOMEM, with a sentence. */
mn_status mn__trainer_new(mn__trainer **out, const mn__config *config, mn__row_source *train,
                          mn__row_source *valid, mn_diag *diag);
/* The same on one of several ranks, which call all that follows together. Ranks share the passes of
 * a step where these divide, and else the sequences of each pass, which is then as many passes of
 * fewer sequences. Rank 0 alone writes checkpoints. MN_EUSAGE: neither divides; batch statistics,
 * which are one process's. */
mn_status mn__trainer_new_rank(mn__trainer **out, const mn__config *config, mn__row_source *train,
                               mn__row_source *valid, mn__peers *peers, mn_diag *diag);
void mn__trainer_free(mn__trainer *t); /* NULL is fine */

/* Go on where a checkpoint stands (mn__checkpoint_load, whose failures these are). */
mn_status mn__trainer_resume(mn__trainer *t, const char *path, mn_diag *warning, mn_diag *diag);
/* The gradients of the next step, summed over its passes and all ranks, and t->last's losses: the
 * first half of a step. The same failures. */
mn_status mn__trainer_gradients(mn__trainer *t, mn_diag *diag);
/* One step; t->last tells of it. MN_EINPUT: a token that is none; MN_EFAIL: loss or gradients are
 * not finite (step, tensor); what the source says. The weights are those before the step then. */
mn_status mn__trainer_step(mn__trainer *t, mn_diag *diag);
/* Weights as they are after the last step, to be looked at: rows that are owed updates have had
 * them, and reading them does not count until looking ends. */
void mn__trainer_look(mn__trainer *t, bool begins);
/* Mean loss of the validation rows; their source is there. */
mn_status mn__trainer_validate(mn__trainer *t, double *loss, mn_diag *diag);
/* All steps that are left, with reports, validations and checkpoints as [report] says, and all
 * three after the last. MN_ECANCEL: stopped, the checkpoint written; MN_EFAIL and others: what a
 * step says, with the last good checkpoint. */
mn_status mn__trainer_run(mn__trainer *t, const mn__train_hooks *hooks, mn_diag *diag);

#endif
