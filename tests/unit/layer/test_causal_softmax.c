/* test_causal_softmax.c: attention in tiles against the plain sum, differences over several tiles,
 * groups of queries and rotation, and its blindness to what comes behind. */
#include "layer/causal_softmax.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "attend.h"
#include "base/rng.h"

static void forward(const void *core, const mn__env *env, mn__shape s, const mn__qkv *in,
                    mn__real *y, void *saved)
{
    mn__causal_softmax_forward(core, env, s, in, y, saved);
}

static void backward(const void *core, const mn__env *env, mn__shape s, const void *saved,
                     const mn__real *dy, const mn__qkv_grad *out)
{
    mn__causal_softmax_backward(core, env, s, saved, dy, out);
}

static void check(mn__heads heads, mn__shape s, size_t n_rot)
{
    mn__causal_softmax core = {heads};
    mn__causal_softmax_saved saved;
    attend a = {.core = &core,
                .saved = &saved,
                .forward = forward,
                .backward = backward,
                .heads = heads,
                .s = s,
                .rotary = {n_rot, 10000}};
    const mn__params none = {0};
    attend_differ(&a, &none, 1, s.len);
    attend_causal(&a, s.len / 2, s.len);
}

static void test_differences(void **state)
{
    (void)state;
    check((mn__heads){2, 2, 4}, (mn__shape){2, 5}, 2);
    check((mn__heads){4, 2, 6}, (mn__shape){1, 9}, 6);
    check((mn__heads){3, 1, 5}, (mn__shape){2, 70}, 0);
    check((mn__heads){1, 1, 2}, (mn__shape){1, 270}, 2);
}

static double score(const mn__real *q, const mn__real *k, size_t dim)
{
    double sum = 0;
    for (size_t c = 0; c < dim; c++) sum += q[c] * k[c];
    return sum / sqrt((double)dim);
}

/* Large scores too, so that the largest one moves from tile to tile. */
static void test_plain_sum(void **state)
{
    enum { LEN = 300, DIM = 3, WIDTH = 3 * DIM };
    static double x[LEN * WIDTH], y[LEN * DIM];
    mn__causal_softmax core = {{1, 1, DIM}};
    attend a = {.core = &core, .forward = forward, .heads = {1, 1, DIM}, .s = {1, LEN}};
    (void)state;
    for (size_t i = 0; i < LEN * WIDTH; i++) x[i] = 8 * mn__rng_normal(3, 1, i, 0);
    attend_run(&a, x, y);
    for (size_t i = 0; i < LEN; i++) {
        double sum = 0, top = -INFINITY, out[DIM] = {0};
        for (size_t j = 0; j <= i; j++)
            top = fmax(top, score(x + i * WIDTH, x + j * WIDTH + DIM, DIM));
        for (size_t j = 0; j <= i; j++) {
            double e = exp(score(x + i * WIDTH, x + j * WIDTH + DIM, DIM) - top);
            sum += e;
            for (size_t c = 0; c < DIM; c++) out[c] += e * x[j * WIDTH + 2 * DIM + c];
        }
        for (size_t c = 0; c < DIM; c++) assert_true(fabs(y[i * DIM + c] - out[c] / sum) < 1e-11);
    }
}

static void test_rotation(void **state)
{
    (void)state;
    mn__real x[2 * 6] = {0};
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    const mn__rotary r = {4, 100};
    const mn__turn t = {1, 6, 6, x, false};
    assert_int_equal(mn__tape_reserve(&tape, 4096), MN_OK);
    for (size_t i = 0; i < 12; i++) x[i] = (double)(i % 6) + 1;
    mn__rotary_turn(&r, &env, (mn__shape){1, 2}, mn__rotary_table(&r, &env, 2), &t);
    for (size_t i = 0; i < 6; i++) assert_true(x[i] == (double)i + 1); /* position 0 */
    assert_true(fabs(x[6] - (cos(1) - 3 * sin(1))) < 1e-14);
    assert_true(fabs(x[9] - (4 * cos(0.1) + 2 * sin(0.1))) < 1e-14);
    assert_true(x[10] == 5 && x[11] == 6); /* behind what is rotated */
    mn__tape_fini(&tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_plain_sum),
        cmocka_unit_test(test_rotation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
