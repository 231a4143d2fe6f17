/* cma.h: one distribution that learns from ranks: constants, drawing, update. Knows neither files
 * nor restarts. Letters: n variables, lambda candidates, mu of them move the mean. */
#ifndef MN_CMA_H
#define MN_CMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/evolve.h"

/* What the sizes decide (arXiv 1604.00772, tables 1 and 2). */
typedef struct mn__cma_rates {
    size_t n, lambda, mu;
    double mu_eff, c_1, c_mu, c_s, d_s, c_c, e_norm;
    double weight_sum; /* of all lambda */
    double *weight;    /* [lambda] best first; negative in the worse half */
} mn__cma_rates;

typedef struct mn__cma_plan {
    size_t n, lambda, rank;
    double elite_ratio, sigma;
    mn_covariance covariance;
    bool is_passive, is_exact;
} mn__cma_plan;

mn_status mn__cma_rates_init(mn__cma_rates *r, const mn__cma_plan *plan, mn_diag *diag);
void mn__cma_rates_fini(mn__cma_rates *r);

typedef struct mn__cma {
    mn__cma_plan plan;
    mn__cma_rates rates;
    uint64_t g;    /* updates so far */
    uint64_t g_of; /* of them in what is drawn from now: basis and scale */
    double sigma;
    double *mean, *p_s, *p_c; /* [n]; p_c of full and separable */
    double *c;                /* [n][n] full, [n] separable, else NULL */
    double *basis;            /* [n][n] full: row k is eigenvector k */
    double *scale;            /* [n] full: square roots of eigenvalues, separable: of c */
    double *path;             /* [rank][n] low rank */
    double *work;             /* two vectors, then LAPACK's */
} mn__cma;

/* From plan.sigma around `mean` [n], with an identity for covariance. */
mn_status mn__cma_init(mn__cma *c, const mn__cma_plan *plan, const double *mean, mn_diag *diag);
void mn__cma_fini(mn__cma *c);

/* y [n] of N(0, C) from z [n] of N(0, I), and back (not low rank). A candidate is mean + sigma y.
 */
void mn__cma_shape(const mn__cma *c, const double *z, double *y);
void mn__cma_whiten(const mn__cma *c, const double *y, double *z);

/* Learn from a generation: y and z [lambda][n] in any order, order[k] is the k-th best. Then basis
 * and scale are made anew where it is time. MN_EFAIL: no eigenvectors. */
mn_status mn__cma_update(mn__cma *c, const double *y, const double *z, const size_t *order,
                         mn_diag *diag);

/* In place of the symmetric c [n][n] its eigenvectors as rows, in scale [n] the square roots of the
 * eigenvalues (at least 1e-10); work [mn__eigen_work(n)]. */
mn_status mn__eigen(double *c, size_t n, double *scale, double *work, mn_diag *diag);
size_t mn__eigen_work(size_t n);

/* Standard deviation of variable i, and longest over shortest axis of candidates. */
double mn__cma_deviation(const mn__cma *c, size_t i);
double mn__cma_path(const mn__cma *c, size_t i); /* of p_c, as long as candidates see it */
double mn__cma_axis_ratio(const mn__cma *c);

#endif
