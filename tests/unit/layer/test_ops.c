/* test_ops.c: products of all forms against plain sums, alone and by a team, with gaps between
 * rows. */
#include "layer/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"

enum { M = 37, N = 9, K = 13, GAP = 3, SIZE = 64 * 64 };

typedef struct form {
    void (*alone)(const mn__mm *p);
    void (*by_all)(const mn__env *env, const mn__mm *p);
    bool a_turned, b_turned; /* a is [k][m]; b is [n][k] */
} form;

static const form forms[] = {
    {mn__mm_nt, mn__each_mm_nt, false, true},
    {mn__mm_nn, mn__each_mm_nn, false, false},
    {mn__mm_tn, mn__each_mm_tn, true, false},
};

static void check(const form *f, mn__team *team, bool add)
{
    static mn__real a[SIZE], b[SIZE], c[SIZE], d[SIZE];
    mn__tape tape = {.data = (uint8_t *)&tape};
    const mn__env env = {.team = team, .tape = &tape};
    for (size_t i = 0; i < SIZE; i++) {
        a[i] = mn__rng_normal(1, 1, i, 0);
        b[i] = mn__rng_normal(1, 2, i, 0);
        c[i] = d[i] = mn__rng_normal(1, 3, i, 0);
    }
    mn__mm p = {.m = M, .n = N, .k = K, .a = a, .b = b, .c = d, .add = add};
    p.ld_a = (f->a_turned ? M : K) + GAP;
    p.ld_b = (f->b_turned ? K : N) + GAP;
    p.ld_c = N + GAP;
    f->by_all(&env, &p);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++) {
            mn__real *want = c + i * p.ld_c + j, sum = add ? *want : 0;
            for (size_t x = 0; x < K; x++)
                sum += (f->a_turned ? a[x * p.ld_a + i] : a[i * p.ld_a + x]) *
                       (f->b_turned ? b[j * p.ld_b + x] : b[x * p.ld_b + j]);
            assert_true(fabs(d[i * p.ld_c + j] - sum) < 1e-12);
            *want = d[i * p.ld_c + j];
        }
    assert_memory_equal(c, d, sizeof c); /* nothing between or behind rows was written */
}

static void test_products(void **state)
{
    (void)state;
    mn__team *team = mn__team_new(2);
    assert_non_null(team);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (int add = 0; add < 2; add++) {
            check(&forms[i], NULL, add);
            check(&forms[i], team, add);
        }
    mn__team_free(team);
}

static void test_sums(void **state)
{
    (void)state;
    mn__tape tape = {.data = (uint8_t *)&tape};
    const mn__env env = {.tape = &tape};
    mn__real x[7] = {1, 2, 3, 4, 5, 6, 7}, y[7] = {1, 1, 1, 1, 1, 1, 1}, out[2] = {10, 20};
    assert_true(mn__dot(x, y, 7) == 28 && mn__dot(x, y, 0) == 0);
    mn__axpy(y, 2, x, 3);
    assert_true(y[2] == 7 && y[3] == 1);
    mn__each_add(&env, y, x, 7);
    assert_true(y[2] == 10 && y[6] == 8);
    mn__each_add_rows(&env, out, x, 3, 2, 2);
    assert_true(out[0] == 10 + 1 + 4 && out[1] == 20 + 2 + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
