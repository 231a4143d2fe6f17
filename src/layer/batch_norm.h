/* batch_norm.h: columns brought to mean 0 and variance 1 over the rows of a batch, as the queries
 * of product-key memory want it. Ref: arXiv 1502.03167, 1907.05242. */
#ifndef MN_LAYER_BATCH_NORM_H
#define MN_LAYER_BATCH_NORM_H

#include "layer/layer.h"

typedef struct mn__batch_norm {
    size_t width;
    mn__real eps, momentum;
    mn__param scale, shift; /* [width] */
    mn__param mean, var;    /* [width], state: running statistics, var without bias */
} mn__batch_norm;

typedef struct mn__batch_norm_saved {
    const mn__real *x; /* borrowed */
    mn__real *mean;    /* [width] */
    mn__real *inv;     /* [width]: 1 / sqrt(var + eps) */
} mn__batch_norm_saved;

void mn__batch_norm_declare(mn__batch_norm *l, mn__params *list, const char *prefix);
/* x, y [n][width]. saved: training: the batch's own statistics (n > 1), which move the running
 * ones; NULL: the running ones. */
void mn__batch_norm_forward(const mn__batch_norm *l, const mn__env *env, size_t n,
                            const mn__real *x, mn__real *y, mn__batch_norm_saved *saved);
void mn__batch_norm_backward(const mn__batch_norm *l, const mn__env *env, size_t n,
                             const mn__batch_norm_saved *saved, const mn__real *dy, mn__real *dx);

#endif
