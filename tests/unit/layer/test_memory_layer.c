/* test_memory_layer.c: gradients against differences for both scores, one layer and three that
 * share a choice; signs of zeros and NaN; which rows are announced. */
#include "layer/memory_layer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "socket.h"

typedef struct fixture {
    mn__memory_layer l;
    mn__memory_saved saved;
    size_t n, ld;
} fixture;

static void forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    fixture *f = self;
    mn__real *out[MN__MEMORY_SHARE] = {y};
    for (size_t h = 1; h < f->l.n_share; h++) out[h] = out[h - 1] + f->l.share[h - 1].n_out;
    mn__memory_layer_forward(&f->l, env, f->n, x, out, f->ld, keep ? &f->saved : NULL);
}

static void backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    fixture *f = self;
    const mn__real *out[MN__MEMORY_SHARE] = {dy};
    for (size_t h = 1; h < f->l.n_share; h++) out[h] = out[h - 1] + f->l.share[h - 1].n_out;
    mn__memory_layer_backward(&f->l, env, f->n, &f->saved, out, f->ld, dx);
}

static uint64_t selected(void *self)
{
    const fixture *f = self;
    return socket_hash(1, f->saved.code, f->n * f->l.n_table);
}

static void check(size_t n, mn__memory_layer l, uint64_t seed)
{
    static const char *const names[] = {"q", "k", "v"};
    fixture f = {.l = l, .n = n};
    mn__params list = {0};
    mn_diag diag = {""};
    for (size_t h = 0; h < l.n_share; h++) f.ld += l.share[h].n_out;
    assert_int_equal(mn__memory_layer_check(&f.l, "layer", &diag), MN_OK);
    mn__memory_layer_declare(&f.l, &list, "m", l.n_share > 1 ? names : NULL);
    assert_string_equal(list.at[0]->name, l.n_share > 1 ? "m.q.tables" : "m.tables");
    const subject s = {&f, n * l.n_table * l.n_bit, n * f.ld, forward, backward, selected, 0};
    differ(&s, &list, seed);
    mn__params_fini(&list);
}

static void test_one(void **state)
{
    (void)state;
    check(9,
          (mn__memory_layer){.n_table = 3,
                             .n_bit = 4,
                             .temperature = 1,
                             .n_share = 1,
                             .share = {{.n_out = 7, .std = 0.02}}},
          1);
    check(37,
          (mn__memory_layer){.n_table = 5,
                             .n_bit = 2,
                             .score = MN__SCORE_PROB,
                             .temperature = 1.7,
                             .n_share = 1,
                             .share = {{.n_out = 6, .std = 0.02}}},
          2);
    check(4,
          (mn__memory_layer){.n_table = 2,
                             .n_bit = 1,
                             .temperature = 0.5,
                             .n_share = 1,
                             .share = {{.n_out = 1, .std = 0.02}}},
          3);
}

static void test_three(void **state)
{
    (void)state;
    check(21,
          (mn__memory_layer){.n_table = 2,
                             .n_bit = 3,
                             .temperature = 1,
                             .n_share = 3,
                             .share = {{.n_out = 6}, {.n_out = 2}, {.n_out = 3}}},
          4);
}

static void test_signs(void **state)
{
    (void)state;
    mn__real table[16], bias[1] = {0}, y[1], *out[] = {y}, score[2];
    uint16_t code[2];
    const mn__real x[] = {0.0, -0.0, -1, 1};
    for (int i = 0; i < 16; i++) table[i] = i;
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    mn__memory_layer l = {.n_table = 2, .n_bit = 2, .temperature = 1, .n_share = 1};
    l.share[0] = (mn__memory_share){.n_out = 1, .tables = {.w = table}, .bias = {.w = bias}};
    mn__memory_saved saved;
    assert_int_equal(mn__tape_reserve(&tape, 4096), MN_OK);
    mn__memory_layer_forward(&l, &env, 1, x, out, 1, &saved);
    memcpy(code, saved.code, sizeof code);
    memcpy(score, saved.score, sizeof score);
    assert_int_equal(code[0], 3); /* both zeros count as positive */
    assert_int_equal(code[1], 1); /* the first coordinate is the higher bit */
    assert_true(score[0] == 0 && score[1] > 0);
    mn__memory_layer_forward(&l, &env, 1, (const mn__real[]){NAN, 1, 1, NAN}, out, 1, &saved);
    assert_int_equal(saved.code[0], 1);
    assert_int_equal(saved.code[1], 2);
    mn__tape_fini(&tape);
}

typedef struct ear {
    mn__row_hook hook;
    size_t heard[16];
} ear;

static void hear(mn__row_hook *self, size_t row)
{
    ((ear *)self)->heard[row]++;
}

static void test_touch(void **state)
{
    (void)state;
    ear e = {.hook = {hear}};
    mn__real table[16] = {0}, bias[1] = {0}, y[2], *out[] = {y};
    const mn__real x[] = {1, 1, -1, -1, 1, -1, -1, -1};
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    mn__memory_layer l = {.n_table = 2, .n_bit = 2, .temperature = 1, .n_share = 1};
    l.share[0] = (mn__memory_share){
        .n_out = 1, .tables = {.w = table, .hook = &e.hook}, .bias = {.w = bias}};
    assert_int_equal(mn__tape_reserve(&tape, 4096), MN_OK);
    mn__memory_layer_forward(&l, &env, 2, x, out, 1, NULL);
    for (size_t r = 0; r < 8; r++) assert_int_equal(e.heard[r], r == 4 ? 2 : r == 2 || r == 3);
    assert_int_equal(mn__tape_mark(&tape), 0);
    mn__tape_fini(&tape);
}

static void test_refused(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn__memory_layer l = {.n_table = 2, .n_bit = 17, .temperature = 1, .n_share = 1};
    assert_int_equal(mn__memory_layer_check(&l, "q", &diag), MN_ERANGE);
    assert_string_equal(diag.text, "q: 1 to 16 bits a table wanted, 17 found");
    l.n_bit = 4;
    l.temperature = 0;
    assert_int_equal(mn__memory_layer_check(&l, "q", &diag), MN_ERANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),   cmocka_unit_test(test_three),   cmocka_unit_test(test_signs),
        cmocka_unit_test(test_touch), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
