/* linear.h: y = W x + b, by rows. */
#ifndef MN_LAYER_LINEAR_H
#define MN_LAYER_LINEAR_H

#include "layer/layer.h"

typedef struct mn__linear {
    size_t n_in, n_out;
    bool bias;
    mn__init_kind init; /* first values of the weight and, uniform, of the bias */
    double scale;
    mn__param weight; /* [n_out][n_in] */
    mn__param offset; /* [n_out] */
} mn__linear;

void mn__linear_declare(mn__linear *l, mn__params *list, const char *prefix);
/* x [n][n_in], y [n][n_out]. */
void mn__linear_forward(const mn__linear *l, const mn__env *env, size_t n, const mn__real *x,
                        mn__real *y);
/* dx may be NULL: not wanted. */
void mn__linear_backward(const mn__linear *l, const mn__env *env, size_t n, const mn__real *x,
                         const mn__real *dy, mn__real *dx);

#endif
