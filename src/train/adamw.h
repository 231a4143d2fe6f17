/* adamw.h: AdamW over a model's parameters. Rows of tables that a step did not touch can be owed
 * their updates until they are read again: the numbers are those of a dense optimiser, the work is
 * that of the rows touched. Or they can be left alone, which is another optimiser. */
#ifndef MN_TRAIN_ADAMW_H
#define MN_TRAIN_ADAMW_H

#include "layer/layer.h"
#include "mneme/status.h"

enum { MN__ADAMW_GROUPS = MN__PARAM_STATE }; /* DECAY, NO_DECAY, VALUES */

typedef struct mn__adamw_config {
    double beta1, beta2, eps;
    double decay[MN__ADAMW_GROUPS]; /* times the rate, off a weight at each step */
    bool deferred;                  /* tables (rows > 0) by rows, as their layers announce them */
    /* Rows of tables that a step did not touch stay as they are, for good: neither moments nor
     * weights fade, and corrections count all steps. What the published code does by values; it
     * goes before `deferred`. */
    bool selective;
    /* Most steps without a gradient that are replayed one by one; of more, moments only fade and
     * weights only decay. 0: all are, and bits are the dense optimiser's. */
    size_t replay_max;
    struct mn__peers *peers; /* that hold the other columns of split tables; NULL: alone */
} mn__adamw_config;

/* What a step was made with. */
typedef struct mn__adamw_rate {
    double lr[MN__ADAMW_GROUPS];
    double correct1, correct2;         /* 1 - beta^step */
    double log_keep[MN__ADAMW_GROUPS]; /* log of the product of 1 - lr decay, up to this step */
} mn__adamw_rate;

/* A table whose rows are brought up to date when they are touched. */
typedef struct mn__adamw_table {
    mn__row_hook hook; /* first; the parameter's */
    struct mn__adamw *opt;
    mn__param *p;
    mn__real *m, *v; /* of the parameter */
    size_t n_row;
    uint32_t *last; /* [n_row]: last step that the row has had */
    uint8_t *hit;   /* [n_row]: read since the last step */
} mn__adamw_table;

typedef struct mn__adamw {
    mn__adamw_config config;
    const mn__params *list; /* borrowed, bound, with gradients */
    size_t n;               /* values of the flat arrays */
    mn__real *m, *v;        /* [n], laid out as parameters are */
    size_t step;            /* steps made */
    mn__adamw_rate *rate;   /* [room]: of steps 1..step at [1..step] */
    size_t room;
    mn__adamw_table *table;
    size_t n_table;
    struct mn__kern kern;
    double *part; /* sums of squares, one a chunk */
    size_t n_part;
} mn__adamw;

/* Moments of zeros; the list's gradients must be zeros too. Tables get the optimiser's hook. */
mn_status mn__adamw_new(mn__adamw **out, const mn__params *list, const mn__adamw_config *config,
                        mn_diag *diag);
void mn__adamw_free(mn__adamw *o); /* hooks are taken back; NULL is fine */
/* The norm of all gradients, of split tables those of all ranks, which call it together. Rows that
 * were not touched are zeros and are not looked at. */
double mn__adamw_norm(const mn__adamw *o, mn__team *team);
/* One step with gradients times `scale` (of clipping), which are zeros afterwards. MN_ENOMEM: the
 * step was not made. */
mn_status mn__adamw_step(mn__adamw *o, mn__team *team, const double lr[MN__ADAMW_GROUPS],
                         double scale, mn_diag *diag);
/* Moments were loaded that `step` steps have made, and no row is owed any (mn__adamw_flush came
 * before they were saved): go on from there. MN_ENOMEM. */
mn_status mn__adamw_resume(mn__adamw *o, size_t step, mn_diag *diag);
/* All rows up to date: before weights or moments are read by others than layers. */
void mn__adamw_flush(mn__adamw *o, mn__team *team);

#endif
