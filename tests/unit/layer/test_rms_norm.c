/* test_rms_norm.c: both places of eps, against differences; rows of zeros. */
#include "layer/rms_norm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "differ.h"

typedef struct fixture {
    mn__rms_norm l;
    mn__rms_norm_saved saved;
    size_t n;
} fixture;

static void forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    fixture *f = self;
    mn__rms_norm_forward(&f->l, env, f->n, x, y, keep ? &f->saved : NULL);
}

static void backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    fixture *f = self;
    mn__rms_norm_backward(&f->l, env, f->n, &f->saved, dy, dx);
}

static void check(size_t n, size_t width, double eps, bool outside)
{
    fixture f = {.l = {.width = width, .eps = eps, .eps_outside = outside}, .n = n};
    mn__params list = {0};
    mn__rms_norm_declare(&f.l, &list, "norm");
    assert_string_equal(list.at[0]->name, "norm.scale");
    const subject s = {&f, n * width, n * width, forward, backward, NULL, 0};
    differ(&s, &list, n * 31 + width);
    mn__params_fini(&list);
}

static void test_inside(void **state)
{
    (void)state;
    check(5, 7, 1e-5, false);
    check(70, 130, 1e-5, false);
    check(3, 4, 0.5, false); /* an eps that matters */
}

static void test_outside(void **state)
{
    (void)state;
    check(5, 7, 1e-8, true);
    check(33, 65, 1e-8, true);
    check(3, 4, 0.5, true);
}

static void test_zero_row(void **state)
{
    (void)state;
    mn__real w[3] = {2, 2, 2}, g[16] = {0}, x[3] = {0}, y[3], dx[3], rms[1] = {0};
    const mn__real dy[3] = {1, 2, 3};
    mn__tape tape = {.data = (uint8_t *)&tape};
    const mn__env env = {.tape = &tape};
    mn__rms_norm l = {.width = 3, .eps = 0.5, .eps_outside = true, .scale = {.w = w, .g = g}};
    const mn__rms_norm_saved saved = {x, rms};
    mn__rms_norm_forward(&l, &env, 1, x, y, NULL);
    mn__rms_norm_backward(&l, &env, 1, &saved, dy, dx);
    for (size_t c = 0; c < 3; c++) {
        assert_true(y[c] == 0);
        assert_true(dx[c] == 4 * dy[c]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_zero_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
