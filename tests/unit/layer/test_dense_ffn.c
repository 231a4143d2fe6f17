/* test_dense_ffn.c: the activations against differences and known values. */
#include "layer/dense_ffn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "socket.h"

static void check(mn__activation act, bool has_bias, mn__shape s, size_t width, size_t n_hidden)
{
    mn__dense_ffn l;
    mn__dense_ffn_init(&l,
                       &(mn__dense_ffn_sizes){
                           .width = width, .n_hidden = n_hidden, .act = act, .has_bias = has_bias});
    socket it = {&l.layer, s, NULL};
    socket_differ(&it, width);
}

static void test_differences(void **state)
{
    (void)state;
    check(MN__ACT_GELU, true, (mn__shape){2, 3}, 5, 7);
    check(MN__ACT_GELU_TANH, false, (mn__shape){1, 5}, 4, 9);
    check(MN__ACT_SWIGLU, false, (mn__shape){3, 3}, 6, 5);
    check(MN__ACT_SWIGLU, true, (mn__shape){1, 1}, 1, 1);
}

static mn__real activated(mn__activation act, mn__real a)
{
    mn__real one[1] = {1}, up[1] = {a}, gate[1] = {2}, y[1], x[1] = {1};
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    mn__dense_ffn l;
    assert_int_equal(mn__tape_reserve(&tape, 4096), MN_OK);
    mn__dense_ffn_init(&l, &(mn__dense_ffn_sizes){.width = 1, .n_hidden = 1, .act = act});
    l.up.weight.w = up;
    l.gate.weight.w = gate;
    l.down.weight.w = one;
    l.layer.ops->forward(&l.layer, &env, (mn__shape){1, 1}, x, y, false);
    mn__tape_fini(&tape);
    return y[0];
}

static void test_values(void **state)
{
    (void)state;
    assert_true(fabs(activated(MN__ACT_GELU, 1) - 0.84134474606854293) < 1e-15);
    assert_true(fabs(activated(MN__ACT_GELU_TANH, 1) - 0.84119199060827676) < 1e-12);
    assert_true(fabs(activated(MN__ACT_SWIGLU, 3) - 3 * 2 / (1 + exp(-2))) < 1e-14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
