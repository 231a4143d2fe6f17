/* test_linformer.c: all kinds against differences; that blocks are causal and the others are
 * not. */
#include "layer/linformer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "attend.h"
#include "base/rng.h"

static void forward(const void *core, const mn__env *env, mn__shape s, const mn__qkv *in,
                    mn__real *y, void *saved)
{
    mn__linformer_forward(core, env, s, in, y, saved);
}

static void backward(const void *core, const mn__env *env, mn__shape s, const void *saved,
                     const mn__real *dy, const mn__qkv_grad *out)
{
    mn__linformer_backward(core, env, s, saved, dy, out);
}

static void check(mn__linformer_kind kind, mn__heads heads, mn__shape s, size_t n_from,
                  size_t n_slot)
{
    mn__linformer core = {.heads = heads, .kind = kind, .n_from = n_from, .n_slot = n_slot};
    mn__linformer_saved saved;
    attend a = {.core = &core,
                .saved = &saved,
                .forward = forward,
                .backward = backward,
                .heads = heads,
                .s = s};
    mn__params list = {0};
    mn__linformer_declare(&core, &list, "mix");
    assert_int_equal(list.n, 2);
    attend_differ(&a, &list, 1, s.len);
    mn__params_fini(&list);
}

static void test_differences(void **state)
{
    (void)state;
    check(MN__LINFORMER_FULL, (mn__heads){2, 2, 3}, (mn__shape){2, 6}, 6, 3);
    check(MN__LINFORMER_FULL, (mn__heads){2, 1, 4}, (mn__shape){1, 5}, 5, 2);
    check(MN__LINFORMER_MASK, (mn__heads){2, 1, 3}, (mn__shape){2, 6}, 6, 4);
    check(MN__LINFORMER_BLOCKS, (mn__heads){2, 2, 3}, (mn__shape){2, 12}, 4, 2);
    check(MN__LINFORMER_BLOCKS, (mn__heads){4, 2, 2}, (mn__shape){1, 11}, 3, 2);
}

/* Row 0's output after a change of the last position. */
static bool leaks(mn__linformer_kind kind)
{
    enum { LEN = 6, DIM = 2, WIDTH = 3 * DIM, SLOTS = 3 };
    double x[LEN * WIDTH], y[LEN * DIM], z[LEN * DIM], e[LEN * SLOTS], f[LEN * SLOTS];
    mn__linformer core = {.heads = {1, 1, DIM},
                          .kind = kind,
                          .n_from = kind == MN__LINFORMER_BLOCKS ? 2 : LEN,
                          .n_slot = SLOTS,
                          .e = {.w = e},
                          .f = {.w = f}};
    attend a = {.core = &core, .forward = forward, .heads = {1, 1, DIM}, .s = {1, LEN}};
    for (size_t i = 0; i < LEN * WIDTH; i++) x[i] = mn__rng_normal(1, 1, i, 0);
    for (size_t i = 0; i < LEN * SLOTS; i++) e[i] = f[i] = mn__rng_normal(1, 2, i, 0);
    if (kind == MN__LINFORMER_BLOCKS) attend_causal(&a, 3, 1);
    attend_run(&a, x, y);
    x[LEN * WIDTH - 1] += 1;
    attend_run(&a, x, z);
    return memcmp(y, z, DIM * sizeof *y) != 0;
}

static void test_leaks(void **state)
{
    (void)state;
    assert_true(leaks(MN__LINFORMER_FULL));
    assert_true(leaks(MN__LINFORMER_MASK));
    assert_false(leaks(MN__LINFORMER_BLOCKS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
