/* test_dense.c: a fully connected layer, with and without bias, against differences. */
#include "layer/dense.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "differ.h"

typedef struct fixture {
    mn__dense l;
    const mn__real *x;
    size_t n;
} fixture;

static void forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    fixture *f = self;
    (void)keep;
    f->x = x;
    mn__dense_forward(&f->l, env, f->n, x, y);
}

static void backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    fixture *f = self;
    mn__dense_backward(&f->l, env, f->n, f->x, dy, dx);
}

static void check(size_t n, size_t n_in, size_t n_out, bool has_bias)
{
    fixture f = {.l = {.n_in = n_in, .n_out = n_out, .has_bias = has_bias, .std = 0.1}, .n = n};
    mn__params list = {0};
    mn__dense_declare(&f.l, &list, "d");
    assert_int_equal(list.n, has_bias ? 2 : 1);
    const subject s = {&f, n * n_in, n * n_out, forward, backward, NULL, 0};
    differ(&s, &list, n + n_in);
    mn__params_fini(&list);
}

static void test_shapes(void **state)
{
    (void)state;
    check(1, 1, 1, true);
    check(5, 7, 3, false);
    check(70, 33, 66, true);
}

static void test_product(void **state)
{
    (void)state;
    mn__real w[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20}, y[2];
    const mn__real x[] = {1, 0, -1};
    mn__tape tape = {.data = (uint8_t *)&tape};
    const mn__env env = {.tape = &tape};
    const mn__dense l = {
        .n_in = 3, .n_out = 2, .has_bias = true, .weight = {.w = w}, .bias = {.w = b}};
    mn__dense_forward(&l, &env, 1, x, y);
    assert_true(y[0] == 8 && y[1] == 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
