/* test_arena.c: pieces are aligned and disjoint, the plan is the limit, and what measures one says
 * how much. */
#include "base/heap.h"
#include "base/heap_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_pieces(void **state)
{
    (void)state;
    mn__arena a;
    assert_int_equal(mn__arena_init(&a, MN_MEM_SCRATCH, 64 + 128 + 10), MN_OK);
    uint8_t *p = mn__arena_take(&a, 1), *q = mn__arena_take(&a, 65), *r = mn__arena_take(&a, 10);
    assert_non_null(r); /* the last piece needs no rounding to fit */
    assert_int_equal((uintptr_t)p % 64, 0);
    assert_ptr_equal(q, p + 64);
    assert_ptr_equal(r, q + 128);
    memset(p, 1, 1);
    memset(q, 2, 65);
    memset(r, 3, 10);
    assert_int_equal(p[0], 1);
    assert_int_equal(q[64], 2);
    assert_null(mn__arena_take(&a, 1));
    assert_null(mn__arena_take(&a, SIZE_MAX));
    mn__arena_fini(&a);
    mn__arena_fini(&a);
}

static void test_refusals(void **state)
{
    (void)state;
    mn__arena a;
    assert_int_equal(mn__arena_init(&a, MN_MEM_SCRATCH, SIZE_MAX), MN_ENOMEM);
    assert_null(a.data);
    assert_int_equal(mn__arena_init(&a, MN_MEM_SCRATCH, 100), MN_OK);
    assert_null(mn__arena_take(&a, 101));
    assert_null(mn__arena_take(&a, SIZE_MAX - 10));
    assert_non_null(mn__arena_take(&a, 0));
    assert_int_equal(a.used, 0);
    mn__arena_fini(&a);
}

/* The same pieces fit exactly into what was measured. */
static void test_measuring(void **state)
{
    (void)state;
    static const size_t piece[] = {1, 65, 0, 64, 10};
    mn__arena count = {0}, a;
    for (size_t i = 0; i < 5; i++) assert_null(mn__arena_take(&count, piece[i]));
    assert_int_equal(count.used, 64 + 128 + 64 + 64);
    assert_int_equal(mn__arena_init(&a, MN_MEM_SCRATCH, count.used), MN_OK);
    for (size_t i = 0; i < 5; i++) assert_non_null(mn__arena_take(&a, piece[i]));
    assert_null(mn__arena_take(&a, 1));
    mn__arena_fini(&a);
}

static void test_counted_once(void **state)
{
    (void)state;
    mn_mem_stats before, during;
    mn__arena a;
    mn_mem_get_stats(&before);
    assert_int_equal(mn__arena_init(&a, MN_MEM_SCRATCH, 5000), MN_OK);
    mn__arena_take(&a, 100);
    mn__arena_take(&a, 100);
    mn_mem_get_stats(&during);
    assert_int_equal(during.now[MN_MEM_SCRATCH], before.now[MN_MEM_SCRATCH] + 5000);
    mn__arena_fini(&a);
    mn_mem_get_stats(&during);
    assert_int_equal(during.now[MN_MEM_SCRATCH], before.now[MN_MEM_SCRATCH]);
}

static void test_red_zones(void **state)
{
    (void)state;
#ifdef MN__ASAN
    mn__arena a;
    assert_int_equal(mn__arena_init(&a, MN_MEM_SCRATCH, 256), MN_OK);
    uint8_t *p = mn__arena_take(&a, 24);
    assert_false(__asan_address_is_poisoned(p + 23));
    assert_true(__asan_address_is_poisoned(p + 24));
    mn__arena_fini(&a);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),    cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_measuring), cmocka_unit_test(test_counted_once),
        cmocka_unit_test(test_red_zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
