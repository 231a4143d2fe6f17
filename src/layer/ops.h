/* ops.h: the few operations that layers spend their time in. Matrices are rows of `ld` values. */
#ifndef MN_LAYER_OPS_H
#define MN_LAYER_OPS_H

#include "layer/layer.h"

/* c [m][n] = products over k of a and b; `add`: += instead. c is neither a nor b. */
typedef struct mn__mm {
    size_t m, n, k;
    const mn__real *a, *b;
    mn__real *c;
    size_t ld_a, ld_b, ld_c;
    bool add;
    bool alone; /* nt: row by row, so that a row's bits do not depend on how many there are:
                 * generated tokens of sequences that share a step */
    const struct mn__half_room *room; /* tiles: the calling thread's (half.h), for bf16 where that
                                       * is worth it; NULL: in float */
} mn__mm;

/* On the calling thread: for tiles within mn__each. */
void mn__mm_nt(const mn__mm *p); /* c = a b': a [m][k], b [n][k] */
void mn__mm_nn(const mn__mm *p); /* c = a b:  a [m][k], b [k][n] */
void mn__mm_tn(const mn__mm *p); /* c = a' b: a [k][m], b [k][n] */
/* On all threads, split over rows of c. */
void mn__each_mm_nt(const mn__env *env, const mn__mm *p);
void mn__each_mm_nn(const mn__env *env, const mn__mm *p);
void mn__each_mm_tn(const mn__env *env, const mn__mm *p);

/* y[i] += a x[i] */
void mn__axpy(mn__real *y, mn__real a, const mn__real *x, size_t n);
mn__real mn__dot(const mn__real *x, const mn__real *y, size_t n);
/* On all threads. */
void mn__each_add(const mn__env *env, mn__real *y, const mn__real *x, size_t n); /* y += x */
/* out[c] += sum over rows of x [n][width], ld apart: gradients of biases */
void mn__each_add_rows(const mn__env *env, mn__real *out, const mn__real *x, size_t ld, size_t n,
                       size_t width);

#endif
