/* tucker.h: the core of tucker-decomposed retrieval: its first singular pair, which chooses rows
 * and columns, and the loss that keeps the other singular values small. */
#ifndef MN_LAYER_TUCKER_H
#define MN_LAYER_TUCKER_H

#include <stddef.h>
#include "layer/real.h"

enum { MN__TUCKER_RANK_MAX = 16 };

/* Singular values of c[r][r], descending: c = sum over i of value[i] left[i] right[i]', left and
 * right [r][r] with a vector a row; r <= MN__TUCKER_RANK_MAX. One-sided Jacobi; one rotation, the
 * closed form, for r = 2. A vector of a zero value is zero, but the first pair is always of unit
 * length. */
void mn__tucker_svd(const double *c, size_t r, double *value, double *left, double *right);

/* The first singular pair of each head's core sum[head][r][r] into u, v [head][r], which hold the
 * pair of the refresh before (zeros: none). The sign of the pair is common to both: the one nearer
 * to the old pair in sum of absolute differences, or, without old pair, that of sum(u) >= 0. To be
 * called once before each step of training, and after loading when u and v are zeros.
 * Ref: arXiv 2411.12364; the sign's choice is the published code's. */
void mn__tucker_refresh(const mn__real *sum, size_t n_head, size_t r, mn__real *u, mn__real *v);

/* mean over heads and i >= 2 of max(0, value[i] - tau)^2. Adds scale times its gradient to
 * g[head][r][r] unless NULL: the same for each of the cores that sum is made of. 0 when r = 1. */
mn__real mn__tucker_loss(const mn__real *sum, size_t n_head, size_t r, double tau, double scale,
                         mn__real *g);

#endif
