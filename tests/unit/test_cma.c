/* test_cma.c: constants, eigenvectors, drawing and whitening. Whole updates: tests/golden/evolve.
 */
#include "evolve/cma.h"
#include "optimizer_fixture.h"

static mn_diag diag;

static mn__cma_plan plan_of(size_t n, size_t lambda, mn_covariance c)
{
    return (mn__cma_plan){.n = n,
                          .lambda = lambda,
                          .rank = c == MN_COVARIANCE_LOW_RANK ? 4 : 0,
                          .elite_ratio = 0.5,
                          .sigma = 1,
                          .covariance = c};
}

static void near(double want, double found)
{
    if (!(fabs(found - want) <= 1e-4 * fabs(want))) fail_msg("%g wanted, %g found", want, found);
}

/* The NAMM paper's runs. */
static void test_published_constants(void **state)
{
    (void)state;
    mn__cma_rates r;
    mn__cma_plan plan = plan_of(4172, 32, MN_COVARIANCE_FULL);
    plan.is_exact = true;
    assert_int_equal(mn__cma_rates_init(&r, &plan, &diag), MN_OK);
    assert_int_equal(r.mu, 16);
    near(9.17883, r.mu_eff);
    near(1.14834e-7, r.c_1);
    near(8.36604e-7, r.c_mu);
    near(0.0026704, r.c_s);
    near(1.0026704, r.d_s);
    near(9.58380e-4, r.c_c);
    near(64.58715, r.e_norm);
    near(-0.13726, r.weight_sum);
    mn__cma_rates_fini(&r);
}

/* n counts as 40,000 at most wherever a rate would fall with its square. */
static void test_many_variables(void **state)
{
    (void)state;
    mn__cma_rates most, more;
    const mn__cma_plan plan[] = {plan_of(40000, 16, MN_COVARIANCE_SEPARABLE),
                                 plan_of(4000000, 16, MN_COVARIANCE_SEPARABLE)};
    assert_int_equal(mn__cma_rates_init(&most, &plan[0], &diag), MN_OK);
    assert_int_equal(mn__cma_rates_init(&more, &plan[1], &diag), MN_OK);
    near(most.c_1, more.c_1);
    near(most.c_mu, more.c_mu);
    near(2.0 / 3 / 40000, more.c_1);
    mn__cma_rates_fini(&most);
    mn__cma_rates_fini(&more);
}

/* A quarter moves the mean: their weights sum to 1, and those of the next quarter are none. */
static void test_fewer_move_the_mean(void **state)
{
    (void)state;
    mn__cma_rates r;
    mn__cma_plan plan = plan_of(10, 16, MN_COVARIANCE_FULL);
    double sum = 0;
    plan.elite_ratio = 0.25;
    assert_int_equal(mn__cma_rates_init(&r, &plan, &diag), MN_OK);
    assert_int_equal(r.mu, 4);
    for (size_t i = 0; i < r.mu; i++) sum += r.weight[i];
    assert_true(fabs(sum - 1) < 1e-12);
    for (size_t i = 4; i < 8; i++) assert_true(r.weight[i] == 0);
    for (size_t i = 8; i < 16; i++) assert_true(r.weight[i] < 0);
    mn__cma_rates_fini(&r);
}

/* Whatever the sizes: positive weights sum to 1, they fall, and C cannot lose its positive part. */
static void test_weights(void **state)
{
    (void)state;
    for (size_t n = 1; n < 5000; n = 2 * n + 1)
        for (size_t lambda = 2; lambda < 300; lambda = 2 * lambda + 1)
            for (int c = 0; c <= MN_COVARIANCE_SEPARABLE; c++) {
                mn__cma_rates r;
                mn__cma_plan plan = plan_of(n, lambda, (mn_covariance)c);
                double plus = 0, minus = 0;
                assert_int_equal(mn__cma_rates_init(&r, &plan, &diag), MN_OK);
                for (size_t i = 0; i < lambda; i++) {
                    *(r.weight[i] < 0 ? &minus : &plus) += r.weight[i];
                    assert_true(i == 0 || r.weight[i] < r.weight[i - 1]);
                }
                assert_true(fabs(plus - 1) < 1e-12 && minus < 0);
                assert_true(r.c_1 > 0 && r.c_mu >= 0 && r.c_1 + r.c_mu < 1);
                assert_true((double)n * r.c_mu * -minus <= 1 - r.c_1 - r.c_mu + 1e-12);
                mn__cma_rates_fini(&r);
                plan.is_passive = true;
                assert_int_equal(mn__cma_rates_init(&r, &plan, &diag), MN_OK);
                for (size_t i = 0; i < lambda; i++) assert_true(r.weight[i] >= 0);
                mn__cma_rates_fini(&r);
            }
}

