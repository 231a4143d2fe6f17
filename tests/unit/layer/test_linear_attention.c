/* test_linear_attention.c: Performer and cosFormer against differences over several chunks, their
 * plain sums, and their blindness to what comes behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "attend.h"
#include "base/rng.h"
#include "layer/cosformer.h"
#include "layer/performer.h"

static void performer_forward(const void *core, const mn__env *env, mn__shape s, const mn__qkv *in,
                              mn__real *y, void *saved)
{
    mn__performer_forward(core, env, s, in, y, saved);
}

static void performer_backward(const void *core, const mn__env *env, mn__shape s, const void *saved,
                               const mn__real *dy, const mn__qkv_grad *out)
{
    mn__performer_backward(core, env, s, saved, dy, out);
}

static void cosformer_forward(const void *core, const mn__env *env, mn__shape s, const mn__qkv *in,
                              mn__real *y, void *saved)
{
    mn__cosformer_forward(core, env, s, in, y, saved);
}

static void cosformer_backward(const void *core, const mn__env *env, mn__shape s, const void *saved,
                               const mn__real *dy, const mn__qkv_grad *out)
{
    mn__cosformer_backward(core, env, s, saved, dy, out);
}

/* eps is 0 here: the shifts, which the gradient takes for constants, then cancel exactly. */
static void check_performer(mn__heads heads, mn__shape s, size_t n_feature, bool key_max)
{
    mn__performer core = {.heads = heads, .n_feature = n_feature, .key_max = key_max};
    mn__performer_saved saved;
    mn__real w[64];
    attend a = {.core = &core,
                .saved = &saved,
                .forward = performer_forward,
                .backward = performer_backward,
                .heads = heads,
                .s = s,
                .rotary = {2, 100}};
    const mn__params none = {0};
    assert_true(n_feature * heads.dim <= 64);
    core.projection.w = w;
    mn__performer_draw(&core, 1, 0);
    attend_differ(&a, &none, 0.7, s.len);
    core.eps = 1e-3;
    if (!key_max) attend_causal(&a, s.len / 2, 2);
}

static void test_performer(void **state)
{
    (void)state;
    check_performer((mn__heads){2, 2, 4}, (mn__shape){2, 7}, 6, false);
    check_performer((mn__heads){4, 2, 3}, (mn__shape){1, 9}, 5, true);
    check_performer((mn__heads){2, 1, 2}, (mn__shape){1, 131}, 3, false);
}

/* Rows by dim are orthogonal; redraws differ. */
static void test_draw(void **state)
{
    enum { DIM = 5, M = 12 };
    mn__real w[M * DIM], again[M * DIM];
    mn__performer l = {.heads = {1, 1, DIM}, .n_feature = M, .projection = {.w = w}};
    (void)state;
    mn__performer_draw(&l, 7, 0);
    for (size_t i = 0; i < M; i++)
        for (size_t j = i / DIM * DIM; j < i; j++) {
            double dot = 0;
            for (size_t c = 0; c < DIM; c++) dot += w[i * DIM + c] * w[j * DIM + c];
            assert_true(fabs(dot) < 1e-12);
        }
    double mean = 0;
    for (size_t i = 0; i < M * DIM; i++) mean += w[i] * w[i] / M;
    assert_true(mean > DIM / 2.0 && mean < 2.0 * DIM);
    l.projection.w = again;
    mn__performer_draw(&l, 7, 1);
    assert_true(w[0] != again[0]);
    assert_int_equal(mn__performer_features(64), 266);
}

static void check_cosformer(mn__heads heads, mn__shape s, size_t context, double lowest)
{
    mn__cosformer core = {heads, context, lowest};
    mn__cosformer_saved saved;
    attend a = {.core = &core,
                .saved = &saved,
                .forward = cosformer_forward,
                .backward = cosformer_backward,
                .heads = heads,
                .s = s};
    const mn__params none = {0};
    attend_differ(&a, &none, 1, s.len + heads.dim);
    attend_causal(&a, s.len / 2, 3);
}

static void test_cosformer(void **state)
{
    (void)state;
    check_cosformer((mn__heads){2, 2, 5}, (mn__shape){2, 7}, 9, 1e-6);
    check_cosformer((mn__heads){4, 2, 3}, (mn__shape){1, 70}, 70, 1e-6);
    check_cosformer((mn__heads){1, 1, 4}, (mn__shape){1, 12}, 12, 3); /* the floor matters */
}

static void test_plain_sum(void **state)
{
    enum { LEN = 80, DIM = 3, WIDTH = 3 * DIM, CONTEXT = 100 };
    static double x[LEN * WIDTH], y[LEN * DIM];
    mn__cosformer core = {{1, 1, DIM}, CONTEXT, 1e-6};
    attend a = {.core = &core, .forward = cosformer_forward, .heads = {1, 1, DIM}, .s = {1, LEN}};
    (void)state;
    for (size_t i = 0; i < LEN * WIDTH; i++) x[i] = mn__rng_normal(3, 1, i, 0);
    attend_run(&a, x, y);
    for (size_t i = 0; i < LEN; i++) {
        double sum = 0, out[DIM] = {0};
        for (size_t j = 0; j <= i; j++) {
            double w = 0;
            for (size_t c = 0; c < DIM; c++)
                w += fmax(0, x[i * WIDTH + c]) * fmax(0, x[j * WIDTH + DIM + c]);
            w *= cos(acos(-1) / 2 * (double)(i - j) / CONTEXT);
            sum += w;
            for (size_t c = 0; c < DIM; c++) out[c] += w * x[j * WIDTH + 2 * DIM + c];
        }
        for (size_t c = 0; c < DIM; c++)
            assert_true(fabs(y[i * DIM + c] - out[c] / fmax(sum, 1e-6)) < 1e-11);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_performer),
        cmocka_unit_test(test_draw),
        cmocka_unit_test(test_cosformer),
        cmocka_unit_test(test_plain_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
