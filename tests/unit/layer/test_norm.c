/* test_norm.c: LayerNorm and the face of all norms against differences. */
#include "layer/norm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "differ.h"

typedef struct fixture {
    mn__norm l;
    mn__norm_saved saved;
    size_t n;
} fixture;

static void forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    fixture *f = self;
    mn__norm_forward(&f->l, env, f->n, x, y, keep ? &f->saved : NULL);
}

static void backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    fixture *f = self;
    mn__norm_backward(&f->l, env, f->n, &f->saved, dy, dx);
}

static void check(mn__norm_kind kind, size_t n, size_t width, double eps)
{
    fixture f = {.n = n};
    mn__params list = {0};
    mn__norm_init(&f.l, kind, width, eps);
    mn__norm_declare(&f.l, &list, "");
    assert_int_equal(list.n, kind == MN__NORM_LAYER ? 2 : 1);
    assert_int_equal(list.at[0]->group, MN__PARAM_NO_DECAY);
    const subject s = {&f, n * width, n * width, forward, backward, NULL, 0};
    differ(&s, &list, n + width);
    mn__params_fini(&list);
}

static void test_kinds(void **state)
{
    (void)state;
    check(MN__NORM_LAYER, 5, 9, 1e-5);
    check(MN__NORM_LAYER, 66, 70, 1e-5);
    check(MN__NORM_LAYER, 3, 4, 0.3);
    check(MN__NORM_RMS, 4, 6, 0.3);
    check(MN__NORM_RMS_OUTSIDE, 4, 6, 0.3);
}

static void test_centred(void **state)
{
    (void)state;
    mn__real one[4] = {1, 1, 1, 1}, zero[4] = {0}, y[4];
    const mn__real x[4] = {101, 103, 101, 103};
    mn__tape tape = {.data = (uint8_t *)&tape};
    const mn__env env = {.tape = &tape};
    mn__norm l;
    mn__norm_init(&l, MN__NORM_LAYER, 4, 0);
    l.layer.scale.w = one;
    l.layer.bias.w = zero;
    mn__norm_forward(&l, &env, 1, x, y, NULL);
    for (size_t c = 0; c < 4; c++) assert_true(y[c] == (c % 2 ? 1 : -1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_centred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