static void test_eigenvectors(void **state)
{
    (void)state;
    enum { N = 9 };
    double c[N * N], basis[N * N], scale[N], *work = calloc(mn__eigen_work(N), sizeof *work);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) c[i * N + j] = (i == j) * (i + 1) + 0.3 * cos(i + j);
    memcpy(basis, c, sizeof c);
    assert_int_equal(mn__eigen(basis, N, scale, work, &diag), MN_OK);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double made = 0, angle = 0;
            for (int k = 0; k < N; k++) {
                made += scale[k] * scale[k] * basis[k * N + i] * basis[k * N + j];
                angle += basis[i * N + k] * basis[j * N + k];
            }
            assert_true(fabs(made - c[i * N + j]) < 1e-12);
            assert_true(fabs(angle - (i == j)) < 1e-12);
        }
    free(work);
}

/* A few generations on an ellipsoid, with what is drawn here. */
static void train(mn__cma *c, size_t lambda, double *z, double *y)
{
    size_t order[32], n = c->plan.n;
    for (int g = 0; g < 60; g++) {
        double x[FIX_N_MOST], f[32];
        for (size_t i = 0; i < lambda; i++) {
            for (size_t j = 0; j < n; j++)
                z[i * n + j] = sin(1 + 7.1 * (double)(i * n + j) + 3.3 * g) * 1.4;
            mn__cma_shape(c, z + i * n, y + i * n);
            for (size_t j = 0; j < n; j++) x[j] = c->mean[j] + c->sigma * y[i * n + j];
            f[i] = fix_ellipsoid(x, n);
            size_t at = i;
            for (; at > 0 && f[order[at - 1]] > f[i]; at--) order[at] = order[at - 1];
            order[at] = i;
        }
        assert_int_equal(mn__cma_update(c, y, z, order, &diag), MN_OK);
    }
}

static void test_whitening(void **state)
{
    (void)state;
    enum { N = 6, LAMBDA = 12 };
    double z[N * LAMBDA], y[N * LAMBDA], back[N], mean[N] = {3, 3, 3, 3, 3, 3};
    for (int kind = 0; kind <= MN_COVARIANCE_SEPARABLE; kind++) {
        mn__cma c;
        mn__cma_plan plan = plan_of(N, LAMBDA, (mn_covariance)kind);
        assert_int_equal(mn__cma_init(&c, &plan, mean, &diag), MN_OK);
        train(&c, LAMBDA, z, y);
        assert_true(mn__cma_axis_ratio(&c) > 3); /* something was learned */
        for (int i = 0; i < LAMBDA; i++) {
            mn__cma_shape(&c, z + i * N, y + i * N);
            mn__cma_whiten(&c, y + i * N, back);
            for (int j = 0; j < N; j++) assert_true(fabs(back[j] - z[i * N + j]) < 1e-9);
        }
        mn__cma_fini(&c);
    }
}

/* C stays symmetric to the last bit, and wider where the function is flatter. */
static void test_learns_the_axes(void **state)
{
    (void)state;
    enum { N = 5, LAMBDA = 16 };
    double z[N * LAMBDA], y[N * LAMBDA], mean[N] = {1, 1, 1, 1, 1};
    mn__cma c;
    mn__cma_plan plan = plan_of(N, LAMBDA, MN_COVARIANCE_FULL);
    assert_int_equal(mn__cma_init(&c, &plan, mean, &diag), MN_OK);
    train(&c, LAMBDA, z, y);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            assert_memory_equal(&c.c[i * N + j], &c.c[j * N + i], sizeof(double));
    assert_true(mn__cma_deviation(&c, 0) > 3 * mn__cma_deviation(&c, N - 1));
    mn__cma_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_constants), cmocka_unit_test(test_many_variables),
        cmocka_unit_test(test_fewer_move_the_mean), cmocka_unit_test(test_weights),
        cmocka_unit_test(test_eigenvectors),        cmocka_unit_test(test_whitening),
        cmocka_unit_test(test_learns_the_axes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
