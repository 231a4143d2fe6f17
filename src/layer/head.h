/* head.h: from the last rows to a loss: logits and mean cross-entropy in one, some rows at a time,
 * so that logits of a whole batch are never held. */
#ifndef MN_LAYER_HEAD_H
#define MN_LAYER_HEAD_H

#include "layer/layer.h"

typedef struct mn__head {
    size_t width, n_vocab;
    const mn__param *weight; /* [n_vocab][width], borrowed: its own, or the embedding */
} mn__head;

/* Sum of -log p(target) over rows with a target, and how many these are. */
typedef struct mn__nll {
    double sum;
    size_t n;
} mn__nll;

/* x [n][width], target [n] in [0, n_vocab), or below 0: none. dx [n][width] or NULL: the gradient
 * of scale times the sum, which is added to the weight's g too. */
mn__nll mn__head_loss(const mn__head *l, const mn__env *env, size_t n, const mn__real *x,
                      const int32_t *target, double scale, mn__real *dx);
/* logits [n][n_vocab] */
void mn__head_logits(const mn__head *l, const mn__env *env, size_t n, const mn__real *x,
                     mn__real *logits);

#endif
