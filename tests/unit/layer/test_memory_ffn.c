/* test_memory_ffn.c: two memory layers in a row against differences; sizes that cannot be. */
#include "layer/memory_ffn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "socket.h"

static uint64_t selected(void *self)
{
    const socket *s = self;
    const mn__memory_ffn *l = (const mn__memory_ffn *)s->layer;
    const size_t n = s->s.n_seq * s->s.len;
    uint64_t h = socket_hash(1, l->in_saved.code, n * l->in.n_table);
    return socket_hash(h, l->out_saved.code, n * l->out.n_table);
}

static void check(mn__memory_ffn_sizes sizes, mn__shape s)
{
    mn__memory_ffn l;
    mn_diag diag = {""};
    assert_int_equal(mn__memory_ffn_init(&l, &sizes, &diag), MN_OK);
    socket it = {&l.layer, s, selected};
    socket_differ(&it, sizes.n_table);
}

static void test_differences(void **state)
{
    (void)state;
    check((mn__memory_ffn_sizes){.n_table = 3, .n_bit = 2, .n_extra = 1, .temperature = 1},
          (mn__shape){2, 5});
    check(
        (mn__memory_ffn_sizes){
            .n_table = 2, .n_bit = 3, .n_extra = 0, .score = MN__SCORE_PROB, .temperature = 0.7},
        (mn__shape){1, 17});
}

static void test_refused(void **state)
{
    (void)state;
    mn__memory_ffn l;
    mn_diag diag = {""};
    const mn__memory_ffn_sizes s = {.n_table = 2, .n_bit = 15, .n_extra = 2, .temperature = 1};
    assert_int_equal(mn__memory_ffn_init(&l, &s, &diag), MN_ERANGE);
    assert_string_equal(diag.text,
                        "second feed-forward memory layer: 1 to 16 bits a table wanted, 17 found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
