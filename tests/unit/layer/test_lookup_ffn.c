/* test_lookup_ffn.c: BH4 and the whole layer against differences; the Hadamard transform. */
#include "layer/lookup_ffn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "socket.h"

typedef struct fixture {
    mn__bh4 l;
    const mn__real *x;
    size_t n;
} fixture;

static void forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    fixture *f = self;
    (void)keep;
    f->x = x;
    mn__bh4_forward(&f->l, env, f->n, x, y);
}

static void backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    fixture *f = self;
    mn__bh4_backward(&f->l, env, f->n, f->x, dy, dx);
}

static void check_bh4(size_t n, size_t n_in, size_t n_out, size_t block)
{
    fixture f = {.l = {.n_in = n_in, .n_out = n_out, .block = block, .alpha = 0.7}, .n = n};
    mn__params list = {0};
    mn__bh4_declare(&f.l, &list, "p");
    const subject s = {&f, n * n_in, n * n_out, forward, backward, NULL, 0};
    differ(&s, &list, n_in);
    mn__params_fini(&list);
}

static void test_bh4(void **state)
{
    (void)state;
    check_bh4(3, 5, 7, 2);
    check_bh4(35, 8, 8, 4);
    check_bh4(2, 3, 21, 4); /* repeats, the last one cut */
    check_bh4(2, 8, 3, 8);  /* fewer outputs than inputs */
}

static void test_hadamard(void **state)
{
    (void)state;
    mn__real x[4] = {1, 2, 3, 4};
    mn__hadamard(x, 4);
    assert_true(x[0] == 10 && x[1] == -2 && x[2] == -4 && x[3] == 0);
    mn__hadamard(x, 4);
    for (size_t i = 0; i < 4; i++) assert_true(x[i] == 4 * ((double)i + 1));
}

static uint64_t selected(void *self)
{
    const socket *s = self;
    const mn__lookup_ffn *l = (const mn__lookup_ffn *)s->layer;
    return socket_hash(1, l->saved.code, s->s.n_seq * s->s.len * l->memory.n_table);
}

static void test_layer(void **state)
{
    (void)state;
    for (int is_bh4 = 0; is_bh4 < 2; is_bh4++) {
        const mn__lookup_ffn_sizes sizes = {.width = 6,
                                            .n_table = 3,
                                            .n_bit = 4,
                                            .is_bh4 = is_bh4,
                                            .block = 4,
                                            .std_in = 0.5,
                                            .std_tables = 0.02,
                                            .temperature = 1};
        mn__lookup_ffn l;
        mn_diag diag = {""};
        assert_int_equal(mn__lookup_ffn_init(&l, &sizes, &diag), MN_OK);
        socket s = {&l.layer, {2, 4}, selected};
        socket_differ(&s, 11);
    }
}

static void test_refused(void **state)
{
    (void)state;
    mn__lookup_ffn l;
    mn_diag diag = {""};
    const mn__lookup_ffn_sizes sizes = {
        .width = 6, .n_table = 3, .n_bit = 4, .is_bh4 = true, .block = 6, .temperature = 1};
    assert_int_equal(mn__lookup_ffn_init(&l, &sizes, &diag), MN_ERANGE);
    assert_string_equal(diag.text, "BH4: a block that is a power of two wanted, 6 found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bh4),
        cmocka_unit_test(test_hadamard),
        cmocka_unit_test(test_layer),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
