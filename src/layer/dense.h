/* dense.h: a fully connected layer, y = x W' + b. */
#ifndef MN_LAYER_DENSE_H
#define MN_LAYER_DENSE_H

#include "layer/layer.h"

typedef struct mn__dense {
    size_t n_in, n_out;
    bool has_bias;
    double std;       /* of the weight's first values */
    bool cut;         /* these end at three deviations */
    mn__param weight; /* [n_out][n_in] */
    mn__param bias;   /* [n_out], from zeros */
} mn__dense;

void mn__dense_declare(mn__dense *l, mn__params *list, const char *prefix);
/* x [n][n_in], y [n][n_out]. Backward wants the same x again; dx may be NULL when nobody asks. */
void mn__dense_forward(const mn__dense *l, const mn__env *env, size_t n, const mn__real *x,
                       mn__real *y);
void mn__dense_backward(const mn__dense *l, const mn__env *env, size_t n, const mn__real *x,
                        const mn__real *dy, mn__real *dx);
/* The same, but dx is added to: of a row that several layers read. */
void mn__dense_backward_more(const mn__dense *l, const mn__env *env, size_t n, const mn__real *x,
                             const mn__real *dy, mn__real *dx);

#endif
