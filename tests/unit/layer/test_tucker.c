/* test_tucker.c: singular values put a core together again; the sign of a refreshed pair; the
 * cores' loss against differences. */
#include "layer/tucker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"

enum { R_MAX = MN__TUCKER_RANK_MAX, N_MAX = R_MAX * R_MAX };

static void check_svd(const double *c, size_t r)
{
    double value[R_MAX], left[N_MAX], right[N_MAX];
    mn__tucker_svd(c, r, value, left, right);
    for (size_t i = 0; i < r; i++) {
        assert_true(value[i] >= 0 && (!i || value[i] <= value[i - 1]));
        for (size_t j = 0; j < r; j++) {
            double sum = 0, dot_left = 0, dot_right = 0;
            for (size_t k = 0; k < r; k++) {
                sum += value[k] * left[k * r + i] * right[k * r + j];
                dot_left += left[i * r + k] * left[j * r + k];
                dot_right += right[i * r + k] * right[j * r + k];
            }
            assert_true(fabs(sum - c[i * r + j]) < 1e-12 * (1 + value[0]));
            assert_true(fabs(dot_right - (i == j)) < 1e-12);
            if (value[i] > 1e-9 && value[j] > 1e-9) assert_true(fabs(dot_left - (i == j)) < 1e-6);
        }
    }
}

static void test_svd(void **state)
{
    double c[N_MAX];
    (void)state;
    for (size_t r = 1; r <= R_MAX; r++)
        for (uint32_t seed = 0; seed < 8; seed++) {
            for (size_t i = 0; i < r * r; i++)
                c[i] = seed % 2 ? mn__rng_uniform(r, seed, i, 0) : mn__rng_normal(r, seed, i, 0);
            check_svd(c, r);
            for (size_t i = 0; i < r; i++) c[i] = c[i + (r > 1) * r]; /* two rows alike */
            check_svd(c, r);
            for (size_t i = 0; i < r * r; i++) c[i] = i % (r + 1) == 0; /* all values alike */
            check_svd(c, r);
        }
}

static void test_zero(void **state)
{
    double c[4] = {0}, value[2], left[4], right[4];
    (void)state;
    mn__tucker_svd(c, 2, value, left, right);
    assert_true(value[0] == 0 && value[1] == 0);
    assert_true(left[0] == 1 && left[1] == 0 && right[0] * right[0] == 1);
}

/* The pair nearer to the old one; of none, the one with a sum above 0. */
static void test_sign(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 50; seed++) {
        mn__real c[9], u[3] = {0}, v[3] = {0}, u1[3], v1[3], sum = 0;
        for (size_t i = 0; i < 9; i++) c[i] = (mn__real)mn__rng_normal(5, seed, i, 0);
        mn__tucker_refresh(c, 1, 3, u, v);
        for (size_t i = 0; i < 3; i++) sum += u[i];
        assert_true(sum >= 0);
        for (size_t i = 0; i < 3; i++) {
            u1[i] = -u[i];
            v1[i] = -v[i];
        }
        mn__tucker_refresh(c, 1, 3, u1, v1); /* stays where it was */
        for (size_t i = 0; i < 3; i++) {
            assert_true(fabs((double)(u1[i] + u[i])) < 1e-12);
            assert_true(fabs((double)(v1[i] + v[i])) < 1e-12);
        }
    }
}

static void test_loss(void **state)
{
    (void)state;
    for (size_t r = 1; r <= 5; r++) {
        mn__real c[2 * 25], g[2 * 25] = {0};
        const double h = 1e-6;
        for (size_t i = 0; i < 2 * r * r; i++)
            c[i] = (mn__real)mn__rng_normal(9, 1, i, (uint32_t)r);
        mn__real loss = mn__tucker_loss(c, 2, r, 0.15, 1.5, g);
        if (r == 1) assert_true(loss == 0);
        if (r == 5) assert_true(loss > 0);
        for (size_t i = 0; i < 2 * r * r; i++) {
            mn__real keep = c[i];
            c[i] = keep + (mn__real)h;
            mn__real up = mn__tucker_loss(c, 2, r, 0.15, 0, NULL);
            c[i] = keep - (mn__real)h;
            mn__real down = mn__tucker_loss(c, 2, r, 0.15, 0, NULL);
            c[i] = keep;
            assert_true(fabs(1.5 * (double)(up - down) / (2 * h) - (double)g[i]) < 1e-7);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_svd),
        cmocka_unit_test(test_zero),
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
