/* optimizer_fixture.h: small searches for the tests of evolve/. */
#ifndef OPTIMIZER_FIXTURE_H
#define OPTIMIZER_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mneme/evolve.h"

enum { FIX_N_MOST = 64, FIX_ASK_MOST = 4096 };
typedef double (*fix_fn)(const double *x, size_t n);

static inline double fix_sphere(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

/* Axes from 1 to 1000. */
static inline double fix_ellipsoid(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += pow(10, n > 1 ? 6 * (double)i / (double)(n - 1) : 0) * x[i] * x[i];
    return sum;
}

static inline double fix_rastrigin(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i] + 10 - 10 * cos(2 * acos(-1) * x[i]);
    return sum;
}

static inline mn_optimizer_params fix_params(size_t n, mn_covariance c)
{
    mn_optimizer_params p;
    mn_optimizer_params_default(&p);
    p.n = n;
    p.covariance = c;
    p.sigma = 1;
    p.spread = 3;
    p.seed = 7;
    return p;
}

static inline mn_optimizer *fix_new(const mn_optimizer_params *p)
{
    mn_optimizer *o = NULL;
    mn_diag diag = {{0}};
    if (mn_optimizer_new(&o, p, &diag) != MN_OK) fail_msg("%s", diag.text);
    return o;
}

static inline mn_optimizer_info fix_info(const mn_optimizer *o)
{
    mn_optimizer_info info;
    mn_optimizer_get_info(o, &info);
    return info;
}

static inline void fix_tell(mn_optimizer *o, const double *rating)
{
    mn_diag diag = {{0}};
    if (mn_optimizer_tell(o, rating, &diag) != MN_OK) fail_msg("%s", diag.text);
}

/* One generation of f. */
static inline void fix_step(mn_optimizer *o, fix_fn f)
{
    static double rating[FIX_ASK_MOST];
    double x[FIX_N_MOST];
    mn_optimizer_info info = fix_info(o);
    assert_true(info.n_ask <= FIX_ASK_MOST && info.n <= FIX_N_MOST);
    for (size_t i = 0; i < info.n_ask; i++) {
        mn_optimizer_ask(o, i, x);
        rating[i] = f(x, info.n);
    }
    fix_tell(o, rating);
}

/* Until it stops. */
static inline mn_optimizer_info fix_run(mn_optimizer *o, fix_fn f)
{
    while (fix_info(o).stop == MN_END_NONE) fix_step(o, f);
    return fix_info(o);
}

/* The two stand at the same bits, and so does what they draw. */
static inline void fix_same(const mn_optimizer *a, const mn_optimizer *b)
{
    mn_optimizer_info x = fix_info(a), y = fix_info(b);
    double p[FIX_N_MOST], q[FIX_N_MOST];
    assert_int_equal(x.n_ask, y.n_ask);
    assert_int_equal(x.generation, y.generation);
    assert_int_equal(x.stop, y.stop);
    assert_memory_equal(&x.sigma, &y.sigma, sizeof x.sigma);
    assert_memory_equal(x.mean, y.mean, x.n * sizeof *x.mean);
    for (size_t i = 0; i < x.n_ask; i++) {
        mn_optimizer_ask(a, i, p);
        mn_optimizer_ask(b, i, q);
        assert_memory_equal(p, q, x.n * sizeof *p);
    }
}

#endif
