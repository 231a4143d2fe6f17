/* moe.h: a mixture of experts, none dropped: each token is computed by the experts its router
 * likes best. Ref: arXiv 2409.02060 (OLMoE), 2211.15841 (MegaBlocks). */
#ifndef MN_LAYER_MOE_H
#define MN_LAYER_MOE_H

#include "layer/hits.h"
#include "layer/layer.h"

typedef struct mn__moe {
    /* Set before it is declared. */
    size_t width, inner, n_expert, n_keep; /* n_keep: experts of a token */
    bool gelu;         /* experts of two matrices with GELU (erf); else of three, SwiGLU */
    bool renormalise;  /* weights of the kept ones are brought to a sum of 1 */
    double balance, z; /* coefficients of the two losses */
    double loss_share; /* of both that a pass counts: 1 / passes of a step; 0 is 1 */
    size_t n_layer;    /* such layers of the model, over which the losses are meant */
    double std;        /* of first values, cut at three deviations */
    size_t n_block;    /* of the model: w2 begins smaller by sqrt(2 n_block) */
    /* Its own. */
    mn__param router;     /* [n_expert][width] */
    mn__param w1, v1, w2; /* [n_expert][inner][width] each; v1: SwiGLU alone */
} mn__moe;

typedef struct mn__moe_saved {
    const mn__real *x;             /* borrowed */
    mn__real *logit, *prob;        /* [n][n_expert] */
    mn__real *lse;                 /* [n]: log of the sum of exponentials of logits */
    uint32_t *expert;              /* [n][n_keep], best first */
    mn__real *weight;              /* [n][n_keep] */
    uint32_t *count;               /* [n_expert]: tokens of an expert */
    mn__real *packed;              /* [n n_keep][width]: x in the order of experts */
    mn__real *gate, *lin, *hidden; /* [n n_keep][inner]: W1 x, V1 x, what meets W2 */
    mn__real *out;                 /* [n n_keep][width] */
    mn__hits by_expert;
    mn__real balance, z; /* the losses, with their coefficients */
} mn__moe_saved;

/* MN_ERANGE with a sentence where sizes cannot be. */
mn_status mn__moe_check(const mn__moe *l, mn_diag *diag);
void mn__moe_declare(mn__moe *l, mn__params *list, const char *prefix);
/* x, y [n][width]. */
void mn__moe_forward(const mn__moe *l, const mn__env *env, size_t n, const mn__real *x, mn__real *y,
                     mn__moe_saved *saved);
/* Inference with experts as a model's file holds them (moe_infer.c), each by the engine's products:
 * its tokens are one run of rows. In float alone. */
void mn__moe_infer(const mn__moe *l, const mn__env *env, size_t n, const mn__real *x, mn__real *y);
void mn__moe_backward(const mn__moe *l, const mn__env *env, size_t n, const mn__moe_saved *saved,
                      const mn__real *dy, mn__real *dx);

#endif
