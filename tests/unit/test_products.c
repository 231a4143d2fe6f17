/* test_products.c: products in float, large enough for the library, and in bf16, against plain sums
 * in double, alone, by a team and as a tile; the same bits for all. */
#include "layer/half.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"

enum { GAP = 5 };

typedef struct form {
    void (*by_all)(const mn__env *env, const mn__mm *p);
    void (*by_tile)(const mn__mm *p);
    bool a_turned, b_turned; /* a is [k][m]; b is [n][k] */
} form;

static const form forms[] = {
    {mn__each_mm_nt, mn__mm_nt, false, true},
    {mn__each_mm_nn, mn__mm_nn, false, false},
    {mn__each_mm_tn, mn__mm_tn, true, false},
};

static float *draw(size_t n, uint32_t stream)
{
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)mn__rng_normal(1, stream, i, 0);
    return x;
}

/* Both operands are rounded to eight bits: half a unit of the last each, beside sums in float. */
#define FLOAT_ERROR 1e-6
#define HALF_ERROR  (1.0 / 256 + 1.0 / 262144 + FLOAT_ERROR)

/* The largest error, relative to the sum of absolute terms. */
static double compare(const form *f, const mn__mm *p, const float *before)
{
    double worst = 0;
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
            worst = fmax(worst, fabs((double)p->c[at] - sum) / size);
        }
    return worst;
}

typedef struct call {
    const form *f;
    const mn__mm *p;
    bool tile;
} call;

static void run_call(const mn__env *env, void *arg)
{
    const call *c = arg;
    mn__mm p = *c->p;
    if (!c->tile) {
        c->f->by_all(env, &p);
        return;
    }
    p.room = mn__half_room_of(mn__half_rooms(env), mn__env_threads(env) - 1);
    if (!mn__env_is_dry(env)) c->f->by_tile(&p);
}

static void run(const form *f, const mn__env *env, const mn__mm *p, bool tile)
{
    call c = {f, p, tile};
    mn_diag diag;
    assert_int_equal(mn__env_plan(env, run_call, &c, &diag), MN_OK);
    run_call(env, &c);
    mn__tape_fini(env->tape);
}

static void check(const form *f, mn__team *team, bool half, size_t m, size_t n, size_t k)
{
    const size_t ld_a = (f->a_turned ? m : k) + GAP, ld_b = (f->b_turned ? k : n) + GAP,
                 ld_c = n + GAP, n_c = m * ld_c;
    mn__tape tape = {0};
    struct mn__kern kern;
    mn__kern_init(&kern, (int)mn__cpu_best());
    const mn__env alone = {.kern = &kern, .tape = &tape, .half = half},
                  env = {.team = team, .kern = &kern, .tape = &tape, .half = half};
    float *a = draw((f->a_turned ? k : m) * ld_a, 1), *b = draw((f->b_turned ? n : k) * ld_b, 2),
          *before = draw(n_c, 3), *c = draw(n_c, 3), *d = draw(n_c, 3);
    for (int add = 0; add < 2; add++) {
        mn__mm p = {m, n, k, a, b, c, ld_a, ld_b, ld_c, add, false, NULL};
        memcpy(c, before, n_c * sizeof *c);
        memcpy(d, before, n_c * sizeof *c);
        run(f, &env, &p, false);
        const double worst = compare(f, &p, before);
        assert_true(worst <= (half ? HALF_ERROR : FLOAT_ERROR));
        if (half) assert_true(worst > FLOAT_ERROR); /* or nothing was rounded */
        p.c = d;
        run(f, &alone, &p, false);
        assert_memory_equal(c, d, n_c * sizeof *c);
        memcpy(d, before, n_c * sizeof *c);
        if (half) run(f, &env, &p, true);
        if (half) assert_memory_equal(c, d, n_c * sizeof *c);
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
        check(&forms[i], team, false, 3, 5, 7);
        check(&forms[i], team, false, 67, 35, 41);
        check(&forms[i], team, false, 301, 130, 129);
        check(&forms[i], team, false, 1, 300, 200);
    }
    mn__team_free(team);
}

/* Blocks of rows, panels and deep parts with and without rests. */
static void test_half(void **state)
{
    (void)state;
    mn__team *team = mn__team_new(3);
    assert_non_null(team);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        check(&forms[i], team, true, 301, 130, 129);
        check(&forms[i], team, true, 288, 64, 96);
        check(&forms[i], team, true, 33, 40, 2100);
        check(&forms[i], team, true, 40, 1600, 33);
    }
    mn__team_free(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products),
                                       cmocka_unit_test(test_half)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
