/* cma_eigen.c: eigenvectors by LAPACK (dsyevd), in workspace of ours. */
#include <lapacke.h>
#include <math.h>

#include "base/diag.h"
#include "evolve/cma.h"

/* dsyevd wants 1 + 6n + 2n^2 doubles and 3 + 5n integers, which lie behind them. */
static size_t n_double(size_t n)
{
    return 1 + 6 * n + 2 * n * n;
}

size_t mn__eigen_work(size_t n)
{
    return n_double(n) + ((3 + 5 * n) * sizeof(lapack_int) + sizeof(double) - 1) / sizeof(double);
}

mn_status mn__eigen(double *c, size_t n, double *scale, double *work, mn_diag *diag)
{
    lapack_int *whole = (lapack_int *)(void *)(work + n_double(n));
    /* Vectors come as columns in LAPACK's order, which are rows in ours. */
    lapack_int info =
        LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)n, c, (lapack_int)n, scale,
                            work, (lapack_int)n_double(n), whole, (lapack_int)(3 + 5 * n));
    if (info)
        return mn__fail(diag, MN_EFAIL, "no eigenvectors of a covariance of %zu variables (%d)", n,
                        (int)info);
    for (size_t k = 0; k < n; k++) scale[k] = sqrt(scale[k] > 0 ? scale[k] : 1e-20);
    return MN_OK;
}
