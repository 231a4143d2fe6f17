/* step_experts.h: a mixture of experts in a step of some rows: the matrices of every expert that is
 * wanted are read once and meet all rows that want it. Ref: arXiv 2409.02060. */
#ifndef MN_MODEL_STEP_EXPERTS_H
#define MN_MODEL_STEP_EXPERTS_H

#include "model/step_matrix.h"

enum { MN__STEP_EXPERTS = 64, MN__STEP_KEEP = 8 }; /* most experts, most of a token */

/* Experts of two matrices with GELU (its tanh form): y = sum over the n_keep best of p_e W2_e
 * gelu(W1_e x), p = softmax(router x). */
typedef struct mn__step_experts {
    size_t width, inner, n_expert, n_keep; /* width, inner: multiples of 32 */
    mn__matrix router;                     /* [n_expert][width] */
    const mn__matrix *up, *down;           /* [n_expert] each: [inner][width], [width][inner] */
} mn__step_experts;

/* Memory of one step; the caller's, for at most MN__STEP_ROWS rows. */
typedef struct mn__step_experts_work {
    float *logit;      /* [B][n_expert] */
    mn_bf16 *packed;   /* [B n_keep][width]: rows in the order of experts */
    mn_bf16 *hidden;   /* [B n_keep][inner] */
    float *out;        /* [B n_keep][width] */
    const float *ones; /* [32 MN__STEP_ROWS] */
    /* Found by the routing, all threads alike. */
    size_t n_wanted;
    uint16_t wanted[MN__STEP_EXPERTS]; /* experts with rows */
    uint16_t first[MN__STEP_EXPERTS + 1];
    uint16_t place[MN__STEP_ROWS * MN__STEP_KEEP]; /* [B][n_keep]: packed row of a hit */
    float weight[MN__STEP_ROWS * MN__STEP_KEEP];
} mn__step_experts_work;

/* y [B][width] += the experts' sum. Barriers within; ends with one. */
void mn__step_experts_run(const mn__crew *crew, const mn__step_kern *k, const mn__step_experts *l,
                          const mn__step_rows *x, mn__step_experts_work *w, float *y);

#endif
