/* test_likely.c: log-likelihood and divergence against sums in long double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "eval/likely.h"

enum { N = 1003 };

static void fill(float *x, uint64_t seed, float scale)
{
    for (size_t i = 0; i < N; i++)
        x[i] = scale * ((float)mn__rng_uniform(seed, 1, i, 0) - 0.5F) - 3;
}

static long double lse(const float *x)
{
    long double sum = 0;
    for (size_t i = 0; i < N; i++) sum += expl((long double)x[i]);
    return logl(sum);
}

static mn__likely make(struct mn__kern *kern)
{
    mn__likely l;
    mn_diag diag = {""};
    mn__kern_init(kern, (int)mn__cpu_best());
    assert_int_equal(mn__likely_init(&l, kern, N, &diag), MN_OK);
    return l;
}

static void test_against_long_double(void **state)
{
    (void)state;
    struct mn__kern kern;
    float a[N], b[N];
    mn__likely l = make(&kern);
    for (uint64_t seed = 0; seed < 20; seed++) {
        double nll, kl;
        long double want = 0, la, lb;
        size_t token = (size_t)(seed * 37 % N);
        fill(a, seed, 30);
        fill(b, seed + 100, 25);
        la = lse(a);
        lb = lse(b);
        for (size_t i = 0; i < N; i++)
            want +=
                expl((long double)a[i] - la) * ((long double)a[i] - la - (long double)b[i] + lb);
        mn__likely_set_full(&l, a);
        mn__likely_compare(&l, b, (int32_t)token, &nll, &kl);
        assert_true(fabsl((long double)nll - (lb - (long double)b[token])) <
                    2e-6L * fabsl(lb) + 2e-6L);
        assert_true(fabsl((long double)kl - want) < 1e-5L * want + 2e-6L);
    }
    mn__likely_fini(&l);
}

/* The same forecast diverges by nothing, a shifted one too, and a nearly equal one by little. */
static void test_near_zero(void **state)
{
    (void)state;
    struct mn__kern kern;
    float a[N], b[N];
    double nll, kl, moved;
    mn__likely l = make(&kern);
    fill(a, 3, 12);
    mn__likely_set_full(&l, a);
    mn__likely_compare(&l, a, 5, &nll, &kl);
    assert_true(kl < 1e-12);
    for (size_t i = 0; i < N; i++) b[i] = a[i] + 2;
    mn__likely_compare(&l, b, 5, &moved, &kl);
    assert_true(kl < 1e-6 && fabs(moved - nll) < 1e-5);
    for (size_t i = 0; i < N; i++) b[i] = a[i] + (i % 2 ? 0.01F : -0.01F);
    mn__likely_compare(&l, b, 5, &nll, &kl);
    assert_true(kl > 3e-5 && kl < 6e-5); /* variance / 2 */
    mn__likely_fini(&l);
}

static void test_not_finite(void **state)
{
    (void)state;
    struct mn__kern kern;
    float a[N], b[N];
    double nll, kl;
    mn__likely l = make(&kern);
    fill(a, 3, 12);
    fill(b, 4, 12);
    b[17] = NAN;
    mn__likely_set_full(&l, a);
    mn__likely_compare(&l, b, 5, &nll, &kl);
    assert_true(isnan(nll) && isnan(kl));
    assert_int_not_equal(mn__likely_best(b, N), 17);
    mn__likely_fini(&l);
}

static void test_best(void **state)
{
    (void)state;
    const float x[] = {1, 7, -2, 7, NAN, 3}, low[] = {-INFINITY, -INFINITY};
    assert_int_equal(mn__likely_best(x, 6), 1);
    assert_int_equal(mn__likely_best(low, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_long_double),
        cmocka_unit_test(test_near_zero),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
