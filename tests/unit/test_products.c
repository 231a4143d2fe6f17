/* test_products.c: products in float, large enough for the library, against plain sums in double,
 * alone and by a team; the same bits for both. */
#include "layer/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"

enum { GAP = 5 };

typedef struct form {
    void (*by_all)(const mn__env *env, const mn__mm *p);
    bool a_turned, b_turned; /* a is [k][m]; b is [n][k] */
} form;

static const form forms[] = {
    {mn__each_mm_nt, false, true},
    {mn__each_mm_nn, false, false},
    {mn__each_mm_tn, true, false},
};

static float *draw(size_t n, uint32_t stream)
{
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)mn__rng_normal(1, stream, i, 0);
    return x;
}

static void compare(const form *f, const mn__mm *p, const float *before)
{
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            const size_t at = i * p->ld_c + j;
            double sum = p->add ? (double)before[at] : 0, size = fabs(sum);
            for (size_t x = 0; x < p->k; x++) {
                double term =
                    (double)(f->a_turned ? p->a[x * p->ld_a + i] : p->a[i * p->ld_a + x]) *
                    (double)(f->b_turned ? p->b[j * p->ld_b + x] : p->b[x * p->ld_b + j]);
                sum += term;
                size += fabs(term);
            }
            assert_true(fabs((double)p->c[at] - sum) <= 1e-6 * size);
        }
}

static void check(const form *f, mn__team *team, size_t m, size_t n, size_t k)
{
    const size_t ld_a = (f->a_turned ? m : k) + GAP, ld_b = (f->b_turned ? k : n) + GAP,
                 ld_c = n + GAP, n_c = m * ld_c;
    mn__tape tape = {.data = (uint8_t *)&tape};
    const mn__env alone = {.tape = &tape}, env = {.team = team, .tape = &tape};
    float *a = draw((f->a_turned ? k : m) * ld_a, 1), *b = draw((f->b_turned ? n : k) * ld_b, 2),
          *before = draw(n_c, 3), *c = draw(n_c, 3), *d = draw(n_c, 3);
    for (int add = 0; add < 2; add++) {
        mn__mm p = {m, n, k, a, b, c, ld_a, ld_b, ld_c, add, false};
        memcpy(c, before, n_c * sizeof *c);
        memcpy(d, before, n_c * sizeof *c);
        f->by_all(&env, &p);
        compare(f, &p, before);
        p.c = d;
        f->by_all(&alone, &p);
        assert_memory_equal(c, d, n_c * sizeof *c);
        for (size_t i = 0; i < m; i++) /* nothing between rows was written */
            assert_memory_equal(c + i * ld_c + n, before + i * ld_c + n, GAP * sizeof *c);
    }
    float *all[] = {a, b, before, c, d};
    for (size_t i = 0; i < 5; i++) free(all[i]);
}

static void test_products(void **state)
{
    (void)state;
    mn__team *team = mn__team_new(2);
    assert_non_null(team);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        check(&forms[i], team, 3, 5, 7);
        check(&forms[i], team, 67, 35, 41);
        check(&forms[i], team, 301, 130, 129);
        check(&forms[i], team, 1, 300, 200);
    }
    mn__team_free(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
