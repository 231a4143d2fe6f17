/* tdqkr.h: tucker-decomposed query-key retrieval: a cell's score is a product of its row's and its
 * column's scores over a small core, so that it is more than their sum. Ref: arXiv 2411.12364. */
#ifndef MN_LAYER_TDQKR_H
#define MN_LAYER_TDQKR_H

#include "layer/key_scan.h"

enum { MN__CORES_MAX = 8 };

typedef struct mn__tdqkr {
    size_t n_head, n_key, width, rank; /* keys [n_head][2][n_key][rank][width], all normed */
    size_t n_core;                     /* of a head; each gives a weight of its own to a hit */
    size_t n_keep;                     /* rows, columns and cells that a head keeps */
    bool per_rank;     /* each rank has its query: [n][2][rank][width]; else [n][2][width] */
    bool two_quadrant; /* the lowest n_keep rows and columns make a second grid: two negative
                        * factors make a large product too, which the paper never sees */
    const mn__real *key;
    const mn__real *folded; /* mn__tdqkr_fold of keys that stay as they are; NULL: made at each
                             * pass */
    const mn__real *core[MN__CORES_MAX]; /* [n_head][rank][rank] each */
    const mn__real *u, *v;               /* [n_head][rank]: tucker.h */
} mn__tdqkr;

typedef struct mn__tdqkr_found { /* the tape's */
    size_t n_list;               /* keys listed of an axis: n_keep, or twice that */
    uint32_t *cell;              /* [n][n_head][n_keep]: row * n_key + column, best first */
    mn__real *weight;            /* [n][n_head][n_keep][n_core]: scores, their sum is the cell's */
    uint32_t *list;  /* [n][n_head][2][n_list]: rows and columns by rank-one scores: the highest,
                      * then with two_quadrant the lowest */
    mn__real *alpha; /* the same shape: those scores */
    mn__real *score; /* [n][n_head][2][n_list][rank] */
    uint32_t *place; /* [n][n_head][n_keep]: of a cell in its grid of lists: a * n_list + b */
} mn__tdqkr_found;

typedef struct mn__tdqkr_grad {
    mn__real *dquery;               /* of the query's shape: written */
    mn__real *dkey;                 /* added to */
    mn__real *dcore[MN__CORES_MAX]; /* added to; NULL: left */
} mn__tdqkr_grad;

/* Keys folded by u and v: out [n_head][2][n_key][width]. Not per_rank, which folds queries. */
void mn__tdqkr_fold(const mn__tdqkr *t, const mn__env *env, mn__real *out);
void mn__tdqkr_forward(const mn__tdqkr *t, const mn__env *env, size_t n, const mn__real *query,
                       mn__tdqkr_found *found);
/* dweight as weight. Nothing flows into u, v or through the choice. */
void mn__tdqkr_backward(const mn__tdqkr *t, const mn__env *env, size_t n, const mn__real *query,
                        const mn__tdqkr_found *found, const mn__real *dweight,
                        const mn__tdqkr_grad *grad);

/* How evenly keys are listed: for each axis n_key times the sum over keys of (mean softmax of the
 * rank-one scores over tokens and heads) times (share of the lists). Ref: arXiv 2508.18756; there
 * the share is not brought to a sum of 1. */
mn__real mn__tdqkr_balance(const mn__tdqkr *t, const mn__env *env, size_t n, const mn__real *query,
                           const mn__tdqkr_found *found);
/* Adds coef times its gradient to dquery and dkey; shares are constants. */
void mn__tdqkr_balance_backward(const mn__tdqkr *t, const mn__env *env, size_t n,
                                const mn__real *query, const mn__tdqkr_found *found, mn__real coef,
                                const mn__tdqkr_grad *grad);

/* ---- between tdqkr.c and tdqkr_balance.c ---- */

/* The scan whose products are the rank-one scores: keys folded by u and v, or queries scaled by
 * them; from the tape. */
mn__key_scan mn__tdqkr_scan(const mn__tdqkr *t, const mn__env *env, size_t n,
                            const mn__real *query);
mn__query_form mn__tdqkr_form(const mn__tdqkr *t);

#endif
